"""Paired differences and their intervals against known variances, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from vaelib.synthetic import worth
from vaelib.synthetic.answers import Trained
from vaelib.synthetic.worth import Difference


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
