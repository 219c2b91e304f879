"""The workflow runs what is stale and nothing else, and nothing that is finished is ever lost.

The real Snakefile and its helpers are copied into a toy project, whose notebooks run in a moment.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "workflow"))

import build  # noqa: E402
import plan  # noqa: E402
import sources  # noqa: E402

# A notebook as short as one can be that behaves like the project's: it tells of its epochs, keeps a checkpoint,
# can fail or last, and writes its record as the last thing.
TRAIN = """
import json, pathlib, sys, time
warm = "colorsys" in sys.modules
{imports}
run = pathlib.Path(run_dir)
run.mkdir(parents=True, exist_ok=True)
print("epoch 1/1  loss 0.5", flush=True)
(run / "checkpoint.safetensors").write_text("half-way")
while pathlib.Path("wait").exists():
    time.sleep(0.1)
if value == "bad":
    raise ValueError("the value is bad")
(run / "metrics.json").write_text(json.dumps({{"value": value, "warm": warm}}))
"""
SCALE = """
report: {banner: only a toy}
experiments:
  alpha:
    runs:
      one: {value: 1}
      two: {value: 2}
  beta:
    defaults: {value: 0.5}
    runs:
      one: {needs: {alpha_run: alpha/one}}
"""
RUNS = {"alpha/one", "alpha/two", "beta/one"}
REST = {"gather", "report", "publish"}


def write_notebook(path: Path, *sources: str) -> None:
    """A notebook of code cells, the first of which holds the parameters."""
    cells = [
        {"cell_type": "code", "id": f"cell{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": s}
        for i, s in enumerate(sources)
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


class Toy:
    """A toy project in a folder, and what its builds say."""

    def __init__(self, folder: Path):
        self.folder, self.results = folder, folder / "results" / "toy"
        self.scale = folder / "workflow" / "scales" / "toy.yaml"
        self.command = [sys.executable, str(folder / "workflow" / "build.py"), "toy", "--cores", "2"]

    def start(self) -> subprocess.Popen:
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
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.folder / "workflow" / "Snakefile")]
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """One toy project, built from nothing; every test leaves it finished, or takes a copy."""
    folder = tmp_path_factory.mktemp("toy")
    shutil.copytree(PROJECT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("scales", "__pycache__"))
    package = folder / "vaelib"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "shared.py").write_text("SHARED = 1\n")
    (package / "own.py").write_text("import colorsys\nfrom .shared import SHARED\n")
    (package / "runs.py").write_text(
        "import pathlib, sys\n"
        "at = sys.argv.index('--out')\n"
        "pathlib.Path(sys.argv[at + 1]).write_text('\\n'.join(sys.argv[at + 2:]))\n"
    )
    (package / "publish.py").write_text(
        "import pathlib, sys\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])\n"
        "out.mkdir(parents=True, exist_ok=True)\n"
        "for kind in ('html', 'pdf'):\n"
        "    (out / f'report.{kind}').write_text(sys.argv[-1].removeprefix('--banner='))\n"
    )
    parameters = "run_dir = ''\nalpha_run = ''\nvalue = 0"
    notebooks = folder / "notebooks"
    write_notebook(notebooks / "alpha.ipynb", parameters, TRAIN.format(imports="from vaelib import shared"))
    write_notebook(notebooks / "beta.ipynb", parameters, TRAIN.format(imports="import vaelib.own"))
    write_notebook(folder / "report" / "report.ipynb", "scale = ''\nresults = ''", "print(scale, results)")
    toy = Toy(folder)
    toy.scale.parent.mkdir()
    toy.scale.write_text(SCALE)
    toy.cold = toy.build()
    return toy


@pytest.fixture
def toy(built: Toy, tmp_path: Path) -> Toy:
    """A finished toy project of the test's own: a copy, which is as up to date as what it was copied from."""
    shutil.copytree(built.folder, tmp_path / "toy")
    return Toy(tmp_path / "toy")


def test_a_cold_build_runs_everything_and_says_where_the_report_is(built: Toy):
    code, output, started = built.cold
    assert (code, started) == (0, RUNS | REST)
    assert "3 of 3 runs done" in output and "[alpha/one] epoch 1/1  loss 0.5" in output
    assert output.endswith("  report/build/toy/report.html\n  report/build/toy/report.pdf\n")
    assert "Executing Cell" not in output and "Building DAG" not in output
    assert (built.folder / "report/build/toy/report.html").read_text() == "only a toy"
    for run in RUNS:
        left = {path.name for path in (built.results / run).iterdir()}
        assert left == {"metrics.json", "notebook.ipynb", "checkpoint.safetensors"}
        warm = json.loads((built.results / run / "metrics.json").read_text())["warm"]
        assert warm == (sys.platform == "linux")  # what the package imports was there before the notebook asked for it


