"""Labelled synthetic images from trained VAEs: five ways to place a latent for a label, and one to make it an image.

A *sampler* maps labels to decoder outputs. All samplers are asked for the labels of real images, in their order, so
that the same positions carry the same digit whatever the generator, and class shares are those of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vaelib import data
from vaelib.exact.aggregate import aggregate_posterior
from vaelib.models.classifier import Classifier
from vaelib.models.likelihoods import Likelihood
from vaelib.models.vae import VAE, Posterior, log_normal
from vaelib.progress import told

Sampler = Callable[[Int64[Tensor, " count"], torch.Generator], Float[Tensor, "count outputs"]]

EXTENT, CELLS = 4.0, 100  # the plane of `from_regions`: [-4, 4]^2 in cells of 0.08
DENSITY_IMAGES = 3_000  # images whose posteriors make up the class densities there
DRAWS = 500  # latents that `Classified` draws, decodes and classifies together: 2,000 leave a processor's cache
MOST_DRAWS = 20_000  # for a block of labels: ten for each, so that a digit fills up that is not in a hundredth of them


def from_prior(model: VAE) -> Sampler:
    """z ~ p(z), decoded by a conditional VAE together with the label."""

    def sample(labels, rng):
        z = torch.randn(len(labels), model.latent_dim, generator=rng, device=labels.device)
        return model.given(labels).decode(z)

    return sample


def from_each_digit(models: Sequence[VAE]) -> Sampler:
    """z ~ p(z), decoded by the VAE that was trained on the images of this digit alone."""

    def sample(labels, rng):
        z = torch.randn(len(labels), models[0].latent_dim, generator=rng, device=labels.device)
        rows = [(labels == digit).nonzero()[:, 0] for digit in range(len(models))]
        outputs = torch.cat([model.decode(z[row]) for model, row in zip(models, rows, strict=True)])
        return outputs[torch.cat(rows).argsort()]

    return sample


def from_regions(model: VAE, images: data.Images, protocol: str) -> Sampler:
    """z ~ p(z) restricted to the region of the label, for an unconditional VAE with two latent dimensions.

    A point of the plane belongs to the class with the largest p(y) q(z | y), where q(z | y) averages the posteriors
    of the labelled images of this class.
    """
    images = images.take(DENSITY_IMAGES)
    with torch.no_grad():
        posterior = model.posterior(data.evaluation_pixels(images.images, protocol))
    cell = 2 * EXTENT / CELLS
    axis = torch.arange(CELLS, device=images.labels.device) * cell - EXTENT + cell / 2
    centres = torch.cartesian_prod(axis, axis)
    density = torch.stack([_class_density(images.labels == y, posterior, centres) for y in range(data.CLASSES)])
    prior, share = log_normal(centres).exp(), density.softmax(0)  # p(z), p(y | z)
    region = density.argmax(0)

    def sample(labels, rng):
        z = torch.empty(len(labels), 2, device=labels.device)
        for digit in labels.unique():
            rows = (labels == digit).nonzero()[:, 0]
            weight = prior * (region == digit)
            if weight.sum() == 0:  # a class that is nowhere the densest
                weight = prior * share[digit]
            chosen = torch.multinomial(weight, len(rows), replacement=True, generator=rng)
            z[rows] = centres[chosen] + cell * (torch.rand(len(rows), 2, generator=rng, device=z.device) - 0.5)
        return model.decode(z)

    return sample


def around(model: VAE, images: data.Images, protocol: str, spread: float = 1.0) -> Sampler:
    """z ~ q(z | x, y) of real images, with `spread` times its standard deviation; each keeps its image's label.

    Of each class the images are drawn at random.
    """

    def sample(labels, rng):
        chosen = torch.empty_like(labels)
        for digit in labels.unique():
            own, asked = (images.labels == digit).nonzero()[:, 0], (labels == digit).nonzero()[:, 0]
            chosen[asked] = own[torch.randint(len(own), (len(asked),), generator=rng, device=own.device)]
        x = data.evaluation_pixels(images.images[chosen], protocol)
        given = model.given(labels)
        mean, log_variance = given.posterior(x)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        return given.decode(mean + spread * torch.exp(0.5 * log_variance) * noise)

    return sample


@dataclass
class Classified:
    """z ~ p(z), decoded by an unconditional VAE; the label is the digit for which a classifier takes the mean image.

    Only samples to whose digit the classifier gives at least the probability `certainty` count. They are taken in the
    order in which they are drawn until each label has one; those of a digit that has enough already are dropped.
    Where MOST_DRAWS samples do not suffice, a digit gets those others that the classifier finds most like it.
    """

    model: VAE
    critic: Classifier
    certainty: float = 0.0
    drawn: int = 0  # samples until the last one that was kept
    kept: int = 0
    filled: int = 0  # of those kept: samples that only fill up

    @property
    def kept_share(self) -> float:
        """The share of the samples drawn so far that were kept."""
        return self.kept / self.drawn

    @property
    def filled_share(self) -> float:
        """The share of the images so far whose digit the classifier does not see, or is not certain enough of."""
        return self.filled / self.kept

    def __call__(self, labels: Int64[Tensor, " count"], rng: torch.Generator) -> Float[Tensor, "count outputs"]:
        """Decoder outputs for the labels."""
        latents = torch.empty(len(labels), self.model.latent_dim, device=labels.device)
        missing = {digit: (labels == digit).nonzero()[:, 0] for digit in labels.unique().tolist()}
        z, likeness = latents[:0], torch.empty(0, data.CLASSES, device=labels.device)  # of all samples so far
        last = 0
        while any(len(rows) for rows in missing.values()) and len(z) < MOST_DRAWS:
            drawn = torch.randn(DRAWS, self.model.latent_dim, generator=rng, device=labels.device)
            probabilities = self.critic(self.model.images(drawn)).softmax(-1)
            seen = self._seen(probabilities)
            for digit, rows in missing.items():
                found = (seen == digit).nonzero()[: len(rows), 0]
                latents[rows[: len(found)]] = drawn[found]
                missing[digit] = rows[len(found) :]
                last = max(last, len(z) + found[-1].item() + 1) if len(found) else last
            z, likeness = torch.cat([z, drawn]), torch.cat([likeness, probabilities])
        if filled := sum(len(rows) for rows in missing.values()):
            seen = self._seen(likeness)
            for digit, rows in missing.items():
                others = likeness[:, digit].masked_fill(seen == digit, -1)
                latents[rows] = z[others.topk(len(rows)).indices]
        self.drawn += len(z) if filled else last
        self.kept += len(labels)
        self.filled += filled
        return self.model.decode(latents)

    def _seen(self, probabilities: Float[Tensor, "samples 10"]) -> Int64[Tensor, " samples"]:
        """The digit of which each sample counts as an image; -1 for those of which the classifier is not certain."""
        probability, digit = probabilities.max(-1)
        return digit.masked_fill(probability < self.certainty, -1)


@torch.no_grad()
def synthesise(
    sampler: Sampler,
    likelihood: Likelihood,
    labels: Int64[Tensor, " count"],
    rng: torch.Generator,
    pixels: Literal["mean", "sample"] = "mean",
) -> data.Images:
    """One image for each label, in blocks: its mean pixels, or one draw of every pixel from p(x | z)."""
    blocks = []
    for block in told(labels.split(2000), "images"):
        outputs = sampler(block, rng)
        x = likelihood.mean(outputs) if pixels == "mean" else likelihood.sample(outputs, rng)
        blocks.append(data.to_images(x))
    return data.Images(torch.cat(blocks), labels)


def _class_density(members: Tensor, posterior: Posterior, z: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
    """log p(y) q(z | y) on points, up to a constant: the aggregate posterior of the images of one class."""
    own = Posterior(*(t[members] for t in posterior))
    return aggregate_posterior(own, z) + torch.log(members.double().mean()).float()
