"""The exact log p(x) of decoders that are not this package's, against brute force; what is no decoder is refused."""

import math

import pytest
import torch
from torch import nn

from vaelib import exact
from vaelib.exact import quadrature
from vaelib.models.vae import VAE

PIXELS = 60


def decoder(latent_dim: int, pixels: int = PIXELS) -> nn.Module:
    """A module as somebody else would write it, with random weights and posteriors some hundredths wide."""
    torch.manual_seed(latent_dim)
    network = nn.Sequential(nn.Linear(latent_dim, 40), nn.Tanh(), nn.Dropout(0.5), nn.Linear(40, pixels))
    with torch.no_grad():
        network[0].weight *= 3
        network[3].weight *= 25
    return network.eval()


@torch.no_grad()
def drawn(network: nn.Module, latent_dim: int, count: int = 6) -> torch.Tensor:
    z = torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(1))
    return torch.bernoulli(network(z).sigmoid(), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def brute_force(network: nn.Module, x: torch.Tensor, latent_dim: int, step: float) -> torch.Tensor:
    """log of the sum of p(x | z) p(z) over a fine grid, in float64 and with torch's own cross-entropy."""
    axis = torch.arange(-7, 7, step, dtype=torch.float64)
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for z in torch.cartesian_prod(*latent_dim * [axis]).reshape(-1, latent_dim).split(50_000):
        logits = network.double()(z)
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        log_px_z = -nn.functional.binary_cross_entropy_with_logits(
            logits.expand(len(x), -1, -1), x.double()[:, None].expand(-1, len(z), -1), reduction="none"
        ).sum(2)
        total = total.logaddexp((log_px_z + log_prior).logsumexp(1))
    network.float()
    return total + latent_dim * math.log(step)


@pytest.mark.parametrize(("latent_dim", "step"), [(1, 0.001), (2, 0.03)])
def test_a_foreign_module_has_the_log_likelihood_of_brute_force(latent_dim, step):
    network = decoder(latent_dim)
    x = drawn(network, latent_dim)
    result = exact.log_likelihood(network, x, latent_dim=latent_dim)
    truth = brute_force(network, x, latent_dim, step)
    torch.testing.assert_close(brute_force(network, x, latent_dim, 2 * step), truth, rtol=0, atol=5e-3)
    assert (result.log_px.double() - truth).abs().max() < 0.01
    assert result.error.max() < 0.05


def test_outputs_and_images_may_have_any_shape_a_function_is_enough_and_a_line_is_a_plane_without_its_second_axis():
    network = decoder(1, 784)
    x = drawn(network, 1)
    line = exact.log_likelihood(lambda z: network(z).reshape(-1, 1, 28, 28), x.reshape(-1, 1, 28, 28), latent_dim=1)
    plane = exact.log_likelihood(lambda z: network(z[:, :1]), x)
    torch.testing.assert_close(line.log_px, plane.log_px, rtol=0, atol=0.01)


def test_grey_pixels_have_densities():
    torch.manual_seed(0)
    x = torch.rand(3, 784)
    for likelihood, outputs in (("continuous_bernoulli", 784), ("gaussian", 1568)):
        flat = torch.zeros(1, outputs)  # does not depend on z, so that p(x) = p(x | z)
        model = exact.likelihood.UNLIMITED[likelihood]
        result = exact.log_likelihood(lambda z, flat=flat: flat.expand(len(z), -1), x, likelihood)
        torch.testing.assert_close(result.log_px, model.log_prob(x, flat), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("decode", "change", "said"),
    [
        (decoder(2), {"latent_dim": 4}, "latent_dim = 4: .* 1, 2 or 3 dimensions"),
        (decoder(2), {"likelihood": "poisson"}, "must be one of bernoulli, continuous_bernoulli, gaussian"),
        (decoder(2), {"x": torch.full((2, PIXELS), 255.0)}, r"must lie in \[0, 1\], and x has some from 255 to 255"),
        (decoder(2), {"x": torch.full((2, PIXELS), math.nan)}, "must lie in"),
        (decoder(2), {"x": torch.zeros(2, PIXELS - 1)}, r"outputs \(16, 60\); \(16, 59\) are needed"),
        (decoder(2).train(), {}, r"call eval\(\) first"),
        (nn.Sequential(decoder(2), nn.Sigmoid()), {}, "leave out its last sigmoid"),
        (lambda z: torch.full((len(z), PIXELS), math.nan), {}, "not finite"),
    ],
)
def test_what_has_no_likelihood_is_refused_with_what_to_do(decode, change, said):
    with pytest.raises(ValueError, match=said):
        exact.log_likelihood(**{"decode": decode, "x": torch.zeros(2, PIXELS)} | change)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
@torch.no_grad()
def test_a_vae_of_this_package_keeps_its_own_likelihood(likelihood):
    torch.manual_seed(0)
    model = VAE("mlp", 2, likelihood).eval()
    model.decoder[-1].bias.fill_(-100.0)  # far below where log-variances and logits are limited
    x = torch.rand(2, 784).round(decimals=1)
    own = quadrature.exact_log_likelihood(model, x).log_px
    for said in ("bernoulli", likelihood):
        assert torch.equal(exact.log_likelihood(model.decode, x, said).log_px, own)
    assert own.isfinite().all()


def test_pixels_may_be_any_number_for_a_gaussian_decoder_too():
    result = exact.log_likelihood(lambda z: torch.zeros(len(z), 2 * PIXELS), torch.zeros(2, PIXELS), "gaussian")
    torch.testing.assert_close(
        result.log_px, torch.full((2,), -0.5 * PIXELS * math.log(2 * math.pi)), rtol=0, atol=0.01
    )


def test_densities_that_float32_does_not_hold_are_refused():
    with pytest.raises(ValueError, match="keep its log-variances above -80"):
        exact.log_likelihood(lambda z: torch.full((len(z), 2 * PIXELS), -95.0), torch.zeros(2, PIXELS), "gaussian")


def test_a_decoder_that_knows_nothing_is_no_mistake():
    result = exact.log_likelihood(lambda z: torch.zeros(len(z), PIXELS), torch.zeros(2, PIXELS))
    torch.testing.assert_close(result.log_px, torch.full((2,), -PIXELS * math.log(2)), rtol=0, atol=1e-3)