def test_nothing_runs_again_if_only_times_and_outputs_changed(toy: Toy):
    for path in [*toy.folder.glob("vaelib/*.py"), *toy.folder.glob("notebooks/*.ipynb")]:
        path.touch()
    notebook = toy.folder / "notebooks" / "alpha.ipynb"  # as JupyterLab leaves it after a run by hand
    content = json.loads(notebook.read_text())
    content["cells"][1] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "text": "x"}]}
    notebook.write_text(json.dumps(content))
    code, _, started = toy.build()
    assert (code, started) == (0, set())


def test_an_edited_module_makes_those_notebooks_stale_that_import_it(toy: Toy):
    module = toy.folder / "vaelib" / "own.py"
    module.write_text(module.read_text() + "OWN = 2\n")
    os.utime(module, (0, 0))  # an edit counts even if the file looks old
    assert toy.stale() == {"beta/one"} | REST


def test_an_edited_notebook_makes_its_runs_stale_and_those_that_need_them(toy: Toy):
    notebook = toy.folder / "notebooks" / "alpha.ipynb"
    notebook.write_text(notebook.read_text().replace("epoch 1/1", "epoch 1 of 1"))
    assert toy.stale() == RUNS | REST


def test_edited_prose_makes_the_report_alone_stale(toy: Toy):
    write_notebook(toy.folder / "report" / "report.ipynb", "scale = ''\nresults = ''", "print('edited')")
    assert toy.stale() == {"report", "publish"}


def test_a_changed_parameter_makes_that_run_stale_and_those_that_need_it(toy: Toy):
    toy.scale.write_text(SCALE.replace("one: {value: 1}", "one: {value: 1.5}"))
    assert toy.stale() == {"alpha/one", "beta/one"} | REST


def test_a_deleted_record_is_missed(toy: Toy):
    (toy.results / "alpha/two/metrics.json").unlink()
    assert toy.stale() == {"alpha/two"} | REST


def test_a_failed_run_is_reported_leaves_no_record_and_stops_only_what_needs_it(toy: Toy):
    toy.scale.write_text(SCALE.replace("value: 1", "value: bad").replace("value: 2", "value: 3"))
    code, output, started = toy.build()
    assert (code, started) == (1, {"alpha/one", "alpha/two"})
    assert "alpha/one] FAILED" in output.split("No report: ")[1] and "ValueError: the value is bad" in output
    notebook = toy.folder / "results/toy/logs/alpha/one.ipynb"
    assert f"notebook with the traceback: {notebook.relative_to(toy.folder)}" in output
    assert "the value is bad" in notebook.read_text()
    assert not (toy.results / "alpha/one/metrics.json").exists()
    assert (toy.results / "alpha/one/checkpoint.safetensors").exists()
    assert json.loads((toy.results / "alpha/two/metrics.json").read_text())["value"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_build_leaves_no_process_and_goes_on_next_time(toy: Toy, number: signal.Signals):
    toy.scale.write_text(SCALE.replace("value: 0.5", "value: 4"))
    (toy.folder / "wait").touch()
    build = toy.start()
    for line in build.stdout:
        if line.startswith("[beta/one] epoch"):
            break
    if number == signal.SIGKILL:
        code, output, _ = toy.build()
        assert code == 1 and f"another build of results/toy is at work (process {build.pid})" in output
    build.send_signal(number)
    build.wait(60)
    if number != signal.SIGKILL:
        assert build.returncode == 130 and "goes on from here" in build.stdout.read()
    build.stdout.close()
    deadline = time.monotonic() + 60
    while toy.processes():
        assert time.monotonic() < deadline, toy.processes()
        time.sleep(0.2)
    assert not (toy.results / "beta/one/metrics.json").exists()
    assert (toy.results / "beta/one/checkpoint.safetensors").exists()
    (toy.folder / "wait").unlink()
    if number == signal.SIGKILL:  # the hardest case stands for all
        code, _, started = toy.build()
        assert (code, started) == (0, {"beta/one"} | REST)


def test_a_full_disk_is_noticed_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "PROJECT", tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
    with pytest.raises(build.BuildError, match=r"20 runs need about 1\.0 GB in results, but only 0\.1 GB are free"):
        build.check_space(tmp_path / "results", 20)
    build.check_space(tmp_path / "results", 0)  # nothing to do needs no space


def test_results_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "PROJECT", tmp_path)
    (tmp_path / "results").write_text("a file in the way, since no permission stops root")
    with pytest.raises(build.BuildError, match="cannot write to"), build.only_build(tmp_path / "results" / "toy"):
        pass


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("value: 1", "valeu: 1"), r"alpha/one sets valeu: no parameter of notebooks/alpha\.ipynb"),
        (("alpha/one}", "alpha/six}"), "beta/one needs alpha/six, which is not among the runs"),
        (("  beta:", "  gamma:"), r"notebooks/gamma\.ipynb, which does not exist"),
        (("experiments:", "experiment:"), "toy.yaml cannot be read: KeyError"),
    ],
)
def test_a_mistake_in_a_scale_is_one_clear_message(built: Toy, tmp_path: Path, edit: tuple[str, str], message: str):
    shutil.copytree(built.folder / "notebooks", tmp_path / "notebooks")
    scales = tmp_path / "workflow" / "scales"
    scales.mkdir(parents=True)
    (scales / "toy.yaml").write_text(SCALE.replace(*edit))
    with pytest.raises(plan.PlanError, match=message) as caught:
        plan.load(tmp_path, "toy")
    assert "\n" not in str(caught.value)


