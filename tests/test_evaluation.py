"""The numbers of a model are those of the pixels that its protocol names, and they fit together."""

import pytest
import torch

from vaelib import data
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.measure import evaluation
from vaelib.models.vae import VAE

LIKELIHOODS = {"A": "bernoulli", "B": "bernoulli", "C": "gaussian"}


@pytest.fixture(scope="module", params=LIKELIHOODS)
def measured(request, mnist):
    """An untrained model of each protocol on 12 test images, the gaps of 4 of them split."""
    torch.manual_seed(3)
    model, images = VAE("mlp", 2, LIKELIHOODS[request.param]), mnist["test"].take(12)
    return model, images, request.param, *evaluation.likelihood(model, images, request.param, 4)


def test_a_protocol_is_measured_on_its_own_pixels(measured):
    model, images, protocol, numbers, _ = measured
    x = images.images.flatten(1) / 255
    if protocol == "A":
        x = data.binarise(images.images, torch.Generator().manual_seed(data.TEST_SAMPLE_SEED))
    assert numbers["exact_nll"] == pytest.approx(-exact_log_likelihood(model, x).log_px.mean().item(), abs=1e-3)


def test_elbo_and_gaps_add_up_to_log_px_and_the_importance_weighted_bound_lies_between(measured):
    *_, numbers, each = measured
    gaps = each["approximation_gap"] + each["amortisation_gap"]
    torch.testing.assert_close(each["elbo"][:4] + gaps, each["log_px"][:4], rtol=0, atol=0.02)
    assert numbers["elbo"] == pytest.approx(numbers["reconstruction"] - numbers["kl"], abs=1e-3)
    noise = 0.5  # of 500 draws from an encoder that has learnt nothing; another protocol is off by tens of nats
    assert numbers["gap_elbo"] - noise < -numbers["iwae_nll"] < -numbers["gap_exact_nll"] + noise


def test_with_more_latent_dimensions_nothing_is_called_exact(mnist):
    torch.manual_seed(3)
    numbers, each = evaluation.likelihood(VAE("mlp", 5), mnist["test"].take(6), "A", 4)
    assert not {"exact_nll", "approximation_gap"} & set(numbers) and set(each) == {"mean", "log_variance", "elbo"}
    assert len(each["mean"]) == 6 and len(each["elbo"]) == 4
