"""Which loss of the VAE-GAN reaches which network, and what the losses are."""

import pytest
import torch

from vaelib import data
from vaelib.models.vaegan import VAEGAN
from vaelib.training.adversarial import FEATURE_VARIANCE, SLOPE_PENALTY, Parts, VAEGANLoss, parts
from vaelib.training.objectives import kl_divergence

REACHED = {
    "kl": {"encoder"},
    "feature_for_encoder": {"encoder"},
    "feature_for_decoder": {"decoder"},
    "mislead": {"decoder"},
    "tell_apart": {"discriminator"},
    "slope": {"discriminator"},
}


@pytest.fixture
def model() -> VAEGAN:
    torch.manual_seed(0)
    return VAEGAN("mlp")


@pytest.fixture
def x(mnist) -> torch.Tensor:
    return data.grey(mnist["train"].images[:8])


def networks(model):
    return {"encoder": model.vae.encoder, "decoder": model.vae.decoder, "discriminator": model.discriminator}


@pytest.mark.parametrize("part", Parts._fields)
def test_each_loss_reaches_its_own_network_alone(model, x, part):
    getattr(parts(model, x, torch.Generator().manual_seed(0)), part).sum().backward()
    reached = {
        name
        for name, network in networks(model).items()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    }
    assert reached == REACHED[part]


def test_gamma_weighs_the_decoders_fidelity_and_nothing_else(model, x, mnist):
    batch = mnist["train"].take(8)
    gradients = []
    for gamma in (1.0, 3.0):
        model.zero_grad()
        VAEGANLoss(model, gamma)(batch, torch.Generator().manual_seed(0))["loss"].sum().backward()
        gradients.append({n: [p.grad.clone() for p in net.parameters()] for n, net in networks(model).items()})
    for name, (one, three) in {n: (gradients[0][n], gradients[1][n]) for n in networks(model)}.items():
        same = all(torch.allclose(a, b) for a, b in zip(one, three, strict=True))
        assert same == (name != "decoder")


def test_the_losses_are_those_of_the_paper(model, x):
    """The same draws, without any detaching."""
    terms = parts(model, x, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)
    posterior = model.vae.posterior(x)
    z = posterior.sample(1, rng)[0]
    prior = torch.randn(z.shape, generator=rng)
    rebuilt, made = model.vae.images(z), model.vae.images(prior)
    features = [model.discriminator(images)[0] for images in (x, rebuilt)]
    probability = [model.discriminator(images)[1].sigmoid() for images in (x, rebuilt, made)]
    distance = 0.5 * (features[0] - features[1]).square().sum(-1) / FEATURE_VARIANCE
    slopes = [torch.func.grad(lambda one: model.discriminator(one[None])[1][0])(image) for image in x]
    for values, expected in (
        (terms.kl, kl_divergence(posterior)),
        (terms.feature_for_encoder, distance),
        (terms.feature_for_decoder, distance),
        (terms.mislead, -probability[1].log() - probability[2].log()),
        (terms.tell_apart, -probability[0].log() - (1 - probability[1]).log() - (1 - probability[2]).log()),
        (terms.slope, SLOPE_PENALTY / 2 * torch.stack(slopes).square().sum(-1)),
    ):
        torch.testing.assert_close(values, expected, rtol=1e-3, atol=1e-4)


def test_the_loss_is_made_of_its_parts(model, mnist):
    terms = VAEGANLoss(model, gamma=2.0)(mnist["train"].take(5), torch.Generator().manual_seed(0))
    parts_sum = terms["kl"] + 3 * terms["feature"] + terms["mislead"] + terms["tell_apart"] + terms["slope"]
    torch.testing.assert_close(terms["loss"], parts_sum)
