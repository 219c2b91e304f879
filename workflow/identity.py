"""What the result of a run depends on, why a run is due, and whether its code is what git keeps.

An identity maps names to digests: the run's parameters, the versions of libraries, the data's files, the notebook's
code and each module that it computes with. Snakemake runs again what has another identity than before, and watch.py
leaves it in the run's folder, so that the next build can say what has changed.
"""

import base64
import functools
import hashlib
import importlib.metadata
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from plan import Run
from watch import IDENTITY

from vaelib import archives, sources

RESULT = ("metrics.json", "notebook.ipynb")  # what a finished run leaves, its record first
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "torchmetrics")  # what else computes numbers
NAMED = 3  # how many files are named in a line; of more, the rest is counted


def of_run(run: Run, project: Path) -> str:
    """The identity of a run as JSON."""
    settings = json.dumps([run.parameters, run.needs, run.threads])
    files = archives.found(project / "data" / run.dataset / "raw").values()
    parts = {
        "parameters": hashlib.sha256(settings.encode()).hexdigest()[:16],
        **{str(file.relative_to(project)): sources.digest(file) for file in sorted(files)},
        **_of_code(project / "notebooks" / f"{run.experiment}.ipynb", project),
    }
    return json.dumps(parts)


@functools.cache  # for a process that began with the code goes on with it
def _of_code(notebook: Path, project: Path) -> dict[str, str]:
    """The versions and digests of the code that all runs of a notebook have in common."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return versions | sources.of_notebook(notebook, project)


def why_due(runs: Mapping[str, Run], project: Path, results: Path) -> dict[str, str]:
    """The runs that are due, and why."""
    due: dict[str, str] = {}
    for name in _needed_first(runs):
        run, folder = runs[name], results / name
        now = json.loads(of_run(run, project))
        if not all((folder / file).is_file() for file in RESULT):
            due[name] = "without a result so far"
        elif changed := _changed(folder / IDENTITY, now):
            due[name] = changed
        elif set(run.needed) & set(due):
            due[name] = "what they need runs again"
        elif any(_newer(needed, name, results) for needed in run.needed):
            due[name] = "what they need has run since"
    return due


def kept_by_snakemake(results: Path, kind: str, run: str) -> Path:
    """Where Snakemake keeps `metadata` of a run's record, or the mark that it is `incomplete`."""
    return results / ".snakemake" / kind / base64.urlsafe_b64encode(f"{run}/{RESULT[0]}".encode()).decode()


def reasons(due: Mapping[str, str]) -> list[str]:
    """A line for each reason for which runs are due, with their number."""
    counted = Counter(due.values())
    return [f"{count} run{'s' * (count > 1)}: {reason}" for reason, count in counted.most_common()]


def not_as_committed(runs: Mapping[str, Run], project: Path) -> list[str]:
    """A line that names what the runs compute with and git's last commit has otherwise, or not; none if all is there.

    A comment, a notebook's text and its outputs do not count. Outside of a git checkout there is nothing to say.
    """
    try:
        edited = _git(project, "diff", "--name-only", "--relative", "--no-ext-diff", "-z", "HEAD")
        edited += _git(project, "ls-files", "--others", "--exclude-standard", "-z")
    except (OSError, subprocess.CalledProcessError):
        return []
    paths = set(edited.decode(errors="surrogateescape").split("\0"))
    if not any(path.startswith(("notebooks/", "vaelib/", "data/")) for path in paths):
        return []
    now = {path: digest for run in runs.values() for path, digest in json.loads(of_run(run, project)).items()}
    names = [path for path in sorted(paths & set(now)) if _committed(path, project) != now[path]]
    return [f"not as committed: {_listed(names)}"] if names else []


def _committed(path: str, project: Path) -> str | None:
    """The digest of a file as the last commit has it; None where it has none."""
    try:
        return sources.digest_of_code(_git(project, "show", f"HEAD:./{path}"), Path(path).suffix)
    except (subprocess.CalledProcessError, ValueError, KeyError):
        return None


def _git(project: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=True).stdout


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _needed_first(runs: Mapping[str, Run]) -> list[str]:
    """The names of the runs, each after those that it needs."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        if name not in ordered:
            for needed in runs[name].needed:
                add(needed)
            ordered[name] = None

    for name in runs:
        add(name)
    return list(ordered)


def _newer(needed: str, run: str, results: Path) -> bool:
    """Whether a needed run's record is newer than a run's result, and says something else than the run has read.

    That is Snakemake's own rule: of a record that was copied or touched, the time alone is new.
    """
    record = results / needed / RESULT[0]
    if record.stat().st_mtime_ns <= min((results / run / file).stat().st_mtime_ns for file in RESULT):
        return False
    now = hashlib.sha256(record.read_bytes()).hexdigest()
    try:
        known = json.loads(kept_by_snakemake(results, "metadata", run).read_text(encoding="utf-8"))
        return known["input_checksums"][f"{needed}/{RESULT[0]}"] != f"sha256:{now}"
    except (OSError, ValueError, KeyError, TypeError):
        return True  # what it has read is not known


def _changed(file: Path, now: Mapping[str, str]) -> str:
    """What differs from the identity in a file, as a reader would say it; nothing when it is the same."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "what they were computed with is not known"
    names = [name for name in now if before.get(name) != now[name]] + [name for name in before if name not in now]
    return f"{_listed(names)} changed" if names else ""
