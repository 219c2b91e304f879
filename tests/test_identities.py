"""How the two pixel protocols hang together, against numbers computed elsewhere and laws that hold for every model."""

import pytest
import torch

from vaelib import data
from vaelib.exact import identities
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.models.vae import VAE


def test_pixel_entropy_of_the_official_sets(mnist):
    parts = [mnist["train"], mnist["validation"]]
    official_train = data.Images(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    assert len(official_train.labels) == 60_000
    assert round(identities.pixel_entropy(mnist["test"]), 2) == 45.53
    assert round(identities.pixel_entropy(official_train), 2) == 45.76


def test_pixel_entropy_of_one_grey_level():
    images = torch.full((3, 1, 28, 28), 51, dtype=torch.uint8)  # P(1) = 0.2, 0.500402 nats each
    assert identities.pixel_entropy(data.Images(images, torch.zeros(3).long())) == pytest.approx(784 * 0.5004024)


def test_the_constant_mean_image_scores_what_the_literature_says(mnist):
    x = data.grey(mnist["test"].images)
    logits = torch.logit(x.mean(0), eps=1e-6)
    cross_entropy = -VAE("mlp").likelihood.log_prob(x, logits.expand_as(x)).mean().item()
    assert cross_entropy == pytest.approx(205.65, abs=0.3)


@pytest.fixture(scope="module")
def measured(mnist):
    """The identities of a small network with random weights, made to tell latents apart."""
    torch.manual_seed(0)
    model = VAE("aevb").eval()
    for parameter in model.decoder.parameters():
        parameter.data *= 4
    rows = identities.pixels(mnist["test"])
    exact = exact_log_likelihood(model, rows, keep_nodes=torch.arange(len(rows)) < identities.IMAGES)
    return model, exact, identities.measure(model, mnist["test"], exact)


@pytest.mark.slow
def test_every_single_excess_is_positive(measured):
    # log p is convex in the pixels; without that, half of the 100 differences would be negative.
    assert measured[2]["identity_smallest_excess"] > 0


@pytest.mark.slow
def test_the_grey_nll_is_above_the_expected_dynamic_one(measured, mnist):
    model, _, numbers = measured
    assert numbers["identity_grey_nll"] > numbers["identity_dynamic_nll"]
    rng = torch.Generator().manual_seed(9)
    images = mnist["test"].images[: identities.IMAGES].repeat(40, 1, 1, 1)
    dynamic = -exact_log_likelihood(model, data.binarise(images, rng)).log_px.unflatten(0, (40, -1))
    # The same expectation from other draws and without the variance reduction.
    standard_error = dynamic.mean(1).std().item() / 40**0.5
    assert numbers["identity_dynamic_nll"] == pytest.approx(dynamic.mean().item(), abs=5 * standard_error)


def test_the_grey_elbo_is_the_expected_dynamic_one(measured):
    numbers = measured[2]
    assert abs(numbers["identity_elbo_difference"]) < 4 * numbers["identity_elbo_standard_error"]
    assert 0 < numbers["identity_elbo_standard_error"] < 1


@pytest.mark.slow
def test_the_mean_logits_are_the_gradient_of_log_px(measured, mnist):
    model, exact, _ = measured
    x = identities.pixels(mnist["test"])[:2]
    expected = identities.posterior_mean_logits(model, exact, 2)
    step = 1e-2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    up, down = (exact_log_likelihood(model, x + sign * step).log_px for sign in (1, -1))
    torch.testing.assert_close((up - down) / 2, (expected * step).sum(-1), rtol=0.02, atol=2e-3)
