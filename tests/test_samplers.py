"""Synthetic images carry the labels asked for, come from the first half alone, and are drawn as they should be."""

import math

import pytest
import torch

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.vae import VAE, Posterior
from vaelib.synthetic import samplers

LABELS = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])


class Painter(torch.nn.Module):
    """A decoder that paints its label into the first pixel and its latent into the next two; no weights."""

    def __init__(self, label=None):
        super().__init__()
        self.label = label

    def forward(self, inputs):
        outputs = torch.zeros(len(inputs), 784)
        outputs[:, 1:3] = inputs[:, :2]
        outputs[:, 0] = inputs[:, 2:].argmax(-1) if self.label is None else self.label
        return outputs


def painting(classes, label=None):
    model = VAE("mlp", 2, classes=classes)
    model.decoder = Painter(label)
    return model


def test_a_conditional_vae_decodes_prior_draws_with_the_label_asked_for():
    outputs = samplers.from_prior(painting(10))(LABELS.repeat(500), torch.Generator().manual_seed(0))
    assert torch.equal(outputs[:, 0], LABELS.repeat(500).float())
    z = outputs[:, 1:3]
    torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=0.06)
    torch.testing.assert_close(z.T.cov(), torch.eye(2), rtol=0, atol=0.08)


def test_each_label_is_decoded_by_the_vae_of_its_digit():
    models = [painting(0, label=digit) for digit in range(10)]
    outputs = samplers.from_each_digit(models)(LABELS, torch.Generator().manual_seed(0))
    assert torch.equal(outputs[:, 0], LABELS.float())
    assert len(outputs[:, 1:3].unique(dim=0)) == len(LABELS)


