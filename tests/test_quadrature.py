"""The exact log p(x) against models whose p(x) is known, and against brute force."""

import math

import pytest
import torch
from linear_gaussian import LinearGaussian, images_near, with_posterior
from torch import distributions

from vaelib.data import PIXELS
from vaelib.exact import quadrature
from vaelib.exact.quadrature import exact_log_likelihood, importance_bound, importance_weights
from vaelib.models.vae import VAE

ROUNDING = 1e-3  # nats that float32 may cost


@pytest.mark.parametrize(
    ("wide", "narrow", "degrees", "centre"),
    [
        (0.999, 0.999, 0, (0, 0)),  # almost the prior
        (0.3, 0.1, 30, (1.0, -1.0)),
        (0.02, 0.02, 0, (0.5, 0.5)),
        (0.01, 0.01, 30, (0.5, 0.5)),
        (0.005, 0.005, 0, (2.5, -3.0)),
        (0.01, 0.005, 30, (0.5, 0.5)),
        (0.5, 0.02, 20, (1.0, 1.0)),
        (0.9, 0.01, 1, (0.0, 0.0)),  # long and thin, across many cells, and near none of their midpoints in some
        (0.9, 0.005, 2, (0.0, 0.0)),
    ],
)
def test_quadrature_equals_the_closed_form_and_its_error_estimate_bounds_the_truth(wide, narrow, degrees, centre):
    model = with_posterior(wide, narrow, degrees, centre)
    x = images_near(model, 300 if wide < 0.1 else 20)
    exact = exact_log_likelihood(model, x)
    error = (exact.log_px - model.log_px(x)).abs()
    assert error.mean() < 1e-3 and error.max() < 0.1
    # Two coarse sums may agree by chance for an image in a hundred.
    assert (error < 0.01).double().mean() >= 0.99
    assert (error <= exact.error + ROUNDING).double().mean() >= 0.98


