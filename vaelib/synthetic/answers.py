"""Which images each trained classifier got right, and under what it was trained: as a run keeps it and as it is read.

A run keeps a table `accuracies` with a row for each classifier, and an array of bools for each set of images on which
it was measured: `test_correct.<arm>.<updates>.seed<seed>`, and `validation_correct.` likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from vaelib import data, sources
from vaelib.models import classifier
from vaelib.training.loop import Settings


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained classifier as a difference needs it: what two must have in common, and which images it got right."""

    seed: int  # of its first weights and of the order of its images
    updates: int
    batch_size: int
    learning_rate: float
    precision: str
    classifier: str  # a digest of the code of the network
    real_checksum: str  # of the real images, to which its arm adds others or which it replaces
    measured_checksum: str  # of the images that it was measured on
    correct: np.ndarray  # of each of those, whether it was classified rightly


class Accuracies:
    """Collects trained classifiers that share their real images and the images that they are measured on."""

    def __init__(self, real: data.Images, measured: Mapping[str, data.Images]):
        """`measured` are sets of images by name, "test" and "validation"; an empty one is left out."""
        self.measured = {name: images for name, images in measured.items() if len(images.labels)}
        self.shared = {"real_checksum": _checksum(real)}
        self.shared |= {f"{name}_checksum": _checksum(images) for name, images in self.measured.items()}
        self.shared["classifier"] = f"sha256:{sources.digest(Path(classifier.__file__))}"
        self.rows: list[dict[str, Any]] = []
        self.scores: dict[tuple, dict[str, float]] = {}  # what stands for two budgets is measured once
        self.arrays: dict[str, Tensor] = {}

    def add(
        self, model: classifier.Classifier, arm: str, updates: int, settings: Settings, **others: Any
    ) -> dict[str, Any]:
        """Measure a classifier of an arm, and return its row of the table, which has the `others` as columns, too."""
        steps = {name: getattr(settings, name) for name in ("seed", "batch_size", "learning_rate", "precision")}
        row = {"arm": arm, **others, "updates": updates, **steps, **self.shared}
        known = (model, arm, updates, settings.seed)
        if known not in self.scores:
            self.scores[known] = self._measure(*known)
        row |= self.scores[known]
        self.rows.append(row)
        return row

    def _measure(self, model: classifier.Classifier, arm: str, updates: int, seed: int) -> dict[str, float]:
        """Its accuracies; keeps which images it got right."""
        numbers: dict[str, float] = {}
        for name, images in self.measured.items():
            predicted = classifier.predict(model, images)
            correct = predicted == images.labels
            self.arrays[_array(name, arm, updates, seed)] = correct
            numbers[f"{name}_accuracy"] = correct.double().mean().item()
            if name == "test":
                numbers |= classifier.accuracies(predicted, images.labels)
        return numbers

    def metrics(self, baseline_updates: int) -> dict[str, float]:
        """The accuracies where the real images alone make this number of updates, by their name, arm and budget."""
        return {
            f"{name}_{row['arm']}_{row['budget']}": value
            for row in self.rows
            if row["baseline_updates"] == baseline_updates
            for name, value in row.items()
            if "_accuracy" in name
        }

    @property
    def table(self) -> pd.DataFrame:
        """A row for each classifier, by its arm."""
        return pd.DataFrame(self.rows).set_index("arm") if self.rows else pd.DataFrame()


def read(
    table: pd.DataFrame,
    arrays: Mapping[str, np.ndarray],
    arm: str,
    measured: str = "test",
    budget: str = "updates",
    baseline_updates: int | None = None,
) -> list[Trained]:
    """The classifiers of an arm in a run, from its table `accuracies` and its arrays.

    `baseline_updates` is the number of updates of the real images alone; without one it is the largest. Raises
    `ValueError` when the run measured no such images.
    """
    if f"{measured}_checksum" not in table:
        raise ValueError(f"the run measured its classifiers on no {measured} images")
    rows = table[(table.arm == arm) & (table.budget == budget)]
    rows = rows[rows.baseline_updates == (baseline_updates or rows.baseline_updates.max())]
    shared = [field.name for field in fields(Trained) if field.name not in ("measured_checksum", "correct")]
    return [
        Trained(
            **{name: row[name] for name in shared},
            measured_checksum=row[f"{measured}_checksum"],
            correct=arrays[_array(measured, arm, row["updates"], row["seed"])],
        )
        for row in rows.to_dict("records")
    ]


def _array(measured: str, arm: str, updates: int, seed: int) -> str:
    return f"{measured}_correct.{arm}.{updates}.seed{seed}"


def _checksum(images: data.Images) -> str:
    """With the name of its kind: digits alone would be read from a table as a number."""
    return f"crc32:{data.checksum(images)}"
