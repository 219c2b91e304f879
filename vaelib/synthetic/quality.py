"""What can be said of synthetic images and of their generator before any other classifier learns from them."""

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


def exact_nll(model: VAE, images: data.Images) -> float:
    """Mean of -log p(x) of grey images in nats, exactly; of a conditional VAE of -log p(x | y) with their labels.

    Raises `ValueError` for a latent of more than three dimensions.
    """
    x = data.evaluation_pixels(images.images, PROTOCOL)
    if model.classes:
        return -quadrature.conditional_log_likelihood(model, x, images.labels).mean().item()
    return -quadrature.exact_log_likelihood(model, x).log_px.mean().item()