def test_images_do_not_influence_one_another():
    models = with_posterior(0.1, 0.03, 20)
    x = images_near(models, 8, spread=3.0)
    together = exact_log_likelihood(models, x).log_px
    alone = torch.cat([exact_log_likelihood(models, row[None]).log_px for row in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=ROUNDING)


def test_mass_outside_the_box_shows_in_the_error():
    model = with_posterior(0.3, 0.3, 0, (6.5, 0.0))  # most lies beyond 6
    x = images_near(model, 4, spread=0.1)
    exact = exact_log_likelihood(model, x)
    share_beyond = 1 - distributions.Normal(model.exact_posterior(x).mean[:, 0], 0.3).cdf(torch.tensor(6.0))
    torch.testing.assert_close(exact.box_error, -torch.log1p(-share_beyond).float(), rtol=0.02, atol=0)
    torch.testing.assert_close(exact.log_px.double(), model.log_px(x), rtol=0, atol=ROUNDING)


def test_nodes_are_the_exact_posteriors_of_the_images_asked_for():
    model = with_posterior(0.3, 0.05, 30, (1.0, -1.0))
    x = images_near(model, 6)
    exact = exact_log_likelihood(model, x, keep_nodes=torch.tensor([True, False, True, True, False, False]))
    assert exact.nodes.image.unique().tolist() == [0, 2, 3]
    part = exact.part(2, 2)
    torch.testing.assert_close(part.log_px, exact.log_px[2:4])
    posterior = model.exact_posterior(x[2:4])
    for image in (0, 1):
        mine = part.nodes.image == image
        z, log_joint = part.nodes.z[mine].double(), part.nodes.log_joint[mine].double()
        weight = (log_joint + part.nodes.log_area[mine] - exact.log_px[2 + image]).exp()
        assert weight.sum().item() == pytest.approx(1, abs=1e-3)
        torch.testing.assert_close(weight @ z, posterior.mean[image], rtol=0, atol=1e-3)
        centred = z - posterior.mean[image]
        covariance = (weight * centred.T) @ centred
        torch.testing.assert_close(covariance, posterior.covariance_matrix[image], rtol=0.01, atol=1e-5)


def test_the_value_does_not_depend_on_whether_nodes_are_kept():
    model = with_posterior(0.3, 0.01, 30, (1.0, -1.0))
    x = images_near(model, 40)
    without, kept = (exact_log_likelihood(model, x, keep_nodes=torch.full((40,), keep)) for keep in (False, True))
    assert len(without.nodes.image) == 0 and kept.nodes.image.unique().tolist() == list(range(40))
    torch.testing.assert_close(without.log_px, kept.log_px, rtol=0, atol=ROUNDING)


def test_the_four_quarters_of_a_cell_are_the_cells_of_half_its_side():
    cell = torch.tensor([3 * quadrature.ROW + 5])
    halves = quadrature.cell_nodes(2 * cell + torch.tensor(quadrature.QUARTERS), 0.5)
    quarters = quadrature.cell_nodes(cell, 1.0).unflatten(1, (4, -1))[0]
    torch.testing.assert_close(halves.mean(1), quarters.mean(1))
    corner = torch.tensor([3.0, 5.0]) - quadrature.WIDE_BOX
    assert ((halves - corner > 0) & (halves - corner < 1)).all()


def test_quadrature_of_a_bernoulli_decoder_equals_a_fine_uniform_grid():
    torch.manual_seed(0)
    model = VAE("aevb").eval()
    for parameter in model.decoder.parameters():
        parameter.data *= 2  # posteriors that differ from the prior
    x = torch.bernoulli(torch.full((5, PIXELS), 0.4), generator=torch.Generator().manual_seed(1))
    side, half = 240, 6.0
    axis = (torch.arange(side) + 0.5) * (2 * half / side) - half
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        logits = model.decode(z)
    log_likelihood = x @ logits.T - torch.nn.functional.softplus(logits).sum(-1)
    log_joint = (log_likelihood + distributions.Normal(0, 1).log_prob(z).sum(-1)).double()
    expected = log_joint.logsumexp(-1) + 2 * math.log(2 * half / side)
    assert log_likelihood.std(-1).min() > 1  # the images tell latents apart
    exact = exact_log_likelihood(model, x)
    torch.testing.assert_close(exact.log_px.double(), expected, rtol=0, atol=2e-3)


def test_importance_bounds_rise_to_the_closed_form_for_any_latent_dimension():
    torch.manual_seed(0)
    model = LinearGaussian(torch.randn(6, 5), shift=0.3, stretch=1.2)
    x = torch.randn(5, 5) @ model.weight.T + torch.randn(5, 6)
    log_w = importance_weights(model, x, 20_000, torch.Generator().manual_seed(0))
    bounds = [importance_bound(log_w, k).double() for k in (1, 10, 100, 20_000)]
    means = [bound.mean().item() for bound in bounds]
    assert means == sorted(means) and means[-1] - means[0] > 0.5
    torch.testing.assert_close(bounds[0], model.log_px(x) - model.gap(x, model.posterior(x)), rtol=0, atol=0.1)
    torch.testing.assert_close(bounds[-1], model.log_px(x), rtol=0, atol=0.1)


def test_importance_bound_averages_the_logarithms_of_group_means():
    log_w = torch.tensor([[1.0], [3.0], [5.0], [7.0], [100.0]]).log()
    assert importance_bound(log_w, 2).item() == pytest.approx((math.log(2) + math.log(6)) / 2)  # the fifth is left over
    assert importance_bound(log_w, 1).item() == pytest.approx(math.log(1 * 3 * 5 * 7 * 100) / 5)


def test_importance_weights_do_not_depend_on_how_images_are_blocked():
    """With the exact diagonal posterior every weight is p(x), so that a mix-up of images would show."""
    model = LinearGaussian([[2.0, 0.0], [0.0, 3.0]])
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    log_w = importance_weights(model, x, 3000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(log_w.double(), model.log_px(x).expand(3000, -1), rtol=0, atol=ROUNDING)


def test_another_latent_dimension_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="needs latent_dim 2, not 3: use importance_weights"):
        exact_log_likelihood(VAE("mlp", latent_dim=3), torch.zeros(1, PIXELS))
