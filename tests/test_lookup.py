"""Training by the ELBO of a q that is looked up: its value and its gradient against closed forms."""

import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import distributions

from vaelib import data
from vaelib.models.vae import VAE, Posterior
from vaelib.training.lookup import LookupLoss

WEIGHT = torch.zeros(data.PIXELS, 2)
WEIGHT[:3] = torch.tensor([[20.0, 3.0], [0.0, 15.0], [8.0, 0.0]])


def prepared(model, **fields):
    """The loss of a model on grey pixels, ready for its first step, and its generator."""
    loss, rng = LookupLoss(model, "B", **fields), torch.Generator().manual_seed(0)
    loss.prepare(rng)
    return loss, rng


def grey(count, repeats):
    """A batch of images of random pixels, each one `repeats` times in a row, and their rows."""
    rng = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 1, data.SIDE, data.SIDE), generator=rng, dtype=torch.uint8)
    images = images.repeat_interleave(repeats, dim=0)
    return data.Images(images, torch.zeros(len(images), dtype=torch.long)), data.grey(images)


def best_gaussian(model, x):
    """The diagonal Gaussian of highest ELBO in closed form: the posterior's mean, its precisions on the diagonal."""
    exact = model.exact_posterior(x)
    return Posterior(exact.mean, -exact.precision_matrix.diagonal(dim1=-2, dim2=-1).log())


@pytest.mark.parametrize("samples", [1, 4])
def test_the_loss_is_minus_the_elbo_of_the_best_gaussian(samples):
    model, (batch, x) = LinearGaussian(WEIGHT), grey(10, repeats=500)
    loss, rng = prepared(model, samples=samples)
    terms = {name: values.double().unflatten(0, (10, 500)) for name, values in loss(batch, rng).items()}
    rows, q = x[::500], best_gaussian(model, x[::500])
    expected = model.log_px(rows) - model.gap(rows, q)
    error = terms["loss"].std(1) / 500**0.5
    assert ((terms["loss"].mean(1) + expected).abs() < 4.5 * error + 0.01).all()
    prior = distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    normal = distributions.MultivariateNormal(q.mean, torch.diag_embed(q.log_variance.exp()))
    torch.testing.assert_close(terms["kl"][:, 0], distributions.kl_divergence(normal, prior), rtol=0, atol=0.01)
    torch.testing.assert_close(terms["reconstruction"] - terms["kl"], -terms["loss"])


def test_more_draws_make_the_same_loss_less_noisy():
    model, (batch, _) = LinearGaussian(WEIGHT), grey(1, repeats=2000)
    one, nine = (loss(batch, rng)["loss"].std() for loss, rng in (prepared(model, samples=n) for n in (1, 9)))
    assert nine.item() == pytest.approx(one.item() / 3, rel=0.1)


def test_the_gradient_is_that_of_the_elbo_with_q_held_fixed():
    """-E_q[log p(x | z)] has the gradient E_q[(W z - x) z^T] = W (m m^T + diag s^2) - x m^T."""
    model, (batch, x) = LinearGaussian(WEIGHT), grey(5, repeats=4000)
    q = best_gaussian(model, x)
    second = q.mean[:, :, None] * q.mean[:, None] + torch.diag_embed(q.log_variance.exp())
    expected = (WEIGHT.double() @ second - x.double()[:, :, None] * q.mean[:, None]).mean(0)
    model.weight = WEIGHT.clone().requires_grad_()
    loss, rng = prepared(model)
    ours = torch.autograd.grad(loss(batch, rng)["loss"].mean(), model.weight)[0]
    torch.testing.assert_close(ours, expected.float(), rtol=0.02, atol=5e-3)


def test_where_the_decoder_has_moved_since_its_latents_were_decoded_the_loss_is_still_a_bound_and_close():
    model, (batch, x) = LinearGaussian(WEIGHT), grey(20, repeats=200)
    loss, rng = prepared(model)
    model.weight = 1.02 * WEIGHT
    elbo = -loss(batch, rng)["loss"].double().unflatten(0, (20, 200)).mean(1)
    best = model.log_px(x) - model.gap(x, best_gaussian(model, x))
    assert (best[::200] - elbo).min() > -0.3 and (best[::200] - elbo).mean() < 0.1


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
def test_gradients_reach_the_decoder_alone_and_are_finite(likelihood, mnist):
    torch.manual_seed(0)
    loss, rng = prepared(VAE("mlp", 2, likelihood), side=16)
    loss(mnist["train"].take(6), rng)["loss"].sum().backward()
    for name, parameter in loss.model.named_parameters():
        if name.startswith("encoder"):
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name
