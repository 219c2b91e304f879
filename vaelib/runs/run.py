"""A run's folder while it is being filled: trainings, files, and the record that makes it a result."""

import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from vaelib import data, device
from vaelib.files import PROJECT_ROOT, RunError, atomic, resolve
from vaelib.models.classifier import Classifier
from vaelib.runs.parameters import Parameters
from vaelib.runs.records import RECORD
from vaelib.synthetic import arms
from vaelib.training import checkpoints, loop
from vaelib.training.loss import Loss

SIDE_BY_SIDE = "VAELIB_RUNS_SIDE_BY_SIDE"  # the environment variable by which a build says how many share the machine


class Run:
    """A run's folder while it is being filled: files first, the record `metrics.json` last.

    A folder without a record is no result; starting a run removes the record of an earlier one.
    """

    def __init__(self, config: Parameters):
        self.folder = resolve(config.run_dir)
        self.config = config
        self.started = datetime.now(UTC)
        self.environment = _environment()  # now: the commit may be another one when the run ends
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / RECORD).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"run_dir {self.folder} cannot be written: {error.strerror}.") from error

    def train(
        self,
        name: str,
        loss: Loss,
        training: data.Images,
        validation: data.Images | None,
        settings: loop.Settings,
    ) -> pd.DataFrame:
        """Train `loss.model`, printing a line an epoch, and return the epochs' metrics, a row each.

        The training stays in the run's folder under its name: run again, it is taken from there in a moment, or goes
        on where it was interrupted, as long as nothing has changed that its numbers depend on.
        """
        epochs = loop.train(loss, training, validation, settings, self.training(name))
        return pd.DataFrame(loop.progress(epochs, settings.epochs))

    def classifier(
        self, name: str, folder: str, images: data.Images, updates: int, settings: loop.Settings
    ) -> Classifier:
        """The classifier of the finished run in `folder`; where that is empty a fresh one, trained on the images."""
        if folder:
            return checkpoints.load(Classifier, resolve(folder) / "model.safetensors", images.images.device)
        return arms.train_classifier(images, updates, settings, self.training(name))

    def training(self, name: str) -> Path:
        """Where the training of this name is kept."""
        return self.folder / "trainings" / f"{name}.safetensors"

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        with atomic(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays by name into one safetensors file of the run."""
        with atomic(self.folder / name) as temporary:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary)

    def finish(self, metrics: Mapping[str, Any], images: data.Images) -> dict[str, Any]:
        """Write the record; from here on the folder is a result. Returns what was written.

        `images` are those that the run's numbers are about; the record keeps their checksum.
        """
        finished, target = datetime.now(UTC), device.resolve(self.config.device)
        record = {
            "config": self.config.model_dump(),
            "metrics": {name: _plain(value) for name, value in metrics.items()},
            "provenance": {
                **self.environment,
                "device": device.vendor_name(target),
                "precision": device.resolve_precision(getattr(self.config, "precision", "float32"), target),
                "dataset_checksum": data.checksum(images),
                "started": self.started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "wall_seconds": round((finished - self.started).total_seconds(), 1),
            },
        }
        self.write_text(RECORD, json.dumps(record, indent=2))
        return record


def _plain(value: Any) -> float | int | str | bool | None:
    """A number as JSON knows it: tensors and numpy scalars have `item`, and what is not finite becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _environment() -> dict[str, Any]:
    """Commit, versions, threads and neighbours. `commit` ends in "+" when package or notebooks had changes."""
    commit = _git("rev-parse", "HEAD")
    if commit and _git("status", "--porcelain", "--", "vaelib", "notebooks"):
        commit += "+"
    return {
        "commit": commit,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("vaelib", "torch", "torchvision")},
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
