"""The aggregate posterior against torch's own mixture, and holes where closed forms put them."""

import math

import pytest
import torch
from torch import distributions

from vaelib import device
from vaelib.exact.aggregate import aggregate_posterior, density_grid, hole_share
from vaelib.models.vae import Posterior


def test_aggregate_posterior_is_the_equal_mixture_whatever_the_blocks(monkeypatch):
    monkeypatch.setattr(device, "rows_at_once", lambda *_: 200)
    torch.manual_seed(0)
    posterior = Posterior(torch.randn(30, 2), torch.randn(30, 2))
    normal = distributions.Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(30)), distributions.Independent(normal, 1)
    )
    z = 2 * torch.randn(450, 2)
    torch.testing.assert_close(aggregate_posterior(posterior, z), mixture.log_prob(z))


def test_a_narrow_posterior_far_from_the_middle_is_as_exact():
    z = torch.tensor([[3.1, -2.9]])
    mean, deviation = z - torch.tensor([0.002, 0.001]), torch.tensor([[0.002, 0.004]])
    normal = distributions.Normal(mean.double(), deviation.double())
    found = aggregate_posterior(Posterior(mean, 2 * deviation.log()), z)
    torch.testing.assert_close(found.double(), normal.log_prob(z.double()).sum(1), rtol=0, atol=1e-5)


def test_no_hole_where_every_posterior_is_the_prior():
    share, holes = hole_share(Posterior(torch.zeros(50, 2), torch.zeros(50, 2)))
    assert share == 0 and holes.shape == (0, 2)


def test_nothing_but_holes_where_every_posterior_is_far_off():
    share, holes = hole_share(Posterior(torch.full((50, 2), 9.0), torch.full((50, 2), -2.0)))
    assert share == 1 and holes.shape == (2000, 2)


def test_holes_are_where_the_mixture_is_a_tenth_of_the_prior():
    # q = N(0, s^2 I) has less than a tenth of the prior where |z|^2 > c, and |z|^2 / 2 is exponential under the prior.
    variance = 0.25
    c = 2 * math.log(10 / variance) / (1 / variance - 1)
    share, holes = hole_share(Posterior(torch.zeros(5, 2), torch.full((5, 2), math.log(variance))), samples=20_000)
    assert share == pytest.approx(math.exp(-c / 2), abs=0.015)
    assert (holes.norm(dim=1) ** 2).min().item() == pytest.approx(c, rel=0.02)


def test_the_density_grid_has_z1_on_its_first_axis_and_reaches_to_its_corners():
    q = Posterior(torch.tensor([[2.0, -1.0]]), torch.zeros(1, 2))
    grid = density_grid(q, extent=2.0, points=5)
    assert grid.shape == (5, 5) and divmod(int(grid.argmax()), 5) == (4, 1)
    assert grid[0, 4] == pytest.approx(-math.log(2 * math.pi) - 0.5 * (16 + 9), rel=1e-5)


def test_a_line_has_no_grid_over_the_plane():
    with pytest.raises(ValueError, match="2 dimensions, not 1"):
        density_grid(Posterior(torch.zeros(1, 1), torch.zeros(1, 1)), extent=2.0)
