"""Mixtures of Bernoulli distributions: against every image there is, EM's promise, and components that were planted."""

import itertools
import math

import pytest
import torch
from torch import distributions

from vaelib import data
from vaelib.training import mixture
from vaelib.training.mixture import Counts, Mixture, Pass


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_mixture(components, pixels):
    weight = torch.rand(components, generator=seeded(1)).softmax(0)
    return Mixture(weight.log(), 3 * torch.randn(components, pixels, generator=seeded(2)))


def drawn(images):
    """Images of 784 pixels of which all but the first few are white."""
    x = torch.zeros(len(images), data.PIXELS)
    x[:, : images.shape[1]] = images
    return data.Images((255 * x).byte().unflatten(1, (1, 28, 28)), torch.zeros(len(x), dtype=torch.long))


def test_log_px_is_that_of_torch_and_all_images_together_have_probability_one():
    fitted = random_mixture(components=3, pixels=7)
    everything = torch.tensor(list(itertools.product([0.0, 1.0], repeat=7)))
    ink = distributions.Independent(distributions.Bernoulli(logits=fitted.logits), 1)
    expected = distributions.MixtureSameFamily(distributions.Categorical(logits=fitted.log_weight), ink)
    torch.testing.assert_close(fitted.log_px(everything), expected.log_prob(everything))
    assert fitted.log_px(everything).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_counts_are_those_of_bayes_rule_image_by_image(monkeypatch):
    fitted = random_mixture(components=4, pixels=6)
    x = torch.bernoulli(torch.full((9, 6), 0.4), generator=seeded())
    monkeypatch.setattr(mixture.device, "rows_at_once", lambda *_: 2)
    seen, ink = torch.zeros(4), torch.zeros(4, 6)
    for row in x:
        mean = fitted.logits.sigmoid()
        joint = fitted.log_weight.exp() * torch.where(row == 1, mean, 1 - mean).prod(1)
        seen += joint / joint.sum()
        ink += (joint / joint.sum())[:, None] * row
    torch.testing.assert_close(fitted.counts(x), Counts(seen, ink))


@pytest.mark.parametrize("pseudo_count", [0.1, 2.0])
def test_em_never_lowers_the_density_of_fixed_images_with_the_prior(pseudo_count):
    x = torch.bernoulli(torch.rand(200, 12, generator=seeded(3)), generator=seeded(4)).double()
    average = torch.full((12,), 0.3, dtype=torch.float64)
    fitted = Counts(torch.ones(8, dtype=torch.float64), x[:8]).mixture(average, 1.0)
    reached = []
    for _ in range(30):
        mean = fitted.logits.sigmoid()
        prior = fitted.log_weight.sum() + (average * mean.log() + (1 - average) * (1 - mean).log()).sum()
        reached.append((fitted.log_px(x).sum() + pseudo_count * prior).item())
        fitted = fitted.counts(x).mixture(average, pseudo_count)
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(reached))
    assert reached[-1] > reached[0] + 10


def test_em_recovers_the_components_that_images_were_drawn_from():
    planted = torch.tensor([[0.9] * 5 + [0.1] * 15, [0.1] * 10 + [0.9] * 10])
    which = torch.rand(4000, generator=seeded()) < 0.3
    images = drawn(torch.bernoulli(planted[which.long()], generator=seeded(1)))
    *_, last = mixture.passes(images, images.take(500), 2, 10, [0.5, 50.0], seeded(2))
    order = last.mixture.log_weight.argsort(descending=True)
    mean, weight = last.mixture.logits.sigmoid()[order], last.mixture.log_weight.exp()[order]
    torch.testing.assert_close(mean[:, :20], planted, rtol=0, atol=0.05)
    torch.testing.assert_close(weight, torch.tensor([0.7, 0.3]), rtol=0, atol=0.03)
    assert mean[:, 20:].max() < 1e-3 and last.number == 10


def test_a_pass_takes_the_pseudo_count_that_is_best_for_the_validation_images(mnist):
    training, validation = mnist["train"].take(300), mnist["validation"].take(100)
    x = data.evaluation_pixels(validation.images, "A")
    each = [next(mixture.passes(training, validation, 50, 1, [a], seeded())) for a in (0.01, 1.0, 30.0)]
    best = next(mixture.passes(training, validation, 50, 1, [0.01, 1.0, 30.0], seeded()))
    assert best.validation_nll == min(one.validation_nll for one in each)
    assert best.pseudo_count == min(each, key=lambda one: one.validation_nll).pseudo_count == 1.0
    assert best.validation_nll == pytest.approx(-best.mixture.log_px(x).mean().item(), abs=1e-3)
    assert math.isfinite(each[0].validation_nll)  # no pixel is impossible


def test_of_all_passes_the_best_for_the_validation_images_is_kept(monkeypatch, capsys):
    done = [Pass(number, 1.0, nll, random_mixture(2, 3)) for number, nll in ((1, 3.0), (2, 1.0), (3, 2.0))]
    monkeypatch.setattr(mixture, "passes", lambda *_: iter(done))
    images = drawn(torch.zeros(4, 1))
    assert mixture.fit(images, images, 2, 3, [1.0], seeded()) is done[1]
    assert capsys.readouterr().out.splitlines()[-1] == "pass 3/3 of EM, 2 components: validation 2.00 nats"


def test_the_images_of_a_mixture_are_the_means_of_its_heaviest_components():
    mean = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    fitted = Mixture(torch.tensor([0.2, 0.5, 0.3]).log(), mean.logit())
    torch.testing.assert_close(fitted.images(2), mean[[1, 2]])
    torch.testing.assert_close(fitted.images(10), mean[[1, 2, 0]])


def test_the_average_image_has_seen_a_black_and_a_white_one_beside():
    images = drawn(torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]))
    average = mixture.average_image(images)
    torch.testing.assert_close(average[:4], torch.tensor([1 / 4, 3 / 4, 2 / 4, 1 / 4]))
