"""A generator sees the images of its half that it is given, and is asked for their labels."""

import pytest
import torch

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE
from vaelib.synthetic import arms, generators, samplers

CHECKSUMS = ["52eb389a", "33b0b38a"]  # of the two parts of the first half


def test_a_whole_half_is_divided_as_it_always_was():
    divided = data.with_validation("MNIST", "first_half")
    assert [data.checksum(part) for part in divided] == CHECKSUMS


def test_a_closed_set_is_just_the_real_images_of_the_classifier():
    train, validation = data.with_validation("MNIST", "second_half", 6000)
    assert (len(train.labels), len(validation.labels)) == (5500, 500)
    real, left_over = arms.choice_images("MNIST", seen=6000)
    assert data.checksum(train.join(validation)) == data.checksum(real) and len(left_over.labels) == 10_000


@pytest.mark.parametrize(("seen", "count"), [(0, 10_000), (15_000, 10_000), (28_000, 2_000), (30_000, 0)])
def test_no_image_that_a_generator_has_seen_is_left_over_to_choose_by(seen, count):
    _, left_over = arms.choice_images("MNIST", seen)
    half = data.load("MNIST", "second_half")
    first = max(seen, 6000)
    assert data.checksum(left_over) == data.checksum(half.drop(first).take(10_000)) and len(left_over.labels) == count


def test_labels_are_those_of_the_images_seen_and_begin_anew_after_the_last(mnist):
    seen = mnist["train"].take(30)
    assert generators.asked_labels(seen, 20).tolist() == seen.labels[:20].tolist()
    assert generators.asked_labels(seen, 70).tolist() == [*seen.labels.tolist() * 2, *seen.labels[:10].tolist()]


@pytest.mark.parametrize("latent_dim", [2, 5])
def test_a_classified_generator_is_one_vae_without_labels(latent_dim, mnist):
    torch.manual_seed(0)
    critic = Classifier().eval()
    critic.head.bias.data = torch.zeros(10)
    critic.head.weight.data *= 0  # every sample is a 0, and one of ten is as probable as another
    (model,), sampler = generators.build(
        "classified", lambda part: VAE("mlp", latent_dim, classes=part.classes).eval(), mnist["train"], critic=critic
    )
    labels = torch.zeros(7, dtype=torch.int64)
    made = samplers.synthesise(sampler, model.likelihood, labels, torch.Generator().manual_seed(0))
    assert model.classes == 0 and len(made.images.unique(dim=0)) == 7 and sampler.kept_share == 1.0
