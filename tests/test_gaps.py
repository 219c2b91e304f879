"""The split of log p(x) - ELBO against closed forms of correlated Gaussian posteriors."""

import itertools
import math

import pytest
import torch
from linear_gaussian import LinearGaussian, images_near, with_posterior

from vaelib import data
from vaelib.exact.gaps import STEPS, split_gap
from vaelib.exact.inference import gaussian_elbo, lookup
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.models.vae import VAE, Posterior
from vaelib.training.elbo import VAELoss
from vaelib.training.fitting import Fit, climb, expand
from vaelib.training.loop import Settings, train
from vaelib.training.objectives import log_weights

POSTERIORS = [(0.5, 0.5, 0), (0.5, 0.2, 30), (0.3, 0.1, 45), (0.1, 0.03, 10), (0.02, 0.01, 60)]


class Folded(LinearGaussian):
    """z and its mirror image decode alike: posteriors have two equal modes."""

    def decode(self, z):
        return super().decode(torch.cat([z[..., :1].abs(), z[..., 1:]], dim=-1))


class Halves(LinearGaussian):
    """Negative z_1 decode like positive ones of twice the size: posteriors have two modes, one half as wide."""

    def decode(self, z):
        along = z[..., :1]
        return super().decode(torch.cat([torch.where(along < 0, -2 * along, along), z[..., 1:]], dim=-1))


def with_nodes(model, x):
    """log p(x) of the images, and their exact posteriors."""
    return exact_log_likelihood(model, x, keep_nodes=torch.ones(len(x), dtype=torch.bool))


def measured(model, count=5):
    """Images, their exact log p(x), and how the gap splits."""
    x = images_near(model, count)
    exact = with_nodes(model, x)
    return x, exact.log_px, split_gap(model, x, exact)


def climbed(model, x, q, steps=STEPS):
    """The Gaussian that the fit from q ends at."""
    return climb(model, x, Fit(q, expand(model, x, q)), steps).q


def correlation_loss(model):
    """KL(q* || p(z | x)) of the best diagonal Gaussian of a Gaussian: -1/2 log det of P scaled to a unit diagonal."""
    precision = torch.eye(2, dtype=torch.float64) + model.weight.double().T @ model.weight.double()
    deviation = precision.diagonal().rsqrt()
    return -0.5 * torch.logdet(precision * deviation[:, None] * deviation).item()


@pytest.mark.parametrize("order", [2, 4])
def test_gaussian_elbo_equals_the_closed_form_for_any_gaussian(order):
    model = with_posterior(0.5, 0.2, 30, (1.0, -1.0))
    x = images_near(model, 300)  # more than one block
    torch.manual_seed(0)
    q = Posterior(torch.randn(300, 2), torch.randn(300, 2) - 3)
    expected = model.log_px(x) - model.gap(x, q)
    torch.testing.assert_close(gaussian_elbo(model, x, q, order).double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("wide", "narrow", "degrees"), POSTERIORS)
@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (1.0, 1.5), (0.0, 3.0), (5.0, 0.1)])
def test_a_fit_climbs_to_the_best_diagonal_gaussian(wide, narrow, degrees, shift, stretch):
    model = with_posterior(wide, narrow, degrees, (0.5, -0.5), shift=shift, stretch=stretch)
    x = images_near(model, 5)
    fitted = climbed(model, x, model.posterior(x))
    best_variance = 1 / model.exact_posterior(x).precision_matrix.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(fitted.log_variance.double(), best_variance.log(), rtol=0, atol=0.01)
    assert (model.gap(x, fitted) - correlation_loss(model)).max() < 5e-3  # its mean is right too


@pytest.mark.parametrize("narrow", [0.005, 0.002, 0.0005])
@pytest.mark.parametrize(("ratio", "degrees"), [(1, 0), *itertools.product((3, 10, 30), (0, 10, 45, 80))])
def test_the_best_gaussian_is_found_however_narrow_and_slanted_the_posterior_is(narrow, ratio, degrees):
    """Up to a correlation of 0.998, whose loss is 2.7 nats, with an encoder some widths off, and without its help."""
    model = with_posterior(ratio * narrow, narrow, degrees, (0.7, -0.4), shift=3.0, stretch=2.0)
    x = images_near(model, 20, spread=0.2)
    optimum = correlation_loss(model)
    gaps = split_gap(model, x, with_nodes(model, x)._replace(log_px=model.log_px(x).float()))
    for q in (gaps.best, climbed(model, x, model.posterior(x)), lookup(model, x, steps=STEPS)):
        excess = model.gap(x, q) - optimum
        assert excess.max() < 0.01, (excess.max(), optimum)


def test_no_step_of_a_fit_lowers_an_elbo_even_where_log_p_is_not_concave():
    model = Folded([[10.0, 0.0], [0.0, 5.0]], shift=4.0, stretch=8.0)
    x = images_near(model, 30, spread=2.0)
    elbos = [expand(model, x, climbed(model, x, model.posterior(x), steps)).elbo for steps in range(12)]
    rises = torch.stack(elbos).diff(dim=0)
    assert rises.min() >= -1e-4 and rises.max() > 1


