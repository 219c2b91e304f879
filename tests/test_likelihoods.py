"""Pixel likelihoods against torch.distributions in float64 and against numerical integrals."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import distributions

from vaelib.data import PIXELS
from vaelib.models.likelihoods import LIKELIHOODS, UNLIMITED, Gaussian

# Either side of 0.1, where the continuous Bernoulli changes from its series to the closed form.
LOGITS = [0.0, 1e-6, 1e-3, 0.05, 0.0999, 0.1001, 0.15, 0.5, 1.0, 3.0, 8.0, 20.0]
LOGITS = torch.tensor(sorted({sign * value for value in LOGITS for sign in (-1, 1)}))
LARGE = torch.tensor([-500.0, -100.0, -40.0, 40.0, 100.0, 500.0])


def one_pixel(name, x, outputs):
    """log p of each pixel by itself: a batch of one-pixel images, where the likelihood allows it."""
    return LIKELIHOODS[name].log_prob(x[:, None], outputs[:, None])


def limited(outputs):
    """The logits of a continuous Bernoulli with these outputs."""
    return 20 * torch.tanh(outputs / 20)


def gaussian_outputs(mean, log_variance):
    """Outputs of a Gaussian decoder with these moments: softplus inverted by hand."""
    floor = Gaussian.log_variance_floor
    raw = floor + torch.log(torch.expm1((log_variance - floor).double()))
    return torch.cat([mean.double(), raw], dim=-1)


@pytest.mark.parametrize("pixel", [0.0, 0.3, 1.0])
def test_bernoulli_log_prob_is_that_of_torch_and_for_grey_pixels_the_cross_entropy(pixel):
    x = torch.full_like(LOGITS, pixel)
    logits = LOGITS.double()
    ones, zeros = (distributions.Bernoulli(logits=logits).log_prob(torch.full_like(logits, v)) for v in (1.0, 0.0))
    expected = pixel * ones + (1 - pixel) * zeros
    torch.testing.assert_close(one_pixel("bernoulli", x, LOGITS).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pixel", [0.0, 0.3, 1.0])
def test_continuous_bernoulli_log_prob_and_mean_are_those_of_torch(pixel):
    expected = distributions.ContinuousBernoulli(logits=limited(LOGITS.double()))
    x = torch.full_like(LOGITS, pixel)
    value = one_pixel("continuous_bernoulli", x, LOGITS).double()
    torch.testing.assert_close(value, expected.log_prob(x.double()), rtol=1e-5, atol=1e-6)
    mean = LIKELIHOODS["continuous_bernoulli"].mean(LOGITS).double()
    torch.testing.assert_close(mean, expected.mean, rtol=0, atol=2e-6)


@pytest.mark.parametrize("logit", [*LARGE.tolist(), 0.0999, 0.1001])
def test_continuous_bernoulli_is_a_density_whose_mean_is_its_own(logit):
    def density(x):
        at = torch.tensor([x], dtype=torch.float64), torch.tensor([logit], dtype=torch.float64)
        return one_pixel("continuous_bernoulli", *at).exp().item()

    knots = np.array([1e-3, 1e-2, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999])
    assert quad(density, 0, 1, points=knots)[0] == pytest.approx(1, abs=1e-7)
    mean = quad(lambda x: x * density(x), 0, 1, points=knots)[0]
    assert LIKELIHOODS["continuous_bernoulli"].mean(torch.tensor([logit])).item() == pytest.approx(mean, abs=2e-6)


def test_the_mean_of_a_continuous_bernoulli_is_not_its_parameter():
    logit = 20 * torch.atanh(torch.tensor([math.log(0.9999 / 0.0001) / 20]))
    assert LIKELIHOODS["continuous_bernoulli"].mean(logit).item() == pytest.approx(0.8915, abs=1e-4)


def test_gaussian_log_prob_and_mean_are_those_of_torch():
    torch.manual_seed(0)
    x, mean = torch.rand(2, 3, PIXELS, dtype=torch.float64)
    log_variance = torch.rand_like(mean) * 6 - 5.9
    outputs = gaussian_outputs(mean, log_variance)
    expected = distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(LIKELIHOODS["gaussian"].log_prob(x, outputs), expected, rtol=1e-9, atol=1e-6)
    in_float32 = LIKELIHOODS["gaussian"].log_prob(x.float(), outputs.float()).double()
    torch.testing.assert_close(in_float32, expected, rtol=1e-4, atol=0.05)
    torch.testing.assert_close(LIKELIHOODS["gaussian"].mean(outputs), mean)


def test_the_gaussian_variance_has_a_floor_that_keeps_the_density_bounded():
    outputs = torch.cat([torch.zeros(PIXELS), torch.full((PIXELS,), -1e4)])
    highest = LIKELIHOODS["gaussian"].log_prob(torch.zeros(PIXELS), outputs).item()
    assert highest == pytest.approx(PIXELS * (3 - 0.5 * math.log(2 * math.pi)), rel=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_of_many_images_under_many_latents_is_one_matrix_product(name):
    likelihood = LIKELIHOODS[name]
    torch.manual_seed(1)
    x = torch.rand(4, PIXELS, dtype=torch.float64)
    outputs = torch.randn(3, likelihood.channels * PIXELS, dtype=torch.float64)
    eta, log_partition = likelihood.natural(outputs)
    product = likelihood.statistics(x) @ eta.T - log_partition
    if name == "gaussian":
        mean, raw = outputs.chunk(2, dim=-1)
        pixels = distributions.Normal(mean, torch.exp(-3 + 0.5 * torch.log1p(torch.exp(raw + 6))))
    elif name == "continuous_bernoulli":
        pixels = distributions.ContinuousBernoulli(logits=limited(outputs))
    else:
        pixels = distributions.Bernoulli(logits=outputs, validate_args=False)
    torch.testing.assert_close(product, pixels.log_prob(x[:, None]).sum(-1), rtol=1e-9, atol=1e-6)


def test_bernoulli_and_continuous_bernoulli_samples_have_the_moments_of_torch():
    logits = LOGITS.double()
    for name, expected in (
        ("bernoulli", distributions.Bernoulli(logits=logits)),
        ("continuous_bernoulli", distributions.ContinuousBernoulli(logits=limited(logits))),
    ):
        rng = torch.Generator().manual_seed(0)
        samples = LIKELIHOODS[name].sample(LOGITS.expand(40_000, -1), rng).double()
        assert samples.min() >= 0 and samples.max() <= 1
        error = (samples.mean(0) - expected.mean).abs() / (expected.variance / len(samples)).sqrt()
        assert error.max() < 4.5, (name, LOGITS[error.argmax()])
        torch.testing.assert_close(samples.std(0), expected.stddev, rtol=0.03, atol=2e-3)


def test_the_continuous_bernoulli_has_a_largest_logit_that_keeps_the_density_bounded():
    highest = LIKELIHOODS["continuous_bernoulli"].log_prob(torch.zeros(PIXELS), torch.full((PIXELS,), -1e4)).item()
    assert highest == pytest.approx(PIXELS * math.log(20), rel=1e-5)


def test_without_limits_outputs_are_logits_and_log_variances_as_they_are():
    x = torch.rand(2, PIXELS)
    outputs = torch.cat([torch.zeros(PIXELS), torch.full((PIXELS,), -9.0)])
    expected = distributions.Normal(0.0, math.exp(-4.5)).log_prob(x).sum(-1)
    torch.testing.assert_close(UNLIMITED["gaussian"].log_prob(x, outputs), expected, rtol=1e-5, atol=0)
    logits = torch.full((PIXELS,), -50.0)
    expected = (math.log(50) - 50 * x).sum(-1)
    torch.testing.assert_close(UNLIMITED["continuous_bernoulli"].log_prob(x, logits), expected, rtol=1e-5, atol=0)


def test_continuous_bernoulli_samples_of_large_logits_stay_near_their_end():
    samples = LIKELIHOODS["continuous_bernoulli"].sample(LARGE.expand(40_000, -1), torch.Generator().manual_seed(0))
    from_end = torch.where(LARGE > 0, 1 - samples, samples).mean(0)  # exponential of rate |l|
    torch.testing.assert_close(from_end, 1 / limited(LARGE).abs(), rtol=0.03, atol=0)


def test_gaussian_samples_have_the_moments_asked_for():
    mean, log_variance = torch.linspace(-1, 2, PIXELS), torch.linspace(-5.5, 1, PIXELS)
    outputs = gaussian_outputs(mean, log_variance).float()
    samples = LIKELIHOODS["gaussian"].sample(outputs.expand(2000, -1), torch.Generator().manual_seed(0))
    deviation = (0.5 * log_variance).exp()
    assert ((samples.mean(0) - mean).abs() < 4.5 * deviation / 2000**0.5).all()
    torch.testing.assert_close(samples.std(0), deviation, rtol=0.08, atol=0)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_gradient_of_log_prob_is_finite_at_every_logit(name):
    outputs = torch.cat([LOGITS, LARGE, torch.tensor([0.0, 1e-30])])
    if name == "gaussian":
        outputs = torch.cat([torch.zeros(PIXELS), outputs.repeat(30)[:PIXELS]])
    outputs.requires_grad_()
    x = torch.full((len(outputs) // LIKELIHOODS[name].channels,), 0.25)
    LIKELIHOODS[name].log_prob(x, outputs).backward()
    assert outputs.grad.isfinite().all()
