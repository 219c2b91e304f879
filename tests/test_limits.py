"""At the edges of what is asked for: fewer images than neighbours or columns, and a label for each image."""

import pytest
import torch

from vaelib import data
from vaelib.exact.quadrature import conditional_log_likelihood, exact_log_likelihood
from vaelib.measure import metrics
from vaelib.models.vae import VAE


@pytest.mark.parametrize("count", [1, 4])
def test_of_fewer_training_images_than_neighbours_all_are_neighbours(count):
    confusions = metrics.latent_confusions(
        torch.rand(count, 2), torch.full((count,), 3), torch.rand(6, 2), torch.arange(6)
    )
    assert (confusions[:6, 3] == 1).all() and confusions.sum() == 6


def test_the_first_of_each_class_are_as_many_of_each_and_empty_where_there_are_fewer():
    images = data.Images(
        torch.arange(1, 6).to(torch.uint8)[:, None, None, None].expand(5, 1, 28, 28), torch.tensor([7, 0, 7, 7, 9])
    )
    rows = images.first_of_each(2).amax((1, 2, 3)).reshape(10, 2).tolist()
    assert rows == [[2, 0], *[[0, 0]] * 6, [1, 3], [0, 0], [5, 0]]


def test_the_quadrature_of_a_model_with_a_label_for_each_image_names_what_computes_that():
    torch.manual_seed(0)
    model, x, labels = VAE("mlp", classes=10).eval(), torch.rand(2, data.PIXELS).round(), torch.tensor([3, 8])
    with pytest.raises(ValueError, match="one label for all images: use conditional_log_likelihood"):
        exact_log_likelihood(model.given(labels), x)
    alone = exact_log_likelihood(model.given(labels[:1]), x[:1]).log_px
    assert conditional_log_likelihood(model, x, labels)[:1] == pytest.approx(alone)