def test_an_unknown_scale_names_those_there_are(built: Toy):
    with pytest.raises(plan.PlanError, match="there is no scale 'huge'; the scales are: toy"):
        plan.load(built.folder, "huge")


def test_seeds_make_runs_and_needs_follow_the_seed(tmp_path: Path):
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "run_dir = ''\nseed, betas = 0, ()\nsource: str = ''")
    (tmp_path / "workflow" / "scales").mkdir(parents=True)
    (tmp_path / "workflow" / "scales" / "s.yaml").write_text(
        "experiments: {a: {runs: {x: {seeds: [0, 1]},"
        " y: {seeds: [1], needs: {source: 'a/x-seed{seed}'}, betas: [0.1, 1], threads: 2}}}}"
    )
    runs = plan.load(tmp_path, "s").runs
    assert list(runs) == ["a/x-seed0", "a/x-seed1", "a/y-seed1"]
    assert (runs["a/y-seed1"].needed, runs["a/y-seed1"].threads) == (["a/x-seed1"], 2)
    assert runs["a/y-seed1"].arguments("results/s") == (
        "-p run_dir results/s/a/y-seed1 -p source results/s/a/x-seed1 -y 'betas: [0.1, 1]' -p seed 1"
    )


def test_imports_are_followed_through_every_form_of_them(tmp_path: Path):
    package = tmp_path / "vaelib"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "a": "from . import b",
        "b": "def f():\n    from .c import g",
        "c": "import vaelib.d as d",
        "d": "import numpy",
        "unused": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    notebook = tmp_path / "n.ipynb"
    write_notebook(notebook, "x = 1", "%matplotlib inline\nfrom vaelib import a", "%%bash\nls | wc")
    names = {path.stem for path in sources.dependencies(notebook, package)}
    assert names == {"__init__", "a", "b", "c", "d"}


def test_runs_start_as_declared_and_what_they_need_before_them(toy: Toy):
    toy.scale.write_text(
        "experiments:\n"
        "  beta: {runs: {first: {value: 1, needs: {alpha_run: alpha/needed}}}}\n"
        "  alpha: {runs: {second: {value: 2}, another: {value: 3}, needed: {value: 4}}}\n"
    )
    toy.command[-1] = "1"  # core
    code, output, _ = toy.build()
    order = [line.split(": ")[1] for line in output.splitlines() if line.startswith("run ")]
    assert (code, order) == (0, ["alpha/needed", "beta/first", "alpha/second", "alpha/another"])


@pytest.mark.parametrize("scale", sorted(path.stem for path in (PROJECT / "workflow" / "scales").glob("*.yaml")))
def test_the_scales_of_the_project_are_valid(scale: str):
    assert plan.load(PROJECT, scale).runs
