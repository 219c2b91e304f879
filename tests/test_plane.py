"""What figures of the latent plane show."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from linear_gaussian import images_near, with_posterior

from vaelib.data import PIXELS
from vaelib.measure import plane
from vaelib.models.vae import VAE, Posterior


def test_a_path_leads_from_the_clearest_image_to_the_other_and_is_black_where_there_is_none():
    torch.manual_seed(0)
    model = VAE("mlp").eval()
    means, labels = torch.randn(6, 2), torch.tensor([5, 2, 2, 4, 4, 5])
    elbo = torch.tensor([-3.0, -2.0, -1.0, -1.0, -2.0, -1.0])
    rows = plane.paths(model, means, labels, elbo, [(2, 4), (7, 2), (4, 5)], steps=3).unflatten(0, (3, 3))
    torch.testing.assert_close(rows[0], model.images(torch.stack([means[2], (means[2] + means[3]) / 2, means[3]])))
    torch.testing.assert_close(rows[2, [0, 2]], model.images(means[[3, 5]]))
    assert not rows[1].any()


def test_the_manifold_s_points_are_equally_likely_and_begin_at_the_top_left():
    side = 4
    steps = torch.distributions.Normal(0, 1).cdf(plane.manifold_grid(side)).reshape(side, side, 2)
    centres = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(steps[..., 0], centres.expand(side, side))  # z_1 grows to the right
    torch.testing.assert_close(steps[..., 1], centres.flip(0)[:, None].expand(side, side))  # z_2 upwards


@pytest.mark.parametrize("close", [False, True])
def test_a_panel_shows_the_exact_posterior_on_its_grid_highest_at_its_mean_and_only_the_best_gaussian_if_close(close):
    model = with_posterior(0.3, 0.1, degrees=30, centre=(1.0, -1.0), shift=2.0, stretch=3.0)
    model.weight = F.pad(model.weight, (0, 0, 0, PIXELS - 3))  # of the other pixels z says nothing
    x = images_near(model, 3)
    q, exact = model.posterior(x), model.exact_posterior(x)
    best = Posterior(exact.mean.float(), q.log_variance - 1)
    panels = plane.posterior_panels(model, x, q, best, close)
    for i, (left, right, bottom, top) in enumerate(panels["extent"]):
        assert right - left == pytest.approx(top - bottom)  # the same scale both ways
        axes = (torch.linspace(low, high, plane.PANEL_POINTS) for low, high in ((left, right), (bottom, top)))
        z = torch.cartesian_prod(*axes)
        log_density = torch.from_numpy(panels["log_density"][i])
        # z_1 grows along the first axis, z_2 along the second
        expected = model.exact_posterior(x[i : i + 1]).log_prob(z.double()).unflatten(0, log_density.shape)
        shown = expected > expected.max() - 20
        torch.testing.assert_close(log_density[shown].double(), expected[shown], rtol=0, atol=0.01)
        step = (right - left) / (plane.PANEL_POINTS - 1)
        assert (z[log_density.argmax()] - exact.mean[i]).abs().max() < step
        low, high = torch.tensor([left, bottom]), torch.tensor([right, top])
        whole = []
        for mean, log_variance in (best, q):
            reach = 2.5 * torch.exp(0.5 * log_variance[i])
            whole.append(bool((low < mean[i] - reach).all() and (mean[i] + reach < high).all()))
        assert whole == [True, not close]
    for name, gaussian in (("q", q), ("best", best)):
        np.testing.assert_allclose(panels[f"{name}_mean"], gaussian.mean)
        np.testing.assert_allclose(panels[f"{name}_deviation"], torch.exp(0.5 * gaussian.log_variance))


def test_telling_images_are_those_of_median_gap_of_largest_gaps_and_of_lowest_log_px_among_those_with_gaps():
    approximation, amortisation = np.array([1.0, 5.0, 2.0, 0.5, 0.1]), np.array([1.0, 3.0, 1.5, 8.0, 0.2])
    log_px = np.array([-90.0, -80.0, -85.0, -70.0, -99.0, -200.0])  # the last image's gap was not split
    assert plane.telling_images(approximation, amortisation, log_px) == {
        "median gap": 2,  # of 2, 8, 3.5, 8.5 and 0.3
        "largest approximation gap": 1,
        "largest amortisation gap": 3,
        "lowest log p(x)": 4,
    }
