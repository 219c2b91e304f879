"""A decoder on the torus: its lattice, its loss, and its exact log p(x), against sums that are written out."""

import math

import pytest
import torch
from torch import distributions

from vaelib import data
from vaelib.exact import torus
from vaelib.models.torus import Torus
from vaelib.training.lattice import LatticeLoss, fibonacci_lattice
from vaelib.training.table import decoded


@pytest.fixture
def model():
    """A decoder that changes along the torus, with weights as large as training makes them."""
    torch.manual_seed(0)
    model = Torus(hidden=30)
    with torch.no_grad():
        model.decoder[0].weight *= 4
    return model


def log_likelihoods(model, x, u):
    """log p(x | u) of every image at every place, by torch's own Bernoulli."""
    ink = distributions.Independent(distributions.Bernoulli(logits=model.decode(u).double()), 1)
    return torch.stack([ink.log_prob(image.double()) for image in x])


def test_places_a_whole_number_apart_are_the_same(model):
    u = torch.rand(20, 2)
    torch.testing.assert_close(model.decode(u), model.decode(u + torch.tensor([1.0, -2.0])), rtol=0, atol=1e-4)
    assert model.decode(u).std(0).mean() > 0.1


def test_the_lattice_is_spread_evenly():
    u = fibonacci_lattice(torch.device("cpu"))
    assert u.shape == (610, 2) and u.min() == 0 and u.max() < 1
    for axis in u.T:
        torch.testing.assert_close(axis.sort().values, torch.arange(610) / 610)  # no two in a line
    apart = (u[:, None] - u).abs()
    nearest = (torch.minimum(apart, 1 - apart).norm(dim=-1) + 9 * torch.eye(610)).amin(1)
    assert nearest.min() > 0.85 / math.sqrt(610)  # a square grid of as many points has 1 / sqrt(610)


def test_exact_log_px_is_the_mean_over_a_grid_and_knows_its_error(model, mnist):
    x = data.evaluation_pixels(mnist["test"].images[:5], "A")
    with torch.no_grad():
        axis = torch.arange(64) / 64
        every = log_likelihoods(model, x, torch.cartesian_prod(axis, axis))
        other = log_likelihoods(model, x, torch.cartesian_prod(axis[::2], axis[::2]))
    expected, coarse = every.logsumexp(1) - math.log(64**2), other.logsumexp(1) - math.log(32**2)
    log_px, error = torus.log_likelihood(model, x, side=64)
    torch.testing.assert_close(log_px.double(), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(error.double(), (expected - coarse).abs(), rtol=0, atol=1e-3)
    finer, _ = torus.log_likelihood(model, x, side=96)
    torch.testing.assert_close(finer, log_px, rtol=0, atol=0.01)


def test_the_lattice_s_estimate_is_unbiased_for_px_and_has_the_term_of_its_number_of_points(model, mnist):
    images = mnist["test"].take(3)
    loss, rng = LatticeLoss(model, "B"), torch.Generator().manual_seed(0)
    exact, _ = torus.log_likelihood(model, data.grey(images.images), side=128)
    with torch.no_grad():
        drawn = torch.stack([-loss(images, rng)["loss"] for _ in range(200)]).double()
        table = decoded(model, fibonacci_lattice(torch.device("cpu")))
    torch.testing.assert_close(drawn.logsumexp(0) - math.log(200), exact.double(), rtol=0, atol=0.05)
    with torch.no_grad():
        scores = log_likelihoods(model, data.evaluation_pixels(images.images, "A"), table.z)
    estimate = table.log_px(model, data.evaluation_pixels(images.images, "A"))
    torch.testing.assert_close(estimate.double(), scores.logsumexp(1) - math.log(610), rtol=0, atol=1e-3)
