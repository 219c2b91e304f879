"""What can be said of synthetic images and of their generator before any other classifier learns from them."""

import functools
from collections.abc import Mapping

from jaxtyping import Int64
from torch import Tensor

from vaelib import data
from vaelib.exact import quadrature
from vaelib.models.vae import VAE
from vaelib.synthetic.generators import PROTOCOL


def label_errors(judged: Int64[Tensor, " count"], labels: Int64[Tensor, " count"]) -> dict[str, float]:
    """The share of images that the judge takes for another digit than their label: of all, and of each digit there."""
    wrong = (judged != labels).double()
    of_digits = {f"label_error_{y}": wrong[labels == y].mean().item() for y in labels.unique().tolist()}
    return {"label_error": wrong.mean().item(), **of_digits}


def exact_nll(model: VAE, sets: Mapping[str, data.Images]) -> dict[str, float]:
    """Mean of -log p(x) of grey images in nats, exactly; of a conditional VAE of -log p(x | y) with their labels.

    Several sets go together, since most of the time is the decoder's, whatever the number of images. Raises
    `ValueError` for a latent of more than three dimensions.
    """
    images = functools.reduce(data.Images.join, sets.values())
    x = data.evaluation_pixels(images.images, PROTOCOL)
    if model.classes:
        log_px = quadrature.conditional_log_likelihood(model, x, images.labels)
    else:
        log_px = quadrature.exact_log_likelihood(model, x).log_px
    parts = log_px.split([len(own.labels) for own in sets.values()])
    return {name: -part.mean().item() for name, part in zip(sets, parts, strict=True)}
