"""Keeps what a report is made of in one file, and makes the report of it again without training.

`python workflow/archive.py pack SCALE` is `make archive`: records, arrays, histories and tables of a scale's finished
runs, without weights and synthetic images, go into results/<scale>.tar.gz. `python workflow/archive.py report FILE`, or
`make report ARCHIVE=FILE`, unpacks them into results/<scale>, where nothing may be but what an archive brought, and
builds the report there is now from them: its words and drawings are today's, its numbers those of the archive.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from watch import die_with_parent

if __name__ == "__main__":  # before what takes a second or more to import
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main() is ready for it, an interrupt needs no traceback
    if "MAKELEVEL" in os.environ:  # started by make, whose death means the same as ours
        die_with_parent()

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # this project's vaelib, wherever another may be installed

import identity  # noqa: E402
import plan as plans  # noqa: E402
from build import BuildError, end_in_order, only_build  # noqa: E402

from vaelib.files import UserError, atomic  # noqa: E402

CONTENTS = "archive.json"  # in the archive: the scale, the data set, the banner and the names of the runs
UNSHOWN = "images"  # of the arrays: images that other runs are trained on, of which no report shows any
BROUGHT = "brought.json"  # in an experiment's folder that came from an archive: a digest of each file that came
RECORD, KEPT = "metrics.json", ("*.json", "*.csv", "arrays.safetensors")


def pack(plan: plans.Plan) -> Path:
    """Writes the archive of a plan's results and returns its path; raises BuildError where one is missing or damaged.

    Results that are no longer what the code would give are packed, too, and told.
    """
    results, file = PROJECT / "results" / plan.name, PROJECT / "results" / f"{plan.name}.tar.gz"
    if missing := [run for run in plan.runs if not (results / run / RECORD).is_file()]:
        raise BuildError(f"{len(missing)} runs have no result, such as {missing[0]}: run make report first")
    due = {run: why for run, why in identity.why_due(plan.runs, PROJECT, results).items() if not _came(results / run)}
    if due:
        print("Packed as they are, though make report would run some again:", *identity.reasons(due), sep="\n  ")
    contents = {"scale": plan.scale, "dataset": plan.dataset, "banner": plan.banner, "runs": list(plan.runs)}
    with atomic(file) as temporary, tempfile.TemporaryDirectory() as folder, tarfile.open(temporary, "w:gz") as archive:
        description = Path(folder) / CONTENTS
        description.write_text(json.dumps(contents, indent=1), encoding="utf-8")
        archive.add(description, CONTENTS)
        for run in plan.runs:
            for pattern in KEPT:
                for path in sorted((results / run).glob(pattern)):
                    archive.add(_shown(path, Path(folder)), f"{run}/{path.name}")
    return file


def _shown(path: Path, folder: Path) -> Path:
    """A file of a run, or where it holds arrays that no report shows, one without them in the folder."""
    if path.suffix != ".safetensors":
        return path
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        again = f"delete {RECORD} beside it, and make report computes it again"
        raise BuildError(f"{path.relative_to(PROJECT)} cannot be read ({error}): {again}") from None
    if UNSHOWN not in arrays:
        return path
    shown = folder / path.name
    save_file({name: array for name, array in arrays.items() if name != UNSHOWN}, shown)
    return shown


def unpack(file: Path, folder: Path) -> plans.Plan:
    """Unpacks an archive into a folder, and returns the plan of its runs; raises BuildError for what is none."""
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                _unpack(archive, member, folder)
            archive.fileobj.read()  # to the end, where gzip compares its checksum
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        runs = {run: plans.Run(*run.split("/"), {}, {}, None) for run in contents["runs"]}
        plan = plans.Plan(contents["scale"], contents["dataset"], runs, contents["banner"])
        if not all(
            plans.NAME.fullmatch(name) for run in runs.values() for name in (plan.name, run.experiment, run.name)
        ):
            raise ValueError("a name in it is none of a run")
        if missing := [run for run in runs if not (folder / run / RECORD).is_file()]:
            raise ValueError(f"{missing[0]} is missing")
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BuildError(f"{file} is no archive that make archive wrote, or it is damaged ({reason})") from None
    return plan


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Writes a member of an archive into a folder, and nothing beside it, as tarfile can from Python 3.11.4 on only."""
    if not member.isfile() or not all(plans.NAME.fullmatch(part) for part in member.name.split("/")):
        raise ValueError(f"{member.name} in it is no file of a run")
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as unpacked:
        shutil.copyfileobj(archive.extractfile(member), unpacked)


