"""Paired differences, their intervals and the exchange rate against cases worked out by hand."""

import math

import pandas as pd
import pytest

from vaelib.measure.intervals import mean_interval
from vaelib.synthetic import worth

REAL, SYNTHETIC, FURTHER = [0.90, 0.92, 0.91], [0.92, 0.93, 0.915], [0.95, 0.96, 0.955]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three seeds, in no order, at two fractions."""
    columns = {"real": REAL, "synthetic": SYNTHETIC, "further": FURTHER}
    rows = [
        {
            "fraction": fraction,
            "seed": seed,
            **{f"test_accuracy_{a}_updates": v[seed] + plus for a, v in columns.items()},
        }
        for fraction, plus in ((0.2, 0.0), (0.5, 0.03))
        for seed in (2, 0, 1)
    ]
    return pd.DataFrame(rows)


def test_changes_are_taken_seed_by_seed(frame):
    assert worth.change(frame, 0.2, "synthetic", "updates").tolist() == pytest.approx([0.02, 0.01, 0.005])
    assert worth.by_seed(frame, 0.5, "real", "updates").tolist() == pytest.approx([0.93, 0.95, 0.94])


def test_the_interval_of_a_paired_difference_is_students(frame):
    """Differences 0.02, 0.01, 0.005: mean 0.011667, deviation 0.0076376, t(0.975, 2) = 4.302653."""
    mean, half = mean_interval(worth.change(frame, 0.2, "synthetic", "updates"))
    assert mean == pytest.approx(0.0116667, abs=1e-6)
    assert half == pytest.approx(4.302653 * 0.0076376 / math.sqrt(3), abs=1e-5)


def test_the_share_recovered_is_that_of_the_mean_gain_of_further_real_images(frame):
    mean, _ = worth.recovered(frame, 0.2, "updates")
    assert mean == pytest.approx(0.0116667 / 0.045, abs=1e-5)


@pytest.mark.parametrize(
    ("error", "rate"), [(0.08, 0.0), (0.04, 1.0), (0.08 / math.sqrt(2), math.sqrt(2) - 1), (0.16, -0.5)]
)
def test_the_exchange_rate_of_known_errors(error, rate):
    """An error of 0.08 that halves when the real images double: e ~ 1 / n."""
    row = {"fraction": 0.2, "test_accuracy_real_updates": 0.92, "test_accuracy_further_updates": 0.96}
    frame = pd.DataFrame([{**row, "seed": seed, "test_accuracy_synthetic_updates": 1 - error} for seed in (0, 1)])
    mean, half = worth.exchange_rate(frame, 0.2, "updates")
    assert mean == pytest.approx(rate, abs=1e-9) and half == pytest.approx(0, abs=1e-9)