def test_regions_belong_to_the_class_that_is_densest_there(mnist, monkeypatch):
    """Ten classes at known places, with narrow posteriors: a draw for a label lies nearest to its place."""
    images = mnist["train"].take(2000)
    places = torch.stack(
        [torch.tensor([1.5, 0.0]) * (y % 5 - 2) / 2 + torch.tensor([0.0, 1.5]) * (y // 5 - 0.5) for y in range(10)]
    )
    model = painting(0, label=0)
    monkeypatch.setattr(model, "posterior", lambda x: Posterior(places[images.labels], torch.full((len(x), 2), -3.0)))
    sampler = samplers.from_regions(model, images, "B")
    labels = LABELS.repeat(200)
    z = sampler(labels, torch.Generator().manual_seed(0))[:, 1:3]
    nearest = torch.cdist(z, places).argmin(1)
    assert (nearest == labels).double().mean() > 0.9  # the borders move a little with the classes' shares
    inner = z[labels == 2]  # a draw of the prior, cut to a region that reaches up from the middle
    assert inner[:, 1].mean() < -0.3 and inner[:, 0].abs().max() < 1.0


def test_a_class_that_is_nowhere_the_densest_still_gets_its_images(mnist, monkeypatch):
    """All classes lie on the same place, so that the most frequent one is densest everywhere."""
    images = mnist["train"].take(500)
    model = painting(0, label=0)
    monkeypatch.setattr(model, "posterior", lambda x: Posterior(torch.zeros(len(x), 2), torch.zeros(len(x), 2)))
    z = samplers.from_regions(model, images, "B")(LABELS, torch.Generator().manual_seed(0))[:, 1:3]
    assert z.isfinite().all() and len(z.unique(dim=0)) == len(LABELS)


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_around_uses_images_of_the_label_and_the_spread_of_their_posteriors(mnist, monkeypatch, spread):
    images = mnist["train"].take(40)
    model = painting(10)
    directions = 100 * torch.randn(784, 2, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(VAE, "posterior", lambda self, x: Posterior(x @ directions, torch.zeros(len(x), 2)))
    labels = torch.cat([images.labels] * 20)
    outputs = samplers.around(model, images, "B", spread)(labels, torch.Generator().manual_seed(0))
    assert torch.equal(outputs[:, 0], labels.float())
    centres = data.grey(images.images) @ directions
    distance = (outputs[:, None, 1:3] - centres).norm(dim=-1)
    own = torch.where(labels[:, None] == images.labels, distance, math.inf).min(1)
    assert own.values.max() < 0.01 if spread == 0 else own.values.max() > 1
    for digit in range(10):  # every image of the digit is used
        assert set(own.indices[labels == digit].tolist()) == set((images.labels == digit).nonzero()[:, 0].tolist())
    if spread:
        assert (outputs[:, 1:3] - centres[own.indices]).std().item() == pytest.approx(spread, rel=0.1)


class Reader(Classifier):
    """A critic of what `Painter` paints: z1 says which of the digits 0 to 3 it sees, z2 how surely."""

    def forward(self, x):
        digit = (x[:, 1].logit() + 2).floor().clamp(0, 3).long()  # bounds at z1 = -1, 0 and 1
        sure = 0.4 + 0.6 * x[:, 2]
        others = ((1 - sure) / 9)[:, None].expand(-1, 10).clone()
        return others.scatter(1, digit[:, None], sure[:, None]).log()


def classified(labels, certainty=0.0, seed=0):
    """The sampler, and the latents behind the images that it makes for these labels."""
    sampler = samplers.Classified(painting(0, label=0), Reader(), certainty)
    return sampler, sampler(labels, torch.Generator().manual_seed(seed))[:, 1:3]


def test_classified_samples_show_the_digit_that_was_asked_for_and_are_draws_of_the_prior():
    labels = torch.tensor([3, 0, 2, 1, 1]).repeat(600)
    sampler, z = classified(labels)
    assert torch.equal((z[:, 0] + 2).floor().clamp(0, 3).long(), labels) and len(z.unique(dim=0)) == len(labels)
    assert z[labels == 2][:, 0].mean().item() == pytest.approx(0.4598, abs=0.03)  # of a normal between 0 and 1
    assert z[:, 1].mean().item() == pytest.approx(0, abs=0.06) and z[:, 1].std().item() == pytest.approx(1, abs=0.05)
    # A sample shows a 0 with probability 0.159, and a fifth of the labels are 0: this decides how many are drawn.
    assert sampler.kept_share == pytest.approx(0.1587 / 0.2, rel=0.1)


def test_only_samples_count_of_which_the_classifier_is_certain_enough():
    """Of the digit of a sample it is certain by 0.7 or more where z2 is above 0: in half of them."""
    labels = torch.tensor([0, 1, 2, 3]).repeat(500)
    sampler, z = classified(labels, certainty=0.7)
    assert (z[:, 1] > 0).all() and torch.equal((z[:, 0] + 2).floor().clamp(0, 3).long(), labels)
    assert sampler.kept_share == pytest.approx(0.5 * classified(labels)[0].kept_share, rel=0.1)


def test_classified_samples_hang_on_the_seed_and_not_on_how_many_are_drawn_together(monkeypatch):
    labels = torch.tensor([0, 1, 2, 3]).repeat(10)
    (sampler, z), (_, again), (_, other) = (classified(labels, 0.6, seed) for seed in (0, 0, 1))
    assert torch.equal(z, again) and not torch.equal(z, other)
    _, longer = classified(torch.tensor([0, 1, 2, 3]).repeat(20), 0.6)
    assert torch.equal(longer[: len(z)], z)
    assert sampler.kept == 40 and sampler.drawn < samplers.DRAWS  # those after the last one taken do not count
    monkeypatch.setattr(samplers, "DRAWS", 64)
    in_parts, z = classified(labels, 0.6)
    assert torch.equal(z, again) and in_parts.drawn == sampler.drawn > 2 * 64


def test_a_digit_that_never_comes_gets_other_samples_each_another(monkeypatch):
    monkeypatch.setattr(samplers, "MOST_DRAWS", 4000)
    labels = torch.tensor([0, 7, 1, 7])
    sampler, z = classified(labels)
    assert torch.equal((z[::2, 0] + 2).floor().clamp(0, 3).long(), labels[::2]) and len(z.unique(dim=0)) == 4
    assert (sampler.filled, sampler.filled_share, sampler.drawn) == (2, 0.5, 4000)
    assert (z[labels == 7][:, 1].sigmoid() < 0.05).all()  # where the classifier is least certain of another digit


def test_a_digit_that_is_not_certain_often_enough_is_filled_up_with_its_surest_samples(monkeypatch):
    """Nothing is 0.95 certain but where z2 is high: a few samples in a thousand."""
    monkeypatch.setattr(samplers, "MOST_DRAWS", 2000)
    labels = torch.zeros(100, dtype=torch.long)
    sampler, z = classified(labels, certainty=0.95)
    assert (z[:, 0] < -1).all() and len(z.unique(dim=0)) == 100
    certain = 0.4 + 0.6 * z[:, 1].sigmoid() >= 0.95
    assert 0 < certain.sum() < 40 and sampler.filled == 100 - certain.sum()
    assert z[:, 1].min() > 0.5  # the surest hundred of some three hundred


@pytest.mark.parametrize("pixels", ["mean", "sample"])
def test_pixels_are_means_or_draws(pixels):
    def sampler(labels, rng):
        return torch.full((len(labels), 784), 1.0).logit(eps=0.3)  # probability 0.7

    made = samplers.synthesise(sampler, LIKELIHOODS["bernoulli"], LABELS, torch.Generator().manual_seed(0), pixels)
    assert torch.equal(made.labels, LABELS) and made.images.shape == (10, 1, 28, 28)
    if pixels == "mean":
        assert (made.images == round(255 * 0.7)).all()
    else:
        assert set(made.images.unique().tolist()) == {0, 255}
        assert (made.images == 255).double().mean().item() == pytest.approx(0.7, abs=0.03)


KINDS = {
    "prior": lambda images: samplers.from_prior(painting(10)),
    "each digit": lambda images: samplers.from_each_digit([painting(0, label=digit) for digit in range(10)]),
    "regions": lambda images: samplers.from_regions(painting(0, label=0), images, "B"),
    "around": lambda images: samplers.around(painting(10), images, "B"),
    "classified": lambda images: samplers.Classified(painting(0, label=0), Reader()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_images_whatever_was_made_before(mnist, kind):
    sampler, likelihood = KINDS[kind](mnist["train"].take(100)), LIKELIHOODS["bernoulli"]

    def made(seed):
        return samplers.synthesise(sampler, likelihood, LABELS, torch.Generator().manual_seed(seed)).images

    first, other = made(1), made(9)
    torch.rand(7)
    assert torch.equal(made(1), first) and not torch.equal(other, first)
