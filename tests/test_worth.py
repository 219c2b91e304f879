"""Paired differences and their intervals against known variances, what is refused, and rates worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vaelib.measure.intervals import mean_interval
from vaelib.synthetic import worth
from vaelib.synthetic.answers import Trained
from vaelib.synthetic.worth import Difference

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


def classifiers(correct: np.ndarray) -> list[Trained]:
    """A classifier for each row, which says how rightly it took each image; the seeds in no order."""
    settings = {"batch_size": 128, "learning_rate": 0.004, "precision": "float32", "classifier": "sha256:1"}
    data = {"real_checksum": "crc32:1", "measured_checksum": "crc32:2"}
    return [Trained(seed=seed, updates=500, **settings, **data, correct=row) for seed, row in enumerate(correct)][::-1]


@pytest.mark.parametrize(
    ("of_runs", "of_images", "of_both"),
    [(0.02, 0.0, 0.0), (0.0, 0.4, 0.0), (0.02, 0.4, 0.0), (0.02, 0.4, 0.3)],
    ids=["runs alone", "images alone", "runs and images", "and what is particular to both"],
)
def test_the_interval_covers_the_true_difference_in_about_95_of_100_experiments(of_runs, of_images, of_both):
    """Differences with known deviations: of run to run, of image to image, and of an image in a run."""
    rng, true, covered = np.random.default_rng(0), 0.01, 0
    for _ in range(500):
        runs, images = of_runs * rng.standard_normal((5, 1)), of_images * rng.standard_normal(400)
        changes = true + runs + images + of_both * rng.standard_normal((5, 400))
        measured = worth.difference(classifiers(changes), classifiers(np.zeros((5, 400))))
        covered += abs(measured.mean - true) <= measured.half
    assert 0.93 <= covered / 500 <= 0.99


def test_a_difference_is_paired_by_seed_and_by_image():
    """Two runs, four images: changes of 1/4 and 1/2, averaged over runs 1, 0.5, 0 and 0 from image to image."""
    first = classifiers(np.array([[True, False, True, False], [True, True, True, False]]))
    second = classifiers(np.array([[False, False, True, False], [False, False, True, False]]))[::-1]
    measured = worth.difference(first, second)
    over_runs = 12.7062 * math.sqrt(1 / 32) / math.sqrt(2)
    over_images = 1.95996 * np.std([1, 0.5, 0, 0], ddof=1) / 2
    assert measured == pytest.approx((0.375, math.hypot(over_runs, over_images), 2), abs=1e-4)
    assert measured.covers == "runs and images"


def test_of_one_run_the_interval_covers_images_alone_and_says_so():
    measured = worth.difference(
        *(classifiers(np.array([row])) for row in ([True, True, False, True], [True, False] * 2))
    )
    assert measured.half == pytest.approx(1.95996 * np.std([0, 1, -1, 1], ddof=1) / 2, abs=1e-4)
    assert measured.covers == "images alone, of one run" and worth.verdict(measured, 0.5) == "undecided"


@pytest.mark.parametrize(
    ("field", "value"),
    [("updates", 1000), ("batch_size", 64), ("learning_rate", 0.002), ("precision", "bfloat16"),
     ("classifier", "sha256:2"), ("real_checksum", "crc32:3"), ("measured_checksum", "crc32:4")],
)  # fmt: skip
def test_what_differs_in_more_than_what_is_compared_is_refused(field, value):
    first, second = (classifiers(np.zeros((2, 4))) for _ in range(2))
    other = [replace(trained, **{field: value}) for trained in second]
    for pair in ((first, other), (other, first), ([first[0], other[1]], first)):
        with pytest.raises(ValueError, match=f"differ in {field}: .*{value}|differ in {field}: {value}"):
            worth.difference(*pair)
    assert worth.difference(first, other, compared={field}).mean == 0
    with pytest.raises(ValueError, match=f"differ in {field}"):  # also where it is compared, a set is of one kind
        worth.difference([first[0], other[1]], second, compared={field})


def test_classifiers_of_other_seeds_or_none_are_no_pairs():
    three = classifiers(np.zeros((3, 4)))
    for other in (three[1:], [three[0], three[0], three[1]]):
        with pytest.raises(ValueError, match="the same seeds in both sets, each once"):
            worth.difference(three, other)
    with pytest.raises(ValueError, match="nothing to compare"):
        worth.difference(three, [])


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [(0.003, 0.002, "gain"), (0.002, 0.003, "undecided"), (0.001, 0.0015, "no use"), (-0.003, 0.002, "loss"),
     (-0.001, 0.006, "undecided"), (-0.001, 0.002, "no use")],
)  # fmt: skip
def test_a_verdict_says_no_more_than_the_interval_does(mean, half, expected):
    assert worth.verdict(Difference(mean, half, runs=5), useful=0.003) == expected


def test_runs_that_were_trained_in_different_ways_are_not_averaged(frame):
    with pytest.raises(ValueError, match="differ in updates: 500 and 1000"):
        worth.change(frame.assign(updates=[500, 500, 1000, 500, 500, 500]), 0.2, "synthetic", "updates")
