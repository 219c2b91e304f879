"""Where a VAE fails, as a digit classifier sees it: what its samples show, what its reconstructions no longer do."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from vaelib import data
from vaelib.measure.evaluation import CLASSIFIED_SAMPLES
from vaelib.models.classifier import Classifier, blocks, predict
from vaelib.models.vae import VAE, Posterior

SURE = 0.9  # the highest probability of a digit below which the classifier is unsure
SHOWN = 30  # misread reconstructions that are kept

Numbers = dict[str, float]


@torch.no_grad()
def of_samples(model: VAE, judge: Classifier, seed: int = 0) -> tuple[Numbers, dict[str, np.ndarray]]:
    """What mean images of prior samples show: `unsure_samples`, the share of which the judge is unsure.

    `class_shares` [10] are the shares of the digits that it takes them for, sure or not.
    """
    rng = torch.Generator(model.device).manual_seed(seed)
    z = torch.randn(CLASSIFIED_SAMPLES, model.latent_dim, generator=rng, device=model.device)
    made = data.Images(_decoded(model, z), torch.zeros(CLASSIFIED_SAMPLES, dtype=torch.long, device=model.device))
    highest, digits = torch.cat([judge(block).softmax(-1) for block in blocks(made)]).max(-1)
    return {"unsure_samples": (highest < SURE).double().mean().item()}, {"class_shares": shares(digits)}


@torch.no_grad()
def of_reconstructions(
    model: VAE, judge: Classifier, images: data.Images, posterior: Posterior
) -> tuple[Numbers, dict[str, np.ndarray]]:
    """`misread_reconstructions`: the share of images that are read rightly, and as another digit once reconstructed.

    A reconstruction is the mean image of the mean of q(z | x), `posterior`. The first SHOWN of them are returned:
    `misread_images` and `misread_reconstructions` [n, 784] as bytes, `misread_label` and `misread_digit` [n].
    """
    rebuilt = _decoded(model, posterior.mean)
    digits = predict(judge, data.Images(rebuilt, images.labels))
    misread = (predict(judge, images) == images.labels) & (digits != images.labels)
    first = misread.nonzero()[:SHOWN, 0]
    return {"misread_reconstructions": misread.double().mean().item()}, {
        "misread_images": images.images[first].flatten(1).cpu().numpy(),
        "misread_reconstructions": rebuilt[first].flatten(1).cpu().numpy(),
        "misread_label": images.labels[first].cpu().numpy(),
        "misread_digit": digits[first].cpu().numpy(),
    }


def shares(digits: Int64[Tensor, " images"]) -> np.ndarray:
    """[10] share of each digit."""
    return (digits.cpu().bincount(minlength=data.CLASSES) / len(digits)).double().numpy()


def _decoded(model: VAE, z: Tensor) -> Tensor:
    """Mean images of latents in 256 levels, as a classifier was trained on; a Gaussian's mean is cut to [0, 1]."""
    return torch.cat([data.to_images(model.images(block)) for block in z.split(2000)])
