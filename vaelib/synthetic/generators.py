"""The kinds of generators: which images and VAEs each is trained with, and how it gets an image for a label."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE
from vaelib.synthetic import samplers

PROTOCOL = "B"  # grey images are what classifiers see
WITHOUT_LABELS = ("regions", "classified")  # kinds whose VAE is not told them


class Part(NamedTuple):
    """One VAE of a generator: its name, the number of its classes, and the digit it is of where it is of one alone."""

    name: str
    classes: int
    digit: int | None = None


def parts(kind: str) -> list[Part]:
    """The VAEs that a generator of this kind needs."""
    if kind == "per_digit":
        return [Part(f"digit-{digit}", classes=0, digit=digit) for digit in range(data.CLASSES)]
    return [Part("model", classes=0 if kind in WITHOUT_LABELS else data.CLASSES)]


def has_critic(kind: str, task_weight: float) -> bool:
    """Whether a classifier has a part in making the images: in the loss, or in their labels."""
    return task_weight > 0 or kind == "classified"


def asked_labels(seen: data.Images, count: int) -> Int64[Tensor, " {count}"]:
    """The labels of the images that a generator sees, in their order and as often as it takes for `count` of them.

    So every beginning of what it makes has all digits in their proportions.
    """
    return seen.labels.repeat(math.ceil(count / len(seen.labels)))[:count]


def build(
    kind: str,
    train: Callable[[Part], VAE],
    images: data.Images,
    spread: float = 1.0,
    critic: Classifier | None = None,
    certainty: float = 0.0,
) -> tuple[list[VAE], samplers.Sampler]:
    """The trained VAEs of a generator and its sampler.

    `train` makes a VAE for a part; `images` are those it was trained on, from which "regions" takes its densities and
    "around" its latents, with `spread` times the standard deviation of q. "classified" needs the critic that labels
    its samples, and leaves out those of which it is not as certain as asked for.
    """
    models = [train(part) for part in parts(kind)]
    if kind == "per_digit":
        return models, samplers.from_each_digit(models)
    (model,) = models
    if kind == "conditional":
        return models, samplers.from_prior(model)
    if kind == "around":
        return models, samplers.around(model, images, PROTOCOL, spread)
    if kind == "classified":
        return models, samplers.Classified(model, critic, certainty)
    return models, samplers.from_regions(model, images, PROTOCOL)


def unlabelled(model: VAE, count: int, seed: int) -> data.Images:
    """Mean images of draws of the prior, the same draws for all models of one latent dimension; the labels are -1."""
    rng = torch.Generator(model.device).manual_seed(seed)
    z = torch.randn(count, model.latent_dim, generator=rng, device=model.device)
    with torch.no_grad():
        made = torch.cat([data.to_images(model.images(block)) for block in z.split(2000)])
    return data.Images(made, torch.full((count,), -1, device=model.device))


def kept(arrays: Mapping[str, np.ndarray]) -> data.Images:
    """The synthetic images that a run of `notebooks/synthesis.ipynb` keeps."""
    return data.Images(torch.as_tensor(arrays["images"]), torch.as_tensor(arrays["image_labels"]))
