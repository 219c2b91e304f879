"""The numbers of a model are those of the pixels that its protocol names, and they fit together."""

import pytest
import torch
from torch import distributions

from vaelib import data
from vaelib.exact.aggregate import hole_share
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.measure import evaluation
from vaelib.models.vae import VAE, Posterior

LIKELIHOODS = {"A": "bernoulli", "B": "bernoulli", "C": "gaussian"}


@pytest.fixture(scope="module", params=LIKELIHOODS)
def measured(request, mnist):
    """An untrained model of each protocol on 12 test images, the gaps of 4 of them split, and on other images."""
    torch.manual_seed(3)
    model, images = VAE("mlp", 2, LIKELIHOODS[request.param]), mnist["test"].take(12)
    others = {"train": mnist["train"].take(6), "validation": mnist["validation"].take(3)}
    return model, images, request.param, *evaluation.likelihood(model, images, request.param, 4, others, points=40)


def test_a_protocol_is_measured_on_its_own_pixels(measured):
    model, images, protocol, numbers, _ = measured
    x = images.images.flatten(1) / 255
    if protocol == "A":
        x = data.binarise(images.images, torch.Generator().manual_seed(data.TEST_SAMPLE_SEED))
    assert numbers["exact_nll"] == pytest.approx(-exact_log_likelihood(model, x).log_px.mean().item(), abs=1e-3)


@pytest.mark.parametrize(
    "gaussian", [("mean", "log_variance", "elbo"), ("best_mean", "best_log_variance", "elbo_best_gaussian")]
)
def test_an_elbo_is_what_draws_say_with_the_kl_in_closed_form_and_without(measured, gaussian):
    model, images, protocol, *_, each = measured
    mean, log_variance, elbo = (each[name][:4] for name in gaussian)
    prior, q = distributions.Normal(0, 1), distributions.Normal(mean, torch.exp(0.5 * log_variance))
    noise = torch.randn(4000, 4, 2, generator=torch.Generator().manual_seed(0))
    z = q.mean + q.stddev * noise
    with torch.no_grad():
        log_likelihood = model.likelihood.log_prob(data.evaluation_pixels(images.images, protocol)[:4], model.decode(z))
    kl = distributions.kl_divergence(q, distributions.Normal(0 * mean, 1)).sum(-1)
    for draws in (log_likelihood - kl, log_likelihood + (prior.log_prob(z) - q.log_prob(z)).sum(-1)):
        assert ((draws.mean(0) - elbo).abs() < 4.5 * draws.std(0) / len(draws) ** 0.5).all()


def test_the_kl_is_the_mean_of_all_images_and_the_reconstruction_what_the_elbo_adds(measured):
    *_, numbers, each = measured
    q = distributions.Normal(each["mean"], torch.exp(0.5 * each["log_variance"]))
    kl = distributions.kl_divergence(q, distributions.Normal(torch.zeros(12, 2), 1)).sum(-1).mean().item()
    assert numbers["kl"] == pytest.approx(kl, rel=1e-5)
    assert numbers["reconstruction"] == pytest.approx(each["elbo"].mean().item() + kl, rel=1e-5)


def test_no_gap_is_negative_and_the_importance_weighted_bound_lies_between_elbo_and_log_px(measured):
    *_, numbers, each = measured
    assert (each["approximation_gap"] > -1e-3).all() and (each["amortisation_gap"] > 0).all()  # what float32 may cost
    noise = 0.5  # of 500 draws from an encoder that has learnt nothing; another protocol is off by tens of nats
    assert numbers["gap_elbo"] - noise < -numbers["iwae_nll"] < -numbers["gap_exact_nll"] + noise


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("validation", 3)])
def test_other_images_are_measured_as_test_images_are(measured, mnist, split, count):
    model, _, protocol, numbers, each = measured
    as_test, _ = evaluation.likelihood(model, mnist[split].take(count), protocol, 1)
    assert numbers[f"exact_nll_{split}"] == pytest.approx(as_test["exact_nll"], abs=1e-3)
    assert len(each[f"log_px_{split}"]) == count


def test_every_answer_is_a_bound_and_the_best_gaussian_the_best_of_them(measured):
    *_, numbers, each = measured
    for name in evaluation.ANSWERS:
        assert (each[name] <= each["log_px"][:4] + 0.01).all() and (each[name] >= each["elbo"][:4] - 0.01).all(), name
        assert (each[name] <= each["elbo_best_gaussian"] + 0.05).all(), name
        assert numbers[name] == pytest.approx(each[name].mean().item(), rel=1e-6)


def test_the_bias_is_what_the_training_estimate_lacks(measured):
    """Independently: the mean of p(x | z) over 1,600 latents, one drawn in each cell of equal probability."""
    model, images, protocol, numbers, each = measured
    x = data.evaluation_pixels(images.images, protocol)
    cell = torch.cartesian_prod(torch.arange(40), torch.arange(40))
    z = torch.distributions.Normal(0, 1).icdf((cell + torch.rand(1600, 2, generator=torch.Generator())) / 40)
    with torch.no_grad():
        log_likelihood = torch.stack([model.likelihood.log_prob(image, model.decode(z)) for image in x])
    bias = (each["log_px"] - log_likelihood.logsumexp(1) + torch.tensor(1600.0).log()).mean().item()
    assert numbers["estimate_bias"] == pytest.approx(bias, abs=0.05) and numbers["estimate_points"] == 1600


def test_with_more_latent_dimensions_nothing_is_called_exact(mnist):
    torch.manual_seed(3)
    numbers, each = evaluation.likelihood(VAE("mlp", 5), mnist["test"].take(6), "A", 4)
    assert not {"exact_nll", "approximation_gap"} & set(numbers) and set(each) == {"mean", "log_variance", "elbo"}
    assert len(each["mean"]) == 6 and len(each["elbo"]) == 4


def test_fewer_images_leave_more_holes_and_all_training_images_count(mnist, monkeypatch):
    torch.manual_seed(3)
    model, few = VAE("mlp"), mnist["train"].take(200)
    monkeypatch.setattr(evaluation, "HOLES", (20, 150, 5000))
    with torch.no_grad():
        model.encoder[-1].bias[2:] = -6.0  # narrow posteriors
    q = evaluation.encode(model, few, "A")
    numbers, _ = evaluation.latent_plane(model, few, q.mean, few.labels, "A")
    shares = {n: hole_share(Posterior(q.mean[:n], q.log_variance[:n]))[0] for n in (20, 150, 200)}
    assert numbers["hole_share"] == shares[200] <= numbers["hole_share_150"] == shares[150]
    assert numbers["hole_share_20"] == shares[20] > shares[200] and "hole_share_5000" not in numbers


def test_held_out_images_are_measured_as_test_images_are(measured):
    model, images, protocol, numbers, _ = measured
    found = evaluation.exactly(model, images, protocol)
    assert found == pytest.approx({"exact_nll": numbers["exact_nll"], "elbo": numbers["elbo"]}, abs=1e-3)
