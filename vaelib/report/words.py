"""Numbers and verdicts as the report writes them."""

import math
from collections.abc import Iterable

from vaelib.measure.intervals import mean_interval


def with_interval(values: Iterable[float], digits: int = 2) -> str:
    """Mean and half-width of the 95 % interval over seeds as text; the value alone if there is one seed."""
    return as_text(*mean_interval(values), digits)


def as_text(mean: float, half: float, digits: int = 2) -> str:
    """A mean and the half-width of its interval, which is left out where there is none (NaN)."""
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def verdict(change: float, half: float) -> str:
    """What a change with its interval does to an accuracy; without an interval nobody knows."""
    if math.isnan(half):
        return "may raise or lower (one seed cannot tell)"
    if abs(change) <= half:
        return "do not measurably change"
    return "raise" if change > 0 else "lower"


def place(rank: int) -> str:
    """Where something stands in a list that begins with the highest: 1 is the highest."""
    return {1: "the highest", 2: "the second highest", 3: "the third highest"}.get(rank, f"the {rank}th highest")


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
