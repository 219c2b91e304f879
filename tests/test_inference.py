"""q(z | x) without an encoder: bounds stay bounds, and closed forms are found."""

import math

import pytest
import torch
from linear_gaussian import LinearGaussian, images_near, with_posterior

from vaelib import data
from vaelib.exact.inference import best_of_nine, gaussian_elbo, lookup
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.models.vae import VAE, Posterior
from vaelib.training.elbo import VAELoss
from vaelib.training.loop import Settings, train
from vaelib.training.objectives import log_weights
from vaelib.training.table import decoded, places, stratified_normal


@pytest.fixture(scope="module")
def trained(mnist):
    """A small network after two epochs on 5,000 images, and 60 other images with their exact log p(x)."""
    torch.manual_seed(0)
    model = VAE("mlp")
    list(train(VAELoss(model), mnist["train"].take(5000), None, Settings(epochs=2, batch_size=50, learning_rate=4e-3)))
    x = data.evaluation_pixels(mnist["test"].images[:60], "A")
    return model, x, exact_log_likelihood(model, x).log_px


@pytest.mark.parametrize(
    ("wide", "narrow", "degrees"), [(0.5, 0.2, 30), (0.1, 0.03, 0), (0.03, 0.01, 45), (2e-3, 1e-3, 0)]
)
def test_of_a_gaussian_posterior_lookup_finds_the_mean_and_the_precisions(wide, narrow, degrees):
    model = with_posterior(wide, narrow, degrees, (0.6, -0.3))
    x = images_near(model, 30, spread=0.5)
    exact, q = model.exact_posterior(x), lookup(model, x)
    off = (q.mean.double() - exact.mean) / exact.variance.sqrt()
    assert off.abs().max() < 0.02
    precision = exact.precision_matrix.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(q.log_variance.double(), -precision.log(), rtol=0, atol=0.02)


def test_no_bound_exceeds_log_px_neither_by_quadrature_nor_by_fresh_draws(trained):
    model, x, log_px = trained
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        answers = {"encoder": model.posterior(x), "nine": best_of_nine(model, x), "lookup": lookup(model, x)}
        for name, q in answers.items():
            elbo = gaussian_elbo(model, x, q)
            assert (elbo < log_px + 0.01).all(), name
            draws = log_weights(model, x, q, q.sample(2000, rng))
            standard_error = draws.std(0) / len(draws) ** 0.5
            assert ((draws.mean(0) - elbo).abs() < 4.5 * standard_error + 0.1).all(), name  # of ReLUs: there are kinks
            assert (draws - elbo).mean().abs() < 4.5 * (standard_error**2).sum().sqrt() / len(x) + 0.01, name
            assert (draws.mean(0) < log_px + 4.5 * standard_error + 0.01).all(), name


def test_lookup_comes_close_to_log_px_where_the_encoder_does_not(trained):
    model, x, log_px = trained
    encoder, nine, found = (
        (log_px - gaussian_elbo(model, x, q)).mean().item()
        for q in (model.posterior(x), best_of_nine(model, x), lookup(model, x))
    )
    assert found < 0.5 < nine < encoder


class Mirrored(LinearGaussian):
    """Four latents decode to nearly the same image: the two modes on the right are higher by 2 nats."""

    def decode(self, z):
        return torch.cat([super().decode(z.abs()), 2 * (z[..., :1] < 0)], dim=-1)


def test_of_several_modes_lookup_takes_the_one_with_the_most_mass():
    model = Mirrored([[30.0, 0.0], [0.0, 20.0]])
    z = torch.tensor([[1.0, 1.0], [0.5, 1.2]])
    x = model.decode(z)
    mean = lookup(model, x).mean
    assert (mean[:, 0] > 0).all()
    torch.testing.assert_close(mean.abs(), z * (1 - torch.tensor([30.0, 20.0]) ** -2), rtol=0, atol=2e-3)
    table = decoded(model, stratified_normal(64, 2, None, x.device))
    found = places(table, model.likelihood.statistics(x), 4)
    of_first = found.q.mean[found.image == 0]
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert len(of_first) == 4 and torch.cdist(of_first, corners).amin(0).max() < 0.05


def test_a_place_is_the_top_of_a_parabola_exactly():
    model = with_posterior(0.05, 0.04, 20, (0.3, 0.9))
    x = images_near(model, 20)
    table = decoded(model, stratified_normal(64, 2, None, x.device))
    found = places(table, model.likelihood.statistics(x), 1)
    exact = model.exact_posterior(x)
    assert found.image.tolist() == list(range(20))
    torch.testing.assert_close(found.q.mean.double(), exact.mean, rtol=0, atol=2e-3)
    precision = exact.precision_matrix.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(found.q.log_variance.double(), -precision.log(), rtol=0, atol=0.02)


def test_the_mean_over_a_fine_table_is_log_px():
    model = with_posterior(0.5, 0.4, 20, (0.3, 0.9))
    x = images_near(model, 20)
    table = decoded(model, stratified_normal(150, 2, None, x.device))
    torch.testing.assert_close(table.log_px(model, x).double(), model.log_px(x), rtol=0, atol=0.02)


class Skewed(VAE):
    """An encoder that answers rightly for what is one pixel to the left of the image, and misses otherwise."""

    def __init__(self):
        super().__init__("mlp")
        self.asked = []

    def posterior(self, x):
        self.asked.append(x)
        wrong = x.unflatten(1, (data.SIDE, data.SIDE))[:, :, 0].sum(-1, keepdim=True) == 0
        return Posterior(torch.where(wrong, 3.0, 0.0).expand(-1, 2), torch.full((len(x), 2), math.log(0.5)))


def test_the_nine_are_the_image_and_its_shifts_and_the_best_for_the_image_itself_is_taken():
    torch.manual_seed(0)
    model = Skewed().eval()
    x = torch.zeros(2, data.SIDE, data.SIDE)
    x[0, 5, 1] = x[1, 9, 20] = 1.0
    best = best_of_nine(model, x.flatten(1))
    assert best.mean[:, 0].tolist() == [0.0, 3.0]
    places_of_first = {divmod(int(asked[0].argmax()), data.SIDE) for asked in model.asked}
    assert places_of_first == {(5 + down, 1 + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_tables_and_nodes_are_of_two_dimensions(latent_dim):
    model, x = VAE("mlp", latent_dim), torch.zeros(1, data.PIXELS)
    with pytest.raises(ValueError, match=f"latent_dim 2, not {latent_dim}"):
        lookup(model, x)
    with pytest.raises(ValueError, match=f"latent_dim 2, not {latent_dim}"):
        gaussian_elbo(model, x, model.posterior(x))
