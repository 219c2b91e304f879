"""Means over seeds with their intervals."""

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import stdtrit


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean over seeds and the half-width of its Student t interval (NaN for a single value)."""
    values = np.asarray(list(values), dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    quantile = stdtrit(len(values) - 1, 0.5 + confidence / 2)
    return float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(len(values)))
