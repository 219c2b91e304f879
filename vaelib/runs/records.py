"""Run records: how the results of finished runs are read, one by one or many as a table."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from vaelib.files import RunError, UserError, atomic, resolve

RECORD = "metrics.json"
BEGUN = "parameters.json"  # of a run that has begun: its notebook, and its parameters


class Kept(dict[str, Any]):
    """What a run's folder has, by name; another name is a `RunError` that names the folder."""

    def __init__(self, content: Mapping[str, Any], folder: Path, kind: str):
        super().__init__(content)
        self._folder, self._kind = folder, kind

    def __missing__(self, name: str) -> Any:
        raise RunError(
            f"{self._folder} has no {self._kind} {name}: it is a run of another notebook than is needed here."
        )


def notebook_of(folder: Path) -> str | None:
    """The notebook whose run a folder holds, finished or not; None where it holds none."""
    try:
        return json.loads((folder / BEGUN).read_text(encoding="utf-8"))["notebook"]
    except (OSError, ValueError, KeyError):
        return None


def read_record(folder: str | Path, **wanted: Any) -> dict[str, Any]:
    """The record of a finished run, whose parameters must have the `wanted` values; `notebook` is that which made it.

    Raises `RunError` when the folder is missing, has no record (the run failed or is not finished), a damaged one, or
    that of a run with other parameters or of another notebook.
    """
    folder = resolve(folder)
    path = folder / RECORD
    if not folder.is_dir():
        raise RunError(f"there is no run at {folder}. Run its notebook first, or correct the path.")
    if not path.exists():
        raise RunError(f"{folder} holds no {RECORD}: its run failed or is not finished. Run it again.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record = {part: record[part] for part in ("config", "metrics", "provenance")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}). Delete the folder and run it again.") from error
    record["config"] = Kept(record["config"], folder, "parameter")
    record["metrics"] = Kept(record["metrics"], folder, "number")
    made_by = {"notebook": record["provenance"].get("notebook")}
    for name, value in wanted.items():
        found = (made_by if name in made_by else record["config"])[name]
        if found != value:
            raise RunError(f"{folder} was run with {name} = {found!r}; {value!r} is needed here.")
    return record


def read_records(folders: Sequence[str | Path], **wanted: Any) -> dict[str, dict[str, Any]]:
    """The records of several runs by the names of their folders, of which no two may be alike."""
    records = {resolve(folder).name: read_record(folder, **wanted) for folder in folders}
    if len(records) < len(folders):
        raise RunError(f"of the runs {', '.join(map(str, folders))} two have folders of the same name.")
    return records


def arrays(folder: str | Path) -> dict[str, np.ndarray]:
    """What a run keeps besides its record; `RunError` when that is missing or damaged, and for an array it has not."""
    path = resolve(folder) / "arrays.safetensors"
    try:
        return Kept(load_file(path), path.parent, "array")
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}). Run its notebook again.") from None


def table(summary: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Records by run name as a table: a row a run, parameters and metrics as columns."""
    rows = {name: {**record["config"], **record["metrics"]} for name, record in summary.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def gather_table(folder: str | Path) -> pd.DataFrame:
    """All finished runs below a folder as a table: a row a run, by its path there; unfinished ones are left out.

    Raises `RunError` when there is none.
    """
    folder = resolve(folder)
    found = sorted(path.parent for path in folder.rglob(RECORD))
    if not found:
        raise RunError(f"there is no finished run below {folder}. Run a notebook there, or correct the path.")
    return table({run.relative_to(folder).as_posix(): read_record(run) for run in found})


def gather(folders: Sequence[str | Path], out: Path) -> None:
    """Write the records of finished runs into one JSON file, keyed by "experiment/run"."""
    records = {"/".join(resolve(f).parts[-2:]): read_record(f) for f in folders}
    with atomic(out) as temporary:
        temporary.write_text(json.dumps(records, indent=1), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m vaelib.runs.records gather --out summary.json RUN_DIR...`."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.runs.records", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("gather", help="collect the records of runs into one file")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("run_dir", nargs="+")
    options = parser.parse_args(arguments)
    try:
        gather(options.run_dir, options.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
