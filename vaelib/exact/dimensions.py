"""Why brute force stops at few dimensions: the error of a grid and of naive Monte Carlo for log p(x).

Both may take the same number of decoder evaluations; a grid takes as many of them as make m^d points.

The truth has to be known in any dimension, so the model is probabilistic PCA (Tipping & Bishop 1999): z ~ N(0, I),
x ~ N(W z + mean, s^2 I), hence p(x) = N(mean, W W^T + s^2 I) in closed form. Nats per image.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.training.objectives import log_sum_exp
from vaelib.training.table import stratified_normal


class PPCA(NamedTuple):
    """A linear decoder z -> W z + mean with Gaussian noise of one variance in all pixels."""

    mean: Float[Tensor, " pixels"]
    weight: Float[Tensor, "pixels latent"]
    variance: float

    def log_prob(self, x: Float[Tensor, "images pixels"]) -> Float[Tensor, " images"]:
        """log p(x), exactly; W^T W is diagonal, and only W's own directions differ from the noise."""
        spread = (self.weight**2).sum(0)
        centred = x - self.mean
        across = (centred @ self.weight) ** 2 / spread  # squared length along each direction
        along = (across / (spread + self.variance)).sum(-1) + ((centred**2).sum(-1) - across.sum(-1)) / self.variance
        log_determinant = (spread + self.variance).log().sum() + (x.shape[1] - len(spread)) * math.log(self.variance)
        return -0.5 * (along + log_determinant + x.shape[1] * math.log(2 * math.pi))

    def log_likelihood(
        self, x: Float[Tensor, "images pixels"], z: Float[Tensor, "points latent"]
    ) -> Float[Tensor, "images points"]:
        """log p(x | z) of every image for every latent."""
        distance = torch.cdist(x, z @ self.weight.T + self.mean, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        return -0.5 * (distance / self.variance + x.shape[1] * math.log(2 * math.pi * self.variance))


def fit(x: Float[Tensor, "images pixels"], latent_dims: Sequence[int]) -> dict[int, PPCA]:
    """The maximum-likelihood model of each of these latent dimensions.

    Its directions are the leading eigenvectors of the covariance, its noise the mean of the other eigenvalues. Raises
    `ValueError` unless there are fewer latent dimensions than pixels.
    """
    if max(latent_dims) >= x.shape[1]:
        raise ValueError(f"{max(latent_dims)} latent dimensions leave no noise in {x.shape[1]} pixels")
    values, vectors = torch.linalg.eigh(x.T.cov())  # ascending
    models = {}
    for latent_dim in latent_dims:
        variance = values[:-latent_dim].mean().item()
        weight = vectors[:, -latent_dim:] * (values[-latent_dim:] - variance).clamp(min=0).sqrt()
        models[latent_dim] = PPCA(x.mean(0), weight, variance)
    return models


def grid(latent_dim: int, points: int) -> Float[Tensor, "points latent"]:
    """The centres of m^d cells of equal prior probability, m as large as `points` allow: in many dimensions 1."""
    side = math.floor(points ** (1 / latent_dim) + 1e-9)
    return stratified_normal(side, latent_dim, None, torch.device("cpu")).double()


def draws(latent_dim: int, points: int, rng: torch.Generator) -> Float[Tensor, "points latent"]:
    """Independent draws of the prior."""
    return torch.randn(points, latent_dim, generator=rng, dtype=torch.float64, device=rng.device)


def errors(
    model: PPCA, x: Float[Tensor, "images pixels"], z: Float[Tensor, "points latent"]
) -> Float[Tensor, " images"]:
    """Estimate minus truth: log of the mean of p(x | z) over equally weighted points, against log p(x)."""
    estimate = log_sum_exp(model.log_likelihood(x, z)) - math.log(len(z))
    return estimate - model.log_prob(x)