def _digests(experiment: Path) -> dict[str, str]:
    """A digest of each file below an experiment's folder, but the list of those that came from an archive."""
    files = [path for path in sorted(experiment.rglob("*")) if path.is_file() and path != experiment / BROUGHT]
    return {str(path.relative_to(experiment)): _digest(path) for path in files}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _brought(experiment: Path) -> dict[str, str]:
    """The digests of the files of an experiment's folder as an archive brought them."""
    try:
        return json.loads((experiment / BROUGHT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _came(run: Path) -> bool:
    """Whether the record in a run's folder is the one that an archive brought."""
    return _brought(run.parent).get(f"{run.name}/{RECORD}") == _digest(run / RECORD)


def _own(experiment: Path) -> Path | None:
    """A file below an experiment's folder that no archive brought, such as of an interrupted run; None without one."""
    brought = _brought(experiment)
    own = (experiment / file for file, digest in _digests(experiment).items() if brought.get(file) != digest)
    return next(own, None)


def report(file: Path) -> list[Path]:
    """Builds the report of an archive and returns its files; raises BuildError with what stood in the way."""
    (PROJECT / "results").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT / "results", prefix=".archive-") as folder:
        plan = unpack(file, Path(folder))
        results = PROJECT / "results" / plan.name
        with only_build(results):
            there = [path for path in sorted(results.glob("[!.]*/")) if path.name not in plans.RESERVED]
            if own := next(filter(None, map(_own, there)), None):
                raise BuildError(
                    f"{own.relative_to(PROJECT)} is of a run of its own: make report SCALE={plan.scale} goes on with "
                    f"those; to use the archive, rename or delete results/{plan.name} first"
                )
            for experiment in {run.experiment for run in plan.runs.values()}:
                unpacked = Path(folder) / experiment
                (unpacked / BROUGHT).write_text(json.dumps(_digests(unpacked), indent=1), encoding="utf-8")
                shutil.rmtree(results / experiment, ignore_errors=True)
                unpacked.rename(results / experiment)
            _build(plan)
    return [PROJECT / "report" / "build" / plan.name / f"report.{kind}" for kind in ("html", "pdf")]


def _build(plan: plans.Plan) -> None:
    """Gathers, executes the report's notebook and publishes it, as the Snakefile does."""
    results, build = f"results/{plan.name}", f"report/build/{plan.name}"
    notebook, executed = f"{results}/report/report.ipynb", f"{results}/logs/report.ipynb"
    (PROJECT / results / "logs").mkdir(exist_ok=True)
    runs = [f"{results}/{run}" for run in plan.runs]
    gather = ["-m", "vaelib.runs.records", "gather", "--out", f"{results}/summary.json", *runs]
    execute = ["-m", "papermill", "--no-progress-bar", "--log-output", "report/report.ipynb", executed]
    execute += ["-r", "scale", plan.scale, "-r", "results", results]
    publish = ["-m", "vaelib.report.publish", notebook, "--out", build, f"--banner={plan.banner}"]
    _watch("gather", results, [], gather)
    _watch("report", results, ["--executed", executed, "--keep", notebook], execute)
    _watch("publish", results, [], publish)


def _watch(name: str, results: str, options: list[str], command: list[str]) -> None:
    watch = [sys.executable, "workflow/watch.py", name, "--log", f"{results}/logs/{name}.log", *options]
    if subprocess.run([*watch, "--", sys.executable, *command], cwd=PROJECT, check=False).returncode:
        raise BuildError("the lines above say what failed")


def main() -> int:
    """Parses the arguments, packs or builds, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("pack", help="write results/SCALE.tar.gz")
    command.add_argument("scale", help="a file of workflow/scales, without .yaml")
    command.add_argument("--dataset", default=plans.USUAL, help="the images that it is about (default: MNIST)")
    command = commands.add_parser("report", help="build the report of an archive")
    command.add_argument("file", type=Path, help="what `pack` wrote")
    options = parser.parse_args()
    end_in_order()
    try:
        if options.command == "pack":
            plan = plans.load(PROJECT, options.scale, options.dataset)
            with only_build(PROJECT / "results" / plan.name):
                file = pack(plan)
            name = file.relative_to(PROJECT)
            where = f"in another checkout, or here once results/{plan.name} is renamed"
            print(f"{name}: {file.stat().st_size / 1e6:.1f} MB. make report ARCHIVE={name} builds its report {where}")
        else:
            print("Built:", *[f"  {path.relative_to(PROJECT)}" for path in report(options.file)], sep="\n")
    except (BuildError, plans.PlanError, UserError, OSError) as error:
        print(f"No {'archive' if options.command == 'pack' else 'report'}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: the same command begins anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
