"""Label errors are shares of what they say; the exact value of a conditional VAE is given the labels of the images."""

import pytest
import torch

from vaelib import data
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.models.vae import VAE
from vaelib.synthetic import quality


def test_label_errors_are_shares_of_all_images_and_of_those_of_a_digit():
    labels = torch.arange(20) % 10
    judged = labels.clone()
    judged[[3, 13, 7]] = torch.tensor([5, 5, 1])
    numbers = quality.label_errors(judged, labels)
    assert numbers["label_error"] == pytest.approx(3 / 20) and len(numbers) == 11
    assert (numbers["label_error_3"], numbers["label_error_7"], numbers["label_error_5"]) == (1.0, 0.5, 0.0)
    assert quality.label_errors(judged[:2], labels[:2]).keys() == {"label_error", "label_error_0", "label_error_1"}


@pytest.mark.parametrize("classes", [0, data.CLASSES])
def test_the_exact_value_is_of_grey_images_given_their_labels_where_the_vae_is(classes, mnist):
    torch.manual_seed(0)
    model, images = VAE("mlp", classes=classes).eval(), mnist["test"].take(5)
    x = data.grey(images.images)
    given = [model.given(label) if classes else model for label in images.labels]
    nll = -torch.cat([exact_log_likelihood(own, x[i : i + 1]).log_px for i, own in enumerate(given)])
    found = quality.exact_nll(model, {"exact_nll": images.take(3), "exact_nll_validation": images.drop(3)})
    expected = {"exact_nll": nll[:3].mean().item(), "exact_nll_validation": nll[3:].mean().item()}
    assert found == pytest.approx(expected, abs=1e-3)


def test_of_many_dimensions_there_is_none(mnist):
    with pytest.raises(ValueError, match="latent"):
        quality.exact_nll(VAE("mlp", 5).eval(), {"exact_nll": mnist["test"].take(2)})
