"""Training on log p(x): its value, its gradient and its draws against closed forms."""

import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import distributions

from vaelib import data
from vaelib.models.vae import VAE
from vaelib.training.marginal import MarginalLoss
from vaelib.training.table import stratified_normal

WEIGHT = torch.zeros(data.PIXELS, 2)
WEIGHT[:3] = torch.tensor([[1.0, 0.3], [0.0, 0.8], [0.4, 0.0]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(model, side):
    """The loss of a model on grey pixels, ready for its first step, and its generator."""
    loss, rng = MarginalLoss(model, "B", side), seeded()
    loss.prepare(rng)
    return loss, rng


def grey(count, repeats):
    """A batch of images of random pixels, each one `repeats` times in a row, and their rows."""
    images = torch.randint(0, 256, (count, 1, data.SIDE, data.SIDE), generator=seeded(3), dtype=torch.uint8)
    images = images.repeat_interleave(repeats, dim=0)
    return data.Images(images, torch.zeros(len(images), dtype=torch.long)), data.grey(images)


def test_the_loss_is_the_closed_form_of_log_px_and_its_parts_those_of_the_exact_posterior():
    model, (batch, x) = LinearGaussian(WEIGHT), grey(20, repeats=500)
    loss, rng = prepared(model, side=100)
    terms = {name: values.double().unflatten(0, (20, 500)) for name, values in loss(batch, rng).items()}
    expected = model.log_px(x[::500])
    torch.testing.assert_close(terms["loss"], -expected[:, None].expand(20, 500), rtol=0, atol=5e-3)
    assert torch.equal(terms["elbo"], -terms["loss"])  # the ELBO of the exact posterior
    prior = distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    kl = distributions.kl_divergence(model.exact_posterior(x[::500]), prior)
    assert ((terms["kl"].mean(1) - kl).abs() < 4.5 * terms["kl"].std(1) / 500**0.5 + 5e-3).all()
    torch.testing.assert_close(terms["reconstruction"] - terms["kl"], terms["elbo"])


def test_the_gradient_is_that_of_log_px():
    model, (batch, x) = LinearGaussian(WEIGHT), grey(5, repeats=4000)
    model.weight = WEIGHT.clone().requires_grad_()
    loss, rng = prepared(model, side=120)
    ours = torch.autograd.grad(loss(batch, rng)["loss"].mean(), model.weight)[0]
    exact = torch.autograd.grad(-model.log_px(x).mean(), model.weight)[0]
    torch.testing.assert_close(ours, exact.float(), rtol=0.02, atol=0.01)


@pytest.mark.parametrize(("moved", "slack"), [(0.02, 0.002), (0.3, 0.1)])
def test_the_loss_is_a_bound_that_stays_close_where_the_decoder_has_moved_since_its_latents_were_decoded(moved, slack):
    """By exactly the divergence of the posterior then from that of now."""
    model, (batch, x) = LinearGaussian(WEIGHT), grey(5, repeats=4000)
    then = model.exact_posterior(x)
    loss, rng = prepared(model, side=120)
    model.weight = WEIGHT + moved * (WEIGHT != 0)
    divergence = distributions.kl_divergence(then, model.exact_posterior(x)).mean().item()
    assert 0 < divergence < slack
    bound = -loss(batch, rng)["loss"].mean().item()
    assert bound == pytest.approx(model.log_px(x).mean().item() - divergence, abs=0.01)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
def test_gradients_reach_the_decoder_alone_and_are_finite(likelihood, mnist):
    torch.manual_seed(0)
    loss, rng = prepared(VAE("mlp", 2, likelihood), side=10)
    loss(mnist["train"].take(6), rng)["loss"].sum().backward()
    for name, parameter in loss.model.named_parameters():
        if name.startswith("encoder"):
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_an_evaluation_gives_the_mean_over_all_latents_whichever_were_drawn(mnist):
    torch.manual_seed(0)
    loss, rng = prepared(VAE("mlp"), side=12)
    batch = mnist["test"].take(8)
    likelihood = distributions.Bernoulli(logits=loss.model.decode(loss.table.z), validate_args=False)
    log_px = likelihood.log_prob(data.grey(batch.images)[:, None]).sum(-1).logsumexp(1) - torch.tensor(144).log()
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(loss(batch, rng, training=False)["loss"], -log_px, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("side", "dimensions"), [(64, 1), (20, 2), (5, 3)])
def test_stratified_draws_are_normal_and_one_to_a_cell(side, dimensions):
    z = stratified_normal(side, dimensions, seeded(), torch.device("cpu"))
    assert z.shape == (side**dimensions, dimensions)
    cells = (distributions.Normal(0.0, 1.0).cdf(z) * side).long()
    assert len(cells.unique(dim=0)) == side**dimensions
    torch.testing.assert_close(z.mean(0), torch.zeros(dimensions), rtol=0, atol=0.05)
    torch.testing.assert_close(z.std(0), torch.ones(dimensions), rtol=0, atol=0.15)
    assert not torch.equal(z, stratified_normal(side, dimensions, seeded(1), torch.device("cpu")))
