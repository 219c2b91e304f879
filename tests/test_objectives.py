"""The ELBO and its importance-weighted tightening against closed forms, image by image."""

import math

import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import distributions

from vaelib.data import PIXELS
from vaelib.models.vae import VAE, Posterior, log_normal
from vaelib.training.objectives import OBJECTIVES, draw, elbo, iwae, kl_divergence, log_sum_exp, log_weights, sleep


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def independent(posterior):
    """The same diagonal Gaussians as torch.distributions has them."""
    normal = distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance))
    return distributions.Independent(normal, 1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VAE("mlp")


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((6, PIXELS), 0.3), generator=seeded(1))


@pytest.fixture
def posterior():
    torch.manual_seed(2)
    return Posterior(3 * torch.randn(50, 5), 4 * torch.randn(50, 5))


def test_kl_divergence_is_that_of_torch(posterior):
    prior = distributions.Independent(distributions.Normal(torch.zeros(50, 5), torch.ones(50, 5)), 1)
    expected = distributions.kl_divergence(independent(posterior), prior)
    torch.testing.assert_close(kl_divergence(posterior), expected)


def test_kl_divergence_from_the_prior_itself_is_zero():
    assert kl_divergence(Posterior(torch.zeros(2), torch.zeros(2))).item() == 0


def test_log_densities_of_prior_and_posterior_are_those_of_torch(posterior):
    z = torch.randn(7, 50, 5, generator=seeded())
    torch.testing.assert_close(log_normal(z), distributions.Normal(0, 1).log_prob(z).sum(-1))
    torch.testing.assert_close(posterior.log_prob(z), independent(posterior).log_prob(z), rtol=1e-4, atol=1e-4)


def test_posterior_samples_have_its_moments():
    posterior = Posterior(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(0.04)]]))
    z = posterior.sample(40_000, seeded())[:, 0]
    torch.testing.assert_close(z.mean(0), posterior.mean[0], rtol=0, atol=0.02)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 0.2]), rtol=0.02, atol=0)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES.keys() - {"sleep"}))  # which draws its own images
def test_loss_of_an_image_does_not_depend_on_the_others_in_its_batch(model, x, objective, monkeypatch):
    # The noise depends on the batch's shape alone, so that it is held at 0 here.
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.zeros(shape))
    whole = OBJECTIVES[objective](model, x, seeded(), samples=2)
    turned = OBJECTIVES[objective](model, x.flip(0), seeded(), samples=2)
    single = [OBJECTIVES[objective](model, x[i : i + 1], seeded(), samples=2) for i in range(len(x))]
    for i, values in enumerate(whole):
        torch.testing.assert_close(values, turned[i].flip(0), rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(values, torch.cat([terms[i] for terms in single]), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_kl_weight_changes_the_objective_and_not_the_elbo(model, x, weight):
    terms, full = elbo(model, x, seeded(), kl_weight=weight), elbo(model, x, seeded())
    logits = model.decode(model.posterior(x).sample(1, seeded()))[0]
    reconstruction = distributions.Bernoulli(logits=logits).log_prob(x).sum(-1)
    torch.testing.assert_close(terms.objective, reconstruction - weight * kl_divergence(model.posterior(x)))
    torch.testing.assert_close(terms.elbo, full.objective)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_iwae_of_one_draw_is_its_log_weight_in_which_the_kl_weight_tempers_all_but_the_likelihood(model, x, weight):
    z = model.posterior(x).sample(1, seeded())
    q = independent(model.posterior(x))
    likelihood = distributions.Bernoulli(logits=model.decode(z)).log_prob(x).sum(-1)
    expected = (likelihood + weight * (distributions.Normal(0, 1).log_prob(z).sum(-1) - q.log_prob(z)))[0]
    torch.testing.assert_close(iwae(model, x, seeded(), samples=1, kl_weight=weight).objective, expected)
    torch.testing.assert_close(log_weights(model, x, model.posterior(x), z, weight)[0], expected)


def linear_gaussian(**encoder):
    """A model with a correlated posterior, four images, and their log p(x)."""
    model = LinearGaussian([[1.5, 0.3], [0.2, 0.8], [-0.7, 1.0]], **encoder)
    x = torch.randn(4, 2, generator=seeded(3)) @ model.weight.T + torch.randn(4, 3, generator=seeded(4))
    return model, x, model.log_px(x)


def test_elbo_and_iwae_of_one_draw_have_the_closed_form_as_expectation():
    model, x, log_px = linear_gaussian(shift=0.6, stretch=1.4)
    expected = log_px - model.gap(x, model.posterior(x))
    draws = 4000
    for objective in (elbo, iwae):
        value = objective(model, x.repeat(draws, 1), seeded(), samples=1).objective.double().unflatten(0, (draws, 4))
        assert ((value.mean(0) - expected).abs() < 4.5 * value.std(0) / draws**0.5).all()


def test_the_elbo_that_iwae_tells_is_that_at_full_weight_whatever_its_draws_and_its_kl_weight():
    model, x, log_px = linear_gaussian(shift=0.6, stretch=1.4)
    expected = log_px - model.gap(x, model.posterior(x))
    elbos = iwae(model, x.repeat(4000, 1), seeded(), samples=5, kl_weight=0.3).elbo.double().unflatten(0, (4000, 4))
    assert ((elbos.mean(0) - expected).abs() < 4.5 * elbos.std(0) / 4000**0.5).all()


def test_the_bound_rises_with_the_number_of_draws_to_log_px():
    model, x, log_px = linear_gaussian(shift=0.5, stretch=1.3)
    many = x.repeat(400, 1)
    bounds = [iwae(model, many, seeded(), samples=k).objective.unflatten(0, (400, 4)).mean(0) for k in (1, 4, 16, 64)]
    means = [bound.mean().item() for bound in [*bounds, log_px]]
    assert means == sorted(means) and means[1] - means[0] > 0.1
    torch.testing.assert_close(bounds[-1].double(), log_px, rtol=0, atol=0.05)


def test_the_one_draw_that_carries_the_gradient_of_the_bound_carries_it_on_average():
    """Equation 13 of Burda et al. (2016): the mean of grad log w_k, weighted by w_k."""
    model, x, _ = linear_gaussian(shift=0.6, stretch=1.4)
    model.weight.requires_grad_()
    many = x.repeat(5000, 1)
    posterior = model.posterior(many)
    whole = log_weights(model, many, posterior, posterior.sample(5, seeded())).logsumexp(0).mean()
    ours, theirs = (
        torch.autograd.grad(value, model.weight)[0]
        for value in (iwae(model, many, seeded(), samples=5).objective.mean(), whole)
    )
    assert theirs.abs().max() > 0.3
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02)


@pytest.mark.parametrize("n", [1, 2, 5, 64, 67])
def test_each_of_n_is_drawn_as_often_as_its_probability_says(n):
    """Also where some have none, and where n is no multiple of a group's width."""
    probability = torch.rand(n, generator=seeded())
    probability[1:2] = 0.0
    probability /= probability.sum()
    draws = 40_000
    counts = draw(probability.expand(draws, n), seeded()).bincount(minlength=n)
    assert len(counts) == n and counts[probability == 0].sum() == 0
    deviation = (draws * probability * (1 - probability)).sqrt()
    assert ((counts - draws * probability).abs() <= 4.5 * deviation + 1e-3).all()


def test_where_probabilities_are_no_numbers_any_of_them_is_drawn():
    drawn = draw(torch.full((4000, 7), torch.nan), seeded())
    assert drawn.unique().tolist() == list(range(7))


def test_with_the_exact_posterior_as_encoder_every_draw_has_the_same_weight():
    model = LinearGaussian([[2.0, 0.0], [0.0, 0.5]])  # its posterior is diagonal
    x = torch.tensor([[1.0, -0.4], [0.2, 3.0]])
    q = model.posterior(x)
    log_w = log_weights(model, x, q, q.sample(100, seeded()))
    torch.testing.assert_close(log_w.double(), model.log_px(x).expand(100, 2), rtol=0, atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
def test_gradients_reach_the_networks_and_are_finite(objective, likelihood, x):
    torch.manual_seed(0)
    model = VAE("mlp", 3, likelihood)
    OBJECTIVES[objective](model, x, seeded(), samples=3).objective.sum().backward()
    for name, parameter in model.named_parameters():
        if objective == "sleep" and name.startswith("decoder"):
            assert parameter.grad is None
            continue
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_log_sum_exp_is_that_of_torch_also_for_values_that_differ_by_hundreds():
    values = 300 * torch.randn(7, 40, generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(log_sum_exp(values), values.logsumexp(-1))
    values.requires_grad_()
    ours, theirs = (torch.autograd.grad(f(values).sum(), values)[0] for f in (log_sum_exp, lambda v: v.logsumexp(-1)))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.5, 1.0), (0.0, 1.6)])
