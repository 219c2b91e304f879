"""A model that has collapsed is said to have collapsed, and one that has learnt something is not."""

import pytest
import torch

from vaelib.measure import collapse, evaluation
from vaelib.models.vae import VAE


def trained(steps: int, images) -> VAE:
    """A VAE after some steps of the ELBO on these images."""
    torch.manual_seed(0)
    model = VAE("aevb")
    adam, rng = torch.optim.Adam(model.parameters(), 3e-3), torch.Generator().manual_seed(0)
    x = images.images.flatten(1) / 255
    for _ in range(steps):
        posterior = model.posterior(x)
        log_px_z = model.likelihood.log_prob(x, model.decode(posterior.sample(1, rng)[0]))
        kl = 0.5 * (posterior.mean**2 + posterior.log_variance.exp() - 1 - posterior.log_variance).sum(1)
        adam.zero_grad()
        (kl - log_px_z).mean().backward()
        adam.step()
    return model


def test_a_model_that_ignores_its_latent_is_said_to_have_collapsed(mnist, capsys):
    torch.manual_seed(0)
    model = VAE("aevb")
    with torch.no_grad():
        for network in (model.encoder, model.decoder):
            last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
            last.weight.zero_()
        last.bias.copy_(torch.linspace(-6, 3, 784))  # one image, whatever the latent
    numbers, _ = evaluation.likelihood(model, mnist["test"].take(5), "A", 2)
    assert "collapsed: the KL is" in (said := capsys.readouterr().out) and "all samples are alike" in said
    assert numbers["sample_spread"] == 0


def test_a_model_that_uses_its_latent_is_not(mnist, capsys):
    model = trained(120, mnist["train"].take(200))
    numbers, _ = evaluation.likelihood(model, mnist["test"].take(5), "B", 2)
    assert "collapsed" not in capsys.readouterr().out
    assert numbers["kl"] > 1 and numbers["sample_spread"] > 0.2


@pytest.mark.parametrize(
    ("kl", "spread", "said"),
    [(0.02, 0.01, "all samples are alike"), (0.02, 0.4, "no image where it lies"), (5.0, 0.01, "alike"), (5, 0.4, "")],
)
def test_both_signs_are_told(kl, spread, said):
    assert said in collapse.verdict(kl, spread) and bool(said) == bool(collapse.verdict(kl, spread))
