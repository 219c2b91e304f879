"""Numbers and verdicts as the report writes them."""

import math
from collections.abc import Iterable

from vaelib.measure.intervals import mean_interval
from vaelib.synthetic.worth import Difference, verdict

USEFUL = 0.001  # of accuracy: ten of the 10,000 test images
HARDLY = 0.01  # of the samples: a tenth of what a digit would get if all ten came equally often


def with_interval(values: Iterable[float], digits: int = 2) -> str:
    """Mean and half-width of the 95 % interval over seeds as text; the value alone if there is one seed."""
    return as_text(*mean_interval(values), digits)


def as_text(mean: float, half: float, digits: int = 2) -> str:
    """A mean and the half-width of its interval, which is left out where there is none (NaN)."""
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def points(change: Difference | None) -> str:
    """A difference of accuracies in percentage points, with its interval; a dash where there is none."""
    if change is None:
        return "–"
    return f"{100 * change.mean:+.2f} ± {100 * change.half:.2f}"


def told(change: Difference | None) -> str:
    """What may be said of a difference of accuracies, if a gain of USEFUL or more is worth having."""
    if change is None:
        return "not measured"
    if change.runs == 1:
        return "one run decides nothing"
    return {
        "gain": "a gain",
        "loss": "a loss",
        "no use": f"no gain of {100 * USEFUL:g} points or more",
        "undecided": "undecided",
    }[verdict(change, USEFUL)]


def modes(smallest_share: float) -> str:
    """What may be said of a generator by the share of its samples that its rarest digit gets."""
    if smallest_share < HARDLY:
        return "one is hardly ever made, which is called *mode dropping*"
    return "none is missing; how varied each one is was not measured"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with what it counts: "1 seed", "12 epochs"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Iterable[str], conjunction: str = "and") -> str:
    """Items as a sentence lists them: "epochs, batch size and learning rate"."""
    *first, last = items
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def alternatives(items: Iterable[str]) -> str:
    """Items of which one is taken: "20, 50 or 100"."""
    return listed(items, "or")
