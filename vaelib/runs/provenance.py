"""Where a record's numbers come from: the code, the libraries, the machine and its load."""

import importlib.metadata
import os
import platform
import subprocess
from typing import Any

import torch

from vaelib.files import PROJECT_ROOT

SIDE_BY_SIDE = "VAELIB_RUNS_SIDE_BY_SIDE"  # the environment variable by which a build says how many share the machine

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "torchmetrics")  # what else computes numbers


def environment() -> dict[str, Any]:
    """Commit, versions, threads and neighbours. `commit` ends in "+" when package or notebooks had changes."""
    commit = _git("rev-parse", "HEAD")
    if commit and _git("status", "--porcelain", "--", "vaelib", "notebooks"):
        commit += "+"
    return {
        "commit": commit,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("vaelib", *LIBRARIES)},
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "runs_side_by_side": int(os.environ.get(SIDE_BY_SIDE, 1)),
    }


def _git(*arguments: str) -> str | None:
    """A git answer, or None outside a checkout."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def plain(value: Any) -> float | int | str | bool | None:
    """A number as JSON knows it: tensors and numpy scalars have `item`."""
    return value.item() if hasattr(value, "item") else value
