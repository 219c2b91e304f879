"""Sharpness and distances between sets of images against SciPy, brute force and cases that are plain to see."""

import numpy as np
import pytest
import torch
from scipy import linalg, ndimage

from vaelib import data
from vaelib.measure import realism
from vaelib.models.classifier import Classifier


def cloud(count: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(4, 4, generator=torch.Generator().manual_seed(9))
    return scale * torch.randn(count, 4, generator=rng) @ mix + shift


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 0.0), (1.0, 3.0), (0.5, -1.0)])
def test_frechet_distance_is_that_of_the_gaussians_by_scipy(scale, shift):
    real, made = cloud(500, 0), cloud(700, 1, scale, shift)
    means = [points.mean(0).double().numpy() for points in (real, made)]
    covariances = [np.cov(points.double().numpy().T) for points in (real, made)]
    expected = ((means[0] - means[1]) ** 2).sum()
    expected += np.trace(sum(covariances) - 2 * linalg.sqrtm(covariances[0] @ covariances[1]).real)
    assert realism.frechet_distance(real, made) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_a_set_from_itself_is_zero():
    assert realism.frechet_distance(cloud(300, 0), cloud(300, 0)) == pytest.approx(0, abs=1e-6)


def test_precision_and_recall_are_those_of_brute_force():
    real, made = cloud(80, 0), cloud(60, 1, 0.8, 0.5)

    def covered(points, by):
        radii = [sorted(torch.dist(a, b).item() for b in by)[realism.NEIGHBOURS] for a in by]  # itself comes first
        inside = [any(torch.dist(p, b) <= r for b, r in zip(by, radii, strict=True)) for p in points]
        return sum(inside) / len(inside)

    assert realism.precision_recall(real, made) == pytest.approx((covered(made, real), covered(real, made)))


def test_precision_and_recall_do_not_change_far_from_the_origin():
    """Where a distance taken from squares in float32 would lose its digits."""
    real, made = ((points * 64).round() / 64 for points in (cloud(80, 0), cloud(60, 1, 0.8, 0.5)))  # so + 4096 is exact
    assert realism.precision_recall(real + 4096, made + 4096) == realism.precision_recall(real, made)


def test_samples_of_one_corner_are_precise_and_recall_little():
    real = cloud(400, 0)
    corner = real[:1] + 0.01 * cloud(400, 1)
    precision, recall = realism.precision_recall(real, corner)
    assert precision > 0.95 and recall < 0.05
    assert realism.precision_recall(real, real) == (1.0, 1.0)
    assert realism.precision_recall(real, real + 100) == (0.0, 0.0)


def test_sharpness_is_the_variance_of_scipys_laplacian(mnist):
    images = mnist["test"].take(5)
    maps = data.grey(images.images).reshape(5, 28, 28).double().numpy()
    expected = np.mean([ndimage.laplace(image)[1:-1, 1:-1].var(ddof=1) for image in maps])
    assert realism.sharpness(images) == pytest.approx(expected, rel=1e-4)


def test_blurred_digits_are_less_sharp_and_far_from_real_ones(mnist):
    torch.manual_seed(0)
    model = Classifier().eval()
    real, others = mnist["test"].take(400), data.Images(*(t[400:800] for t in mnist["test"]))
    blurred = ndimage.gaussian_filter(others.images.double().numpy(), (0, 0, 1.5, 1.5))
    blurred = data.Images(torch.as_tensor(blurred).round().to(torch.uint8), others.labels)
    sharp, soft = realism.measure(model, real, others), realism.measure(model, real, blurred)
    assert soft["sharpness"] < 0.3 * sharp["sharpness"]
    assert soft["frechet_distance"] > 3 * sharp["frechet_distance"] > 0
    assert 0 <= soft["recall"] <= 1 and sharp["precision"] > 0.5


def test_features_are_those_of_each_image(mnist):
    torch.manual_seed(0)
    model, images = Classifier().eval(), mnist["test"].take(2010)  # more than one block
    found = realism.features(model, images)
    assert found.shape == (2010, 128)
    torch.testing.assert_close(
        found[2005], model.features(data.grey(images.images[2005:2006]))[0], rtol=1e-4, atol=1e-5
    )
