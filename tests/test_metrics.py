"""Neighbours, holes and intervals on data whose answer is known."""

import math

import numpy as np
import pytest
import torch

from vaelib.measure.intervals import mean_interval
from vaelib.measure.metrics import knn_accuracy, latent_confusions


@pytest.fixture
def blobs():
    """Ten clusters on a circle of radius 10, far apart: 40 points each."""
    torch.manual_seed(0)
    labels = torch.arange(10).repeat(40)
    angle = labels * (2 * math.pi / 10)
    return torch.stack([10 * angle.cos(), 10 * angle.sin()], dim=1) + 0.1 * torch.randn(400, 2), labels


def test_mean_interval_is_student_t():
    # Mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445 from a printed table.
    mean, half = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3 and half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert mean_interval([1.0, 3.0], confidence=0.9)[1] == pytest.approx(6.313752 * 1, rel=1e-6)


def test_mean_interval_of_one_value_has_no_width():
    mean, half = mean_interval([2.5])
    assert mean == 2.5 and math.isnan(half)


def test_neighbours_in_separate_clusters_are_always_right(blobs):
    assert knn_accuracy(*blobs, *blobs, labelled=200) == 1.0
    np.testing.assert_array_equal(latent_confusions(*blobs, *blobs), np.eye(10))


def test_neighbours_of_shuffled_labels_are_right_by_chance(blobs):
    means, labels = blobs
    shuffled = labels[torch.randperm(400)]
    assert knn_accuracy(means, shuffled, means, labels, labelled=200) == pytest.approx(0.1, abs=0.08)


def test_confusions_have_the_true_digit_in_their_rows(blobs):
    means, labels = blobs
    asked = labels.clone()
    asked[labels == 3] = 8  # images of an 8 that lie among the 3s
    shares = latent_confusions(means, labels, means, asked)
    assert shares[8, 3] == shares[8, 8] == 0.5 and shares[3].sum() == 0
