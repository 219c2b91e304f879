"""What images that are added change for a classifier: paired differences, and what may be said of them."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from vaelib.measure.intervals import mean_interval
from vaelib.synthetic.answers import Trained

ALIKE = [field.name for field in fields(Trained) if field.name not in ("seed", "correct")]


class Difference(NamedTuple):
    """A mean difference of accuracies, the half-width of its 95 % interval, and the number of runs behind it."""

    mean: float
    half: float
    runs: int

    @property
    def covers(self) -> str:
        """What the interval accounts for."""
        return "runs and images" if self.runs > 1 else "images alone, of one run"


def difference(first: Sequence[Trained], second: Sequence[Trained], compared: Collection[str] = ()) -> Difference:
    """Accuracy of the `first` classifiers less that of the `second`, paired by seed and by image.

    The half-width joins two in quadrature: Student's t over the runs, from whose one to whose next the seeds of
    classifier and generator change, and the normal one over the measured images, of the difference averaged over runs.
    What is particular to an image in a single run counts in both, so that the interval is rather too wide.

    Raises `ValueError` unless all classifiers agree in everything but their seed and the fields named in `compared`,
    which may differ between the two sets: {"updates"} under the budget of equal epochs.
    """
    if not first or not second:
        raise ValueError("there is nothing to compare: one of the two sets has no classifier")
    seeds = [[trained.seed for trained in trained_set] for trained_set in (first, second)]
    if sorted(seeds[0]) != sorted(seeds[1]) or len(set(seeds[0])) < len(seeds[0]):
        raise ValueError(f"pairs need the same seeds in both sets, each once, not {seeds[0]} and {seeds[1]}")
    for name in ALIKE:
        values = [[getattr(trained, name) for trained in trained_set] for trained_set in (first, second)]
        for group in values if name in compared else [values[0] + values[1]]:
            require_alike(name, group)
    second = sorted(second, key=lambda trained: trained.seed)
    pairs = zip(sorted(first, key=lambda trained: trained.seed), second, strict=True)
    changes = np.array([a.correct.astype(float) - b.correct for a, b in pairs])  # [runs, images]
    mean, over_runs = mean_interval(changes.mean(1))
    over_images = ndtri(0.975) * changes.mean(0).std(ddof=1) / math.sqrt(changes.shape[1])
    half = math.hypot(over_images, over_runs) if len(changes) > 1 else over_images
    return Difference(mean, float(half), len(changes))


def verdict(change: Difference, useful: float) -> Literal["gain", "loss", "no use", "undecided"]:
    """What a change of accuracy is, if a gain of `useful` or more is worth having.

    A gain or a loss is larger than its interval. "no use": no gain is seen, and the interval excludes a useful one.
    One run alone decides nothing.
    """
    if change.runs > 1 and abs(change.mean) > change.half:
        return "gain" if change.mean > 0 else "loss"
    return "no use" if change.runs > 1 and change.mean + change.half < useful else "undecided"


def require_alike(name: str, values: Iterable[Any]) -> None:
    """Refuse classifiers that differ in something which is not what is compared."""
    distinct = list(dict.fromkeys(map(str, values)))
    if len(distinct) > 1:
        raise ValueError(f"the classifiers to compare differ in {name}: {' and '.join(distinct)}")
