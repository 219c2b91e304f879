"""Mixtures of Bernoulli distributions fitted by EM: what components reach that no decoder ties to one another.

A decoder at K latents of equal weight is such a mixture, whose K images are all made by one network. Here each
component has an image of its own. It has seen `pseudo_count` average images beforehand, so that no pixel of it is
impossible and no component dies out:

    pi_k proportional to N_k + a,    mu_k = (S_k + a m) / (N_k + a),

with N_k and S_k the images and the ink that the component is responsible for, and m the average image. These are the
modes under a Dirichlet and a Beta prior (Dempster, Laird & Rubin 1977, section 3), of which EM never lowers the
posterior density of fixed images.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vaelib import data, device
from vaelib.progress import say, told
from vaelib.training.objectives import log_sum_exp


class Mixture(NamedTuple):
    """p(x) = sum over k of pi_k times the product over pixels of Bernoulli(x_i; mu_ki); mu as logits."""

    log_weight: Float[Tensor, " components"]
    logits: Float[Tensor, "components pixels"]

    def log_joint(self, x: Float[Tensor, "images pixels"]) -> Float[Tensor, "images components"]:
        """log pi_k + log p(x | k) in nats, one matrix product: x . logit - sum softplus(logit)."""
        return x @ self.logits.T + (self.log_weight - F.softplus(self.logits).sum(-1))

    def log_px(self, x: Float[Tensor, "images pixels"]) -> Float[Tensor, " images"]:
        """log p(x) of each image in nats."""
        return torch.cat([log_sum_exp(self.log_joint(rows)) for rows in self._blocks(x)])

    def images(self, most: int) -> Float[Tensor, "shown pixels"]:
        """mu of the components of largest weight, up to `most` of them."""
        return self.logits[self.log_weight.argsort(descending=True)[:most]].sigmoid()

    def counts(self, x: Float[Tensor, "images pixels"]) -> "Counts":
        """The E step: what each component is responsible for."""
        seen, ink = torch.zeros_like(self.log_weight), torch.zeros_like(self.logits)
        for rows in told(self._blocks(x), f"{len(seen):,} components"):
            responsibility = self.log_joint(rows).softmax(1)
            seen += responsibility.sum(0)
            ink += responsibility.T @ rows
        return Counts(seen, ink)

    def _blocks(self, x: Float[Tensor, "images pixels"]) -> Sequence[Tensor]:
        return x.split(device.rows_at_once(x.device, 4 * len(self.log_weight)))


class Counts(NamedTuple):
    """N_k, the images that each component is responsible for, and S_k, the ink in them, pixel by pixel."""

    images: Float[Tensor, " components"]
    ink: Float[Tensor, "components pixels"]

    def mixture(self, average: Float[Tensor, " pixels"], pseudo_count: float) -> Mixture:
        """The M step, where each component has seen `pseudo_count` average images beforehand."""
        seen = self.images + pseudo_count
        mean = (self.ink + pseudo_count * average) / seen[:, None]
        return Mixture((seen / seen.sum()).log(), torch.logit(mean))


class Pass(NamedTuple):
    """A mixture after a pass over the training images, and what it is worth on validation images."""

    number: int
    pseudo_count: float
    validation_nll: float  # nats an image
    mixture: Mixture


def average_image(images: data.Images) -> Float[Tensor, " pixels"]:
    """The share of ink of each pixel, with one black and one white image beside, so that it is never 0 or 1."""
    ink = images.images.flatten(1).sum(0) / 255
    return (ink + 1) / (len(images.labels) + 2)


def passes(
    training: data.Images,
    validation: data.Images,
    components: int,
    count: int,
    pseudo_counts: Sequence[float],
    rng: torch.Generator,
) -> Iterator[Pass]:
    """EM from as many training images as there are components; yields the mixture after each of `count` passes.

    Each pass draws the pixels of all training images afresh (protocol A). Of the pseudo-counts a pass takes the one
    that is best for the validation images, on their fixed sample.
    """
    average, held_out = average_image(training), data.evaluation_pixels(validation.images, "A")
    chosen = torch.randperm(len(training.labels), generator=rng, device=rng.device)[:components]
    x = data.binarise(training.images[chosen], rng)
    mixture = Counts(torch.ones(len(x), device=x.device), x).mixture(average, pseudo_count=1.0)
    for number in range(1, count + 1):
        counts = mixture.counts(data.binarise(training.images, rng))
        tried = [(a, counts.mixture(average, a)) for a in pseudo_counts]
        best = min((Pass(number, a, _nll(m, held_out), m) for a, m in tried), key=lambda tried: tried.validation_nll)
        mixture = best.mixture
        yield best


def fit(
    training: data.Images,
    validation: data.Images,
    components: int,
    count: int,
    pseudo_counts: Sequence[float],
    rng: torch.Generator,
) -> Pass:
    """The best of `passes` by the validation images; prints a line for each."""
    done = []
    for step in passes(training, validation, components, count, pseudo_counts, rng):
        say(f"pass {step.number}/{count} of EM, {components:,} components: validation {step.validation_nll:.2f} nats")
        done.append(step)
    return min(done, key=lambda step: step.validation_nll)


def _nll(mixture: Mixture, x: Float[Tensor, "images pixels"]) -> float:
    """Mean of -log p(x) in nats; infinite rather than nan, so that it is never the least."""
    nll = -mixture.log_px(x).double().mean().item()
    return math.inf if math.isnan(nll) else nll
