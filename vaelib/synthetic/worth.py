"""What is added to the real images, and what it changes: paired differences over seeds and the exchange rate.

The frames here hold a row for each run of `notebooks/augmentation.ipynb`: its `fraction`, its `seed`, and a column
`test_accuracy_<arm>_<budget>` for each classifier it trained. Runs of the same seed are pairs: the same first weights.
"""

import math

import numpy as np
import pandas as pd

from vaelib.measure.intervals import mean_interval


def by_seed(frame: pd.DataFrame, fraction: float, arm: str, budget: str, of: str = "test_accuracy") -> pd.Series:
    """An accuracy of one arm by seed; of one digit with `of="test_accuracy_7"`."""
    chosen = frame[np.isclose(frame.fraction, fraction)].set_index("seed").sort_index()
    return chosen[f"{of}_{arm}_{budget}"]


def change(frame: pd.DataFrame, fraction: float, arm: str, budget: str, of: str = "test_accuracy") -> pd.Series:
    """Accuracy of an arm minus that of the real images alone, seed by seed."""
    return by_seed(frame, fraction, arm, budget, of) - by_seed(frame, fraction, "real", budget, of)


def recovered(frame: pd.DataFrame, fraction: float, budget: str) -> tuple[float, float]:
    """Share of the gain of further real images that synthetic ones bring: mean and half-width over seeds.

    The gain of further real images is taken as its mean, so that the interval is that of the synthetic ones.
    """
    ceiling = change(frame, fraction, "further", budget).mean()
    return mean_interval(change(frame, fraction, "synthetic", budget) / ceiling)


def exchange_rate(frame: pd.DataFrame, fraction: float, budget: str) -> tuple[float, float]:
    """How many further real images one synthetic image is worth: mean and half-width over seeds.

    Between N and 2 N real images the error is taken to fall as a power of their number, log e = a - b log n. The arm
    with N real and N synthetic images then has the error of n' real ones, and the rate is (n' - N) / N: 0 for images
    that change nothing, 1 for images as good as real ones, negative for images that harm.
    """
    error = {arm: 1 - by_seed(frame, fraction, arm, budget) for arm in ("real", "synthetic", "further")}
    slope = math.log(error["real"].mean() / error["further"].mean())  # of log e, from N to 2 N
    doublings = (np.log(error["real"]) - np.log(error["synthetic"])) / slope
    return mean_interval(2**doublings - 1)