def test_dreams_score_an_encoder_by_its_divergence_from_the_exact_posterior(shift, stretch):
    """E[log q(z | x)] = -H(p(z | x)) - KL(p(z | x) || q(z | x)) over images of the model itself."""
    model = LinearGaussian([[2.0, 0.0], [0.0, 0.5]], shift=shift, stretch=stretch)  # its posterior is diagonal
    x = torch.zeros(40_000, 2)
    exact = model.exact_posterior(x[:1])
    q = distributions.Normal(exact.mean + shift * exact.stddev, stretch * exact.stddev)
    divergence = distributions.kl_divergence(distributions.Normal(exact.mean, exact.stddev), q).sum()
    expected = -exact.entropy()[0] - divergence
    assert sleep(model, x, seeded()).objective.mean().item() == pytest.approx(expected.item(), abs=0.03)


def test_a_conditional_vae_gives_every_image_the_terms_of_its_own_label(x):
    torch.manual_seed(0)
    model = VAE("mlp", classes=10).eval()
    labels = torch.tensor([3, 1, 4, 1, 5, 9])
    noise = torch.randn(1, 6, 2, generator=seeded())

    class Drawn(Posterior):
        def sample(self, samples, rng):
            return self.mean + torch.exp(0.5 * self.log_variance) * self.noise

    def terms(rows):
        given = model.given(labels[rows])
        drawn = Drawn(*given.posterior(x[rows]))
        Drawn.noise = noise[:, rows]
        given.posterior = lambda _: drawn
        return elbo(given, x[rows], seeded())

    together = terms(slice(None))
    alone = [terms(slice(i, i + 1)) for i in range(6)]
    for part, values in enumerate(together):
        torch.testing.assert_close(values, torch.cat([each[part] for each in alone]), rtol=1e-4, atol=1e-3)


def test_the_label_matters_to_both_networks_of_a_conditional_vae_and_cannot_be_left_out(x):
    torch.manual_seed(0)
    model = VAE("mlp", classes=10).eval()
    three, four = (model.given(torch.tensor(label)) for label in (3, 4))
    assert not torch.allclose(three.posterior(x).mean, four.posterior(x).mean)
    z = torch.randn(6, 2, generator=seeded())
    assert not torch.allclose(three.decode(z), four.decode(z))
    torch.testing.assert_close(three.decode(z), model.given(torch.full((6,), 3)).decode(z))
    with pytest.raises(ValueError, match=r"use model\.given\(labels\)"):
        model.posterior(x)
