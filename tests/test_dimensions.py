"""Probabilistic PCA against torch.distributions and scikit-learn, and the estimates against their limits."""

import pytest
import torch
from sklearn.decomposition import PCA
from torch import distributions

from vaelib.exact import dimensions


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(400, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 1


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_log_prob_is_that_of_the_gaussian_with_this_covariance_and_of_scikit_learn(x, latent_dim):
    model = dimensions.fit(x, [latent_dim])[latent_dim]
    covariance = model.weight @ model.weight.T + model.variance * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(model.log_prob(x), distributions.MultivariateNormal(model.mean, covariance).log_prob(x))
    torch.testing.assert_close(
        model.log_prob(x), torch.as_tensor(PCA(latent_dim).fit(x.numpy()).score_samples(x.numpy()))
    )


def test_log_likelihood_is_that_of_torch(x):
    model = dimensions.fit(x, [2])[2]
    z = torch.randn(7, 2, dtype=torch.float64)
    noise = distributions.Independent(distributions.Normal(z @ model.weight.T + model.mean, model.variance**0.5), 1)
    torch.testing.assert_close(model.log_likelihood(x, z), noise.log_prob(x[:, None]))


@pytest.mark.parametrize(("latent_dim", "side"), [(1, 4096), (2, 64), (3, 16), (5, 5), (10, 2), (20, 1)])
def test_the_grid_has_as_many_points_as_the_cost_allows(latent_dim, side):
    z = dimensions.grid(latent_dim, 4096)
    assert z.shape == (side**latent_dim, latent_dim)
    torch.testing.assert_close(z.mean(0), torch.zeros(latent_dim, dtype=torch.float64), rtol=0, atol=1e-6)


def test_both_estimates_come_to_the_truth_in_two_dimensions(x):
    model = dimensions.fit(x, [2])[2]
    few = x[:20]
    for z, bound in ((dimensions.grid(2, 160_000), 0.05), (dimensions.draws(2, 160_000, torch.Generator()), 0.3)):
        assert dimensions.errors(model, few, z).abs().max() < bound


def test_a_mean_over_points_in_other_places_than_the_posterior_is_too_low(x):
    model = dimensions.fit(x, [4])[4]
    assert dimensions.errors(model, x, torch.full((1, 4), 9.0, dtype=torch.float64)).max() < -1