@pytest.mark.parametrize(("wide", "narrow", "degrees"), POSTERIORS)
@pytest.mark.parametrize(("shift", "stretch"), [(0.7, 1.2), (-2.0, 0.5), (0.0, 0.2)])
def test_approximation_gap_is_the_loss_of_correlation_and_amortisation_gap_the_rest(
    wide, narrow, degrees, shift, stretch
):
    model = with_posterior(wide, narrow, degrees, shift=shift, stretch=stretch)
    x, log_px, gaps = measured(model)
    assert torch.equal(gaps.log_px, log_px)
    approximation = torch.full((len(x),), correlation_loss(model), dtype=torch.float64)
    torch.testing.assert_close(gaps.approximation.double(), approximation, rtol=0, atol=5e-3)
    amortisation = model.gap(x, model.posterior(x)) - approximation
    torch.testing.assert_close(gaps.amortisation.double(), amortisation, rtol=0, atol=5e-3)


def test_an_encoder_that_is_already_best_has_no_amortisation_gap():
    _, _, gaps = measured(with_posterior(0.3, 0.1, 45))
    torch.testing.assert_close(gaps.amortisation, torch.zeros(5), rtol=0, atol=2e-3)


def test_the_best_gaussian_of_a_diagonal_posterior_leaves_no_gap_at_all():
    _, _, gaps = measured(LinearGaussian([[3.0, 0.0], [0.0, 6.0]], shift=1.0))
    torch.testing.assert_close(gaps.approximation, torch.zeros(5), rtol=0, atol=2e-3)
    torch.testing.assert_close(gaps.best.log_variance.exp(), torch.tensor([[1 / 10, 1 / 37]] * 5), rtol=0.02, atol=0)


def test_gaps_of_a_network_are_not_negative_and_add_up_to_what_the_elbo_misses(mnist):
    torch.manual_seed(0)
    model = VAE("mlp").eval()
    for parameter in model.decoder.parameters():
        parameter.data *= 3
    x = mnist["test"].images[:4].flatten(1).gt(127).float()
    exact = with_nodes(model, x)
    log_px, gaps = exact.log_px, split_gap(model, x, exact)
    assert (gaps.amortisation >= 0).all() and (gaps.approximation > -1e-3).all()
    with torch.no_grad():
        q = model.posterior(x)
        z = q.sample(5000, torch.Generator().manual_seed(0))
        likelihood = torch.stack([torch.distributions.Bernoulli(logits=model.decode(z[:, i])).log_prob(x[i]).sum(-1)
                                  for i in range(4)], dim=1)  # fmt: skip
    kl = 0.5 * (q.mean**2 + q.log_variance.exp() - 1 - q.log_variance).sum(-1)
    elbo = likelihood.mean(0) - kl
    total = gaps.approximation + gaps.amortisation
    error = 4.5 * likelihood.std(0) / math.sqrt(5000) + 0.01
    assert ((log_px - total - elbo).abs() < error).all() and (total > 0.01).all()


@pytest.mark.slow
def test_the_gaps_of_a_trained_network_add_up_to_log_px_by_independent_draws(mnist):
    """ELBO and log p(x) by importance sampling, the latter from the best Gaussians, know nothing of the quadrature."""
    torch.manual_seed(0)
    model = VAE("mlp")
    settings = Settings(epochs=2, batch_size=50, learning_rate=4e-3)
    list(train(VAELoss(model), mnist["train"].take(5000), None, settings))
    x = data.evaluation_pixels(mnist["test"].images[:20], "A")
    gaps = split_gap(model, x, with_nodes(model, x))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        q = model.posterior(x)
        elbo = log_weights(model, x, q, q.sample(4000, rng)).mean(0)
        log_w = log_weights(model, x, gaps.best, gaps.best.sample(4000, rng))
    log_px = log_w.logsumexp(0) - math.log(4000)
    together = elbo + gaps.amortisation + gaps.approximation
    assert (together - log_px).mean().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, -40.0])
def test_of_two_equal_modes_the_best_gaussian_takes_one_and_loses_log_two(shift):
    model = Folded([[10.0, 0.0], [0.0, 5.0]], shift=shift)  # with the encoder on a mode, or far from both
    x = torch.tensor([[10.0, 1.0], [15.0, -2.0]])
    gaps = split_gap(model, x, with_nodes(model, x))
    torch.testing.assert_close(gaps.approximation, torch.full((2,), math.log(2)), rtol=0, atol=0.01)


def test_of_two_unequal_modes_the_best_gaussian_takes_the_heavier_even_where_the_other_is_denser():
    model = Halves([[10.0, 0.0], [0.0, 5.0]], shift=-40.0)  # with the encoder far from both
    x = torch.tensor([[10.0, 1.0], [8.0, -2.0]])
    gaps = split_gap(model, x, with_nodes(model, x))
    wide, narrow = x[:, 0] / 10, -x[:, 0] / 20  # where the modes are, nearly; as Gaussians they weigh by their width
    lighter = 0.5 * ((wide**2 - narrow**2) / 2).exp()
    assert (lighter < 1).all() and (lighter / 0.5 > 1).all()  # lighter, but denser
    torch.testing.assert_close(gaps.approximation, lighter.log1p(), rtol=0, atol=0.02)
    assert (gaps.best.mean[:, 0] > 0).all()


def test_gaps_are_refused_without_the_exact_posteriors():
    model = with_posterior(0.3, 0.1, 45)
    x = images_near(model, 2)
    with pytest.raises(ValueError, match="keep_nodes"):
        split_gap(model, x, exact_log_likelihood(model, x))
