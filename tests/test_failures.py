"""What a classifier sees in a VAE's samples and reconstructions, with models whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from vaelib import data
from vaelib.measure import failures
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE, Posterior


class Painter(VAE):
    """A decoder of one latent: its image has the grey level round(z) / 10 everywhere."""

    def __init__(self):
        super().__init__("mlp", latent_dim=1)

    def images(self, z):
        return (z.round() / 10).clamp(0, 1).expand(-1, data.PIXELS)


class Reader(Classifier):
    """Reads tenths of grey as digits, and is sure of all but the 0."""

    def forward(self, x):
        digit = (10 * x.mean(-1)).round().long().clamp(max=9)
        sure = torch.where(digit == 0, 1.0, 100.0)
        return nn.functional.one_hot(digit, data.CLASSES) * sure[:, None]


def painted(digits) -> torch.Tensor:
    return (
        torch.tensor([round(25.5 * digit) for digit in digits])
        .to(torch.uint8)[:, None, None, None]
        .expand(-1, 1, 28, 28)
    )


def test_samples_are_counted_by_their_digit_and_by_how_sure_it_is():
    numbers, arrays = failures.of_samples(Painter(), Reader())
    # A standard normal below 0.5 is painted as a 0 (what is negative is cut), from 0.5 to 1.5 as a 1.
    below, above = torch.special.ndtr(torch.tensor([0.5, 1.5])).tolist()
    assert numbers["unsure_samples"] == pytest.approx(below, abs=0.03)
    assert arrays["class_shares"][:2] == pytest.approx([below, above - below], abs=0.03)
    assert arrays["class_shares"].sum() == pytest.approx(1)


def test_misread_are_images_read_rightly_whose_reconstruction_is_another_digit():
    images = data.Images(painted([3, 4, 5, 6]), torch.tensor([3, 4, 9, 6]))  # the third is misread from the beginning
    q = Posterior(torch.tensor([[3.0], [7.0], [5.0], [1.0]]), torch.zeros(4, 1))
    numbers, arrays = failures.of_reconstructions(Painter(), Reader(), images, q)
    assert numbers == {"misread_reconstructions": 0.5}
    assert arrays["misread_label"].tolist() == [4, 6] and arrays["misread_digit"].tolist() == [7, 1]
    assert (arrays["misread_images"] == images.images[[1, 3]].flatten(1).numpy()).all()
    assert np.unique(arrays["misread_reconstructions"], axis=1).ravel().tolist() == [round(25.5 * 7), round(25.5)]


def test_no_more_misread_images_are_kept_than_are_shown():
    images = data.Images(painted([3] * 50), torch.full((50,), 3))
    numbers, arrays = failures.of_reconstructions(Painter(), Reader(), images, Posterior(*2 * [torch.zeros(50, 1)]))
    assert numbers["misread_reconstructions"] == 1 and len(arrays["misread_images"]) == failures.SHOWN
