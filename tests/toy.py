"""A toy project around the real workflow: its Snakefile and helpers are copied, its notebooks run in a moment."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

# A notebook as short as one can be that behaves like the project's: it tells of its epochs, keeps a checkpoint,
# can fail or last, and writes its record as the last thing.
TRAIN = """
import json, os, pathlib, time
{imports}
# a comment
run = pathlib.Path(run_dir)
run.mkdir(parents=True, exist_ok=True)
print("epoch 1/1  loss 0.5", flush=True)
(run / "checkpoint.safetensors").write_text("half-way")
while pathlib.Path("wait").exists():
    time.sleep(0.1)
if value == "bad":
    raise ValueError("the value is bad")
told = ("VAELIB_RUNS_SIDE_BY_SIDE", "OMP_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
(run / "metrics.json").write_text(json.dumps({{"value": value, **{{name: os.environ.get(name) for name in told}}}}))
"""
MODULES = {  # beside those of the project's own that its workflow uses
    "__init__.py": "",
    "device.py": "import pathlib\nprint(pathlib.Path('device.json').read_text())\n",
    "shared.py": "SHARED = 1\n",
    "room/__init__.py": "",
    "room/own.py": '"""A docstring."""\n\nfrom vaelib.room.inner import deep\n',
    "room/inner/__init__.py": "",
    "room/inner/deep.py": "DEEP = 1  # a comment\n",
    "plots/__init__.py": "",
    "plots/charts.py": "CHART = 1\n",
    "runs/__init__.py": "",
    "runs/records.py": """
import pathlib, sys
at = sys.argv.index('--out')
pathlib.Path(sys.argv[at + 1]).write_text('\\n'.join(sys.argv[at + 2:]))
""",
    "report/__init__.py": "",
    "report/publish.py": """
import pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
out.mkdir(parents=True, exist_ok=True)
for kind in ('html', 'pdf'):
    (out / f'report.{kind}').write_text(sys.argv[-1].removeprefix('--banner='))
""",
}
# In the order in which the runs are to start, but for alpha/one: beta/one needs it.
SCALE = """
report: {banner: only a toy}
experiments:
  beta:
    defaults: {value: 0.5}
    runs:
      one: {needs: {alpha_run: alpha/one}}
  alpha:
    runs:
      two: {value: 2}
      one: {value: 1}
"""
RUNS = {"alpha/one", "alpha/two", "beta/one"}
REST = {"gather", "report", "publish"}
PROCESSOR = {"device": "a processor", "type": "cpu", "memory": 0}


def write(path: Path, text: str) -> None:
    """A file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_notebook(path: Path, *sources: str) -> None:
    """A notebook of code cells, the first of which holds the parameters."""
    cells = [
        {"cell_type": "code", "id": f"cell{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": s}
        for i, s in enumerate(sources)
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    write(path, json.dumps(content))


class Toy:
    """A toy project in a folder, and what its builds say."""

    def __init__(self, folder: Path):
        self.folder, self.results = folder, folder / "results" / "toy"
        self.scale = folder / "workflow" / "scales" / "toy.yaml"
        self.python = str(folder / ".venv" / "bin" / "python")
        self.command = [self.python, str(folder / "workflow" / "build.py"), "toy"]

    def edit(self, file: str, old: str, new: str) -> Path:
        """Replaces words of a file, which must be there."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return path

    def due(self) -> list[str]:
        """Why a build would run what it would, by the project's own copy of the workflow."""
        script = (
            "from build import PROJECT, identity, plans; "
            "due = identity.why_due(plans.load(PROJECT, 'toy').runs, PROJECT, PROJECT / 'results/toy'); "
            "print(*identity.reasons(due), sep='\\n')"
        )
        environment = os.environ | {"PYTHONPATH": str(self.folder / "workflow")}
        command = [self.python, "-c", script]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return answer.stdout.strip().splitlines()

    def start(self) -> subprocess.Popen:
        """A build, in a session of its own."""
        return subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def build(self) -> tuple[int, str, set[str]]:
        """The exit code, what was said, and the jobs that were started."""
        process = self.start()
        output, _ = process.communicate(timeout=600)
        started = {line.split(": ")[1] for line in output.splitlines() if line.startswith("run ")}
        started |= {line[1:].split("]")[0] for line in output.splitlines() if line.endswith("] started")}
        return process.returncode, output, started

    def stale(self) -> set[str]:
        """The jobs that a build would run now, without running them."""
        command = [self.python, "-m", "snakemake", "--snakefile", str(self.folder / "workflow" / "Snakefile")]
        command += ["--directory", str(self.results), "--config", "scale=toy", "--cores", "2", "--dry-run"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        runs = re.findall(r"wildcards: experiment=(\S+), run=(\S+)", output)
        rules = set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE))
        return {"/".join(run) for run in runs} | rules - {"run", "all"}

    def processes(self) -> list[str]:
        """The command lines of the processes that still work in this project."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink().is_relative_to(self.folder):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


def make(folder: Path) -> Toy:
    """The toy project in a folder, where nothing has run yet."""
    shutil.copytree(PROJECT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("scales", "__pycache__"))
    for name, text in MODULES.items():
        write(folder / "vaelib" / name, text)
    for name in ("archives.py", "classes.py", "files.py", "sources.py"):
        shutil.copy(PROJECT / "vaelib" / name, folder / "vaelib")
    write(folder / "device.json", json.dumps(PROCESSOR))
    parameters = "run_dir = ''\nalpha_run = ''\nvalue = 0"
    notebooks = folder / "notebooks"
    longer = 1000 * "#"  # without priorities Snakemake starts what has the longest inputs
    write_notebook(notebooks / "alpha.ipynb", parameters, TRAIN.format(imports="from vaelib import shared"), longer)
    imports = "import vaelib.room.own\nfrom vaelib.plots import charts"
    write_notebook(notebooks / "beta.ipynb", parameters, TRAIN.format(imports=imports))
    write_notebook(folder / "report" / "report.ipynb", "scale = ''\nresults = ''", "from vaelib.plots import charts")
    (folder / ".venv").symlink_to(sys.prefix)
    toy = Toy(folder)
    write(toy.scale, SCALE)
    return toy
