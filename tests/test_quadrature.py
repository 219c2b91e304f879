"""The exact log p(x) against models whose p(x) is known, and against brute force."""

import math

import pytest
import torch
from linear_gaussian import images_near, with_posterior, with_widths
from torch import distributions

from vaelib.data import PIXELS
from vaelib.exact import cells, quadrature
from vaelib.exact.quadrature import exact_log_likelihood
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


@pytest.mark.parametrize("width", [0.002, 0.003])
def test_a_mode_much_narrower_than_the_first_steps_keeps_what_lies_beyond_a_cells_border(width):
    model = with_posterior(width, width, 30)
    x = images_near(model, 300)
    assert (exact_log_likelihood(model, x).log_px - model.log_px(x)).abs().max() < 0.01


@pytest.mark.parametrize(
    "widths",
    [(0.999,), (0.03,), (0.0005,), (0.00005,), (0.3, 0.02), (0.2, 0.2, 0.1), (0.1, 0.05, 0.03)],
)
def test_on_the_line_in_the_plane_and_in_space_the_closed_form_is_met(widths):
    model = with_widths(widths, centre=torch.tensor([0.5, -1.0, 1.5])[: len(widths)])
    x = images_near(model, 8, spread=min(1, 20 * min(widths)))  # further away, squares would cost float32 its digits
    exact = exact_log_likelihood(model, x)
    error = (exact.log_px - model.log_px(x)).abs()
    assert error.max() < 0.01 and (error <= exact.error + 2 * ROUNDING).all()


def test_blocks_of_images_make_no_difference_to_values_or_nodes(monkeypatch):
    model = with_widths((0.1, 0.05, 0.05))
    x, keep = images_near(model, 5), torch.tensor([False, True, False, False, True])
    together = exact_log_likelihood(model, x, keep_nodes=keep)
    monkeypatch.setattr(quadrature, "HELD", 2 * 8 * len(cells.roots(cells.BOXES[3], 3, x.device)))
    apart = exact_log_likelihood(model, x, keep_nodes=keep)
    torch.testing.assert_close(apart.log_px, together.log_px, rtol=0, atol=ROUNDING)
    assert apart.nodes.image.unique().tolist() == [1, 4] and len(apart.nodes.z) == len(together.nodes.z)
    posterior, mine = model.exact_posterior(x), apart.nodes.image == 4
    weight = (apart.nodes.log_joint + apart.nodes.log_area)[mine].softmax(0)
    torch.testing.assert_close((weight @ apart.nodes.z[mine]).double(), posterior.mean[4], rtol=0, atol=1e-3)


def test_images_do_not_influence_one_another():
    models = with_posterior(0.1, 0.03, 20)
    x = images_near(models, 8, spread=3.0)
    together = exact_log_likelihood(models, x).log_px
    alone = torch.cat([exact_log_likelihood(models, row[None]).log_px for row in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=ROUNDING)


def test_mass_at_the_rim_of_the_box_shows_in_the_error(monkeypatch):
    monkeypatch.setattr(cells, "WIDEST", cells.BOXES[2].reach)
    model = with_posterior(0.3, 0.3, 0, (7.5, 0.0))  # most lies beyond 7
    x = images_near(model, 4, spread=0.1)
    exact = exact_log_likelihood(model, x)
    share = 1 - distributions.Normal(model.exact_posterior(x).mean[:, 0], 0.3).cdf(torch.tensor(7.0))
    torch.testing.assert_close(exact.box_error, -torch.log1p(-share).float(), rtol=0.05, atol=0)
    torch.testing.assert_close(exact.log_px.double(), model.log_px(x), rtol=0, atol=0.1)


@pytest.mark.parametrize("centre", [(8.0, 0.0), (9.0, -3.0), (12.0, -13.0)])
def test_the_box_is_widened_for_images_whose_posterior_reaches_further(centre):
    model = with_posterior(0.3, 0.1, 30, centre)
    x = model.decode(torch.tensor([centre, (1.0, 1.0), centre]))  # the second lies in the box as it is
    exact = exact_log_likelihood(model, x, keep_nodes=torch.tensor([True, True, False]))
    torch.testing.assert_close(exact.log_px.double(), model.log_px(x), rtol=1e-3, atol=ROUNDING)
    assert exact.error.max() < 0.01 and exact.nodes.image.unique().tolist() == [0, 1]
    posterior = model.exact_posterior(x)
    for image in (0, 1):
        mine = exact.nodes.image == image
        weight = (exact.nodes.log_joint + exact.nodes.log_area)[mine].softmax(0)
        torch.testing.assert_close((weight @ exact.nodes.z[mine]).double(), posterior.mean[image], rtol=0, atol=1e-3)


def test_one_image_in_a_wider_box_changes_no_other():
    model = with_posterior(0.3, 0.1, 30, (9.0, 0.0))
    x = model.decode(torch.tensor([(1.0, 1.0), (9.0, 0.0), (-1.0, 0.0)]))
    together, without = exact_log_likelihood(model, x), exact_log_likelihood(model, x[[0, 2]])
    torch.testing.assert_close(together.log_px[[0, 2]], without.log_px, rtol=1e-6, atol=0)


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


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_the_children_of_a_cell_share_its_box_and_have_half_its_side(latent_dim):
    box = cells.BOXES[latent_dim]
    cell = cells.roots(box, latent_dim, torch.device("cpu"))[[5]]
    places = torch.arange(2**latent_dim)
    children = cells.midpoints(cells.children(cell.expand(len(places)), places, latent_dim), 0.5, latent_dim)
    parent = cells.midpoints(cell, 1.0, latent_dim).unflatten(1, (len(places), -1))[0]
    torch.testing.assert_close(children.mean(1), parent.mean(1))
    assert len(children.mean(1).unique(dim=0)) == len(places)
    corner = torch.tensor((latent_dim - 1) * [0.0] + [5.0]) - box.reach
    assert ((children - corner > 0) & (children - corner < 1)).all()


@pytest.mark.parametrize(("latent_dim", "wider"), [(1, True), (2, False), (2, True), (3, False)])
def test_the_cells_of_level_0_fill_the_box_and_some_touch_its_border(latent_dim, wider):
    box = cells.BOXES[latent_dim].wider() if wider else cells.BOXES[latent_dim]
    roots = cells.roots(box, latent_dim, torch.device("cpu"))
    centres = cells.midpoints(roots, cells.CELL, latent_dim).mean(1)
    assert len(centres.unique(dim=0)) == (2 * box.reach) ** latent_dim and centres.abs().max() == box.reach - 0.5
    within = centres[~cells.rim(roots, box, latent_dim)]
    assert len(within) == (2 * box.reach - 2) ** latent_dim and within.abs().max() == box.reach - 1.5


@pytest.mark.parametrize(("latent_dim", "reaches"), [(1, [8, 16]), (2, [8, 16]), (3, [6, 12])])
def test_boxes_grow_as_far_as_the_widest(latent_dim, reaches):
    box, grown = cells.BOXES[latent_dim], []
    while box:
        grown.append(box.reach)
        box = box.wider()
    assert grown == reaches


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


def test_more_latent_dimensions_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="needs latent_dim 1, 2 or 3, not 4: use importance_weights"):
        exact_log_likelihood(VAE("mlp", latent_dim=4), torch.zeros(1, PIXELS))
