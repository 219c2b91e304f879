"""Run records: checked parameters, provenance, atomic writes, and many runs as one table."""

import argparse
import contextlib
import difflib
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import save_file

RECORD = "metrics.json"


class ParameterError(UserError):
    """A parameter has an unknown name, a wrong type or a value out of range."""


class Parameters(BaseModel):
    """Base of a notebook's parameters: strict types, no unknown name, and read-only once checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Parameters)


def parameters(schema: type[P], namespace: Mapping[str, Any]) -> P:
    """Check a notebook's parameters before anything runs.

    `namespace` is the notebook's `globals()` just after the parameters cell and the cell that papermill injects
    behind it. Papermill itself only warns of a name it does not know; here any plain value that is not a field
    of `schema` is an error. (On a second pass in a live session other variables exist, so names go unchecked.)

    Raises `ParameterError` naming each wrong parameter and what it may be.
    """
    plain = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and isinstance(value, str | int | float | list | tuple | dict | Path | None)
    }
    first_pass = not any(isinstance(value, schema) for value in namespace.values())
    known = schema.model_fields
    unknown = [name for name in plain if name not in known and name not in ("In", "Out")] if first_pass else []
    problems = [_unknown(name, list(known)) for name in unknown]
    try:
        checked = schema(**{name: plain[name] for name in known if name in plain})
    except ValidationError as error:
        problems += [_explain(e) for e in error.errors()]
    if problems:
        raise ParameterError("\n  ".join(["the parameters were not accepted:", *problems]))
    return checked


def require(condition: bool, message: str) -> None:
    """Stop with a `ParameterError` unless the parameters fit what they name."""
    if not condition:
        raise ParameterError(f"{message}.")


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}."
    return f"'{name}' is not a parameter of this notebook: {hint}"


def _explain(error: Mapping[str, Any]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # about several parameters together
        return f"{message}."
    message = message.replace("Input should be", "it must be")
    return f"{error['loc'][0]} = {error['input']!r}: {message}."


class Run:
    """A run's folder while it is being filled: files first, the record `metrics.json` last.

    A folder without a record is no result; starting a run removes the record of an earlier one.
    """

    def __init__(self, folder: str | Path, config: Parameters):
        self.folder = resolve(folder)
        self.config = config
        self.started = datetime.now(UTC)
        self.environment = _environment()  # now: the commit may be another one when the run ends
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / RECORD).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"run_dir {self.folder} cannot be written: {error.strerror}.") from error

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        with atomic(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays by name into one safetensors file of the run."""
        with atomic(self.folder / name) as temporary:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary)

    def finish(self, metrics: Mapping[str, Any], dataset_checksum: str, device: str) -> dict[str, Any]:
        """Write the record; from here on the folder is a result. Returns what was written."""
        finished = datetime.now(UTC)
        record = {
            "config": self.config.model_dump(),
            "metrics": {name: _plain(value) for name, value in metrics.items()},
            "provenance": {
                **self.environment,
                "device": device,
                "dataset_checksum": dataset_checksum,
                "started": self.started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "wall_seconds": round((finished - self.started).total_seconds(), 1),
            },
        }
        self.write_text(RECORD, json.dumps(record, indent=2))
        for checkpoint in self.folder.glob("checkpoint*.safetensors"):
            checkpoint.unlink()
        return record


def _plain(value: Any) -> float | int | str | bool | None:
    """A number as JSON knows it: tensors and numpy scalars have `item`, and what is not finite becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _environment() -> dict[str, Any]:
    """Commit, versions and threads. `commit` ends in "+" when package or notebooks had changes."""
    commit = _git("rev-parse", "HEAD")
    if commit and _git("status", "--porcelain", "--", "vaelib", "notebooks"):
        commit += "+"
    torch = sys.modules.get("torch")
    return {
        "commit": commit,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("vaelib", "torch", "torchvision")},
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads() if torch else None,
    }


def _git(*arguments: str) -> str | None:
    """A git answer, or None outside a checkout."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


@functools.cache  # also: as they were when the process began to train
def code_digest() -> str:
    """CRC-32 of the package's modules as hexadecimal."""
    crc = 0
    for module in sorted((PROJECT_ROOT / "vaelib").glob("*.py")):
        crc = zlib.crc32(module.read_bytes(), crc)
    return f"{crc:08x}"


def read_record(folder: str | Path, **wanted: Any) -> dict[str, Any]:
    """The record of a finished run, whose parameters must have the `wanted` values.

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
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}). Delete the folder and run it again.") from error
    for name, value in wanted.items():
        if name not in record["config"]:
            raise RunError(f"{folder} has no parameter {name}: it is a run of another notebook than is needed here.")
        if record["config"][name] != value:
            raise RunError(f"{folder} was run with {name} = {record['config'][name]!r}; {value!r} is needed here.")
    return record


def table(summary: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Records by run name as a table: a row a run, parameters and metrics as columns."""
    rows = {name: {**record["config"], **record["metrics"]} for name, record in summary.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def gather(folders: Sequence[str | Path], out: Path) -> None:
    """Write the records of finished runs into one JSON file, keyed by "experiment/run"."""
    records = {"/".join(resolve(f).parts[-2:]): read_record(f) for f in folders}
    with atomic(out) as temporary:
        temporary.write_text(json.dumps(records, indent=1), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m vaelib.runs.records gather --out summary.json RUN_DIR...`."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.runs", description=main.__doc__)
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
