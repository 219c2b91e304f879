"""The aggregate posterior q(z), where the encoder puts the data, and the holes that it leaves in the prior."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import device
from vaelib.models.vae import Posterior, log_normal
from vaelib.progress import told
from vaelib.training.objectives import log_sum_exp

EXTENT = 4.0  # the map of the aggregate posterior covers [-4, 4]^2


def aggregate_posterior(posterior: Posterior, z: Float[Tensor, "points latent"]) -> Float[Tensor, " points"]:
    """log of q(z), the mean of q(z | x) over images: where the encoder puts the data.

    With s the deviations and m the means, log q(z | x) = (z^2, z, 1) . (-1 / 2 s^2, m / s^2, log q(0 | x)): a product
    of matrices, in float64 since the terms of a narrow q cancel.
    """
    z, mean, log_variance = (t.double() for t in (z, *posterior))
    precision = torch.exp(-log_variance)
    at_zero = log_normal(torch.zeros_like(mean), mean, log_variance)
    terms = torch.cat([-precision / 2, mean * precision, at_zero[:, None]], dim=1)
    powers = torch.cat([z**2, z, torch.ones_like(z[:, :1])], dim=1)
    chunks = powers.split(device.rows_at_once(z.device, 8 * len(mean)))
    parts = [log_sum_exp((chunk @ terms.T).float()) for chunk in told(chunks, "aggregate posterior")]
    return torch.cat(parts) - math.log(len(mean))


def hole_share(
    posterior: Posterior, samples: int = 2000, seed: int = 0, ratio: float = 0.1
) -> tuple[float, Float[Tensor, "holes latent"]]:
    """Share of prior samples that fall in holes, and the samples that do.

    A hole is a place where the aggregate posterior has less than `ratio` of the prior's density: the decoder is
    asked there for images it was hardly trained to make.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(samples, posterior.mean.shape[-1], generator=rng).to(posterior.mean.device)
    in_hole = aggregate_posterior(posterior, z) < log_normal(z) + math.log(ratio)
    return in_hole.double().mean().item(), z[in_hole]


@torch.no_grad()
def density_grid(posterior: Posterior, extent: float = EXTENT, points: int = 100) -> np.ndarray:
    """[points, points] log of the aggregate posterior on an even grid over [-extent, extent]^2.

    Raises `ValueError` unless the latent has two dimensions.
    """
    if posterior.mean.shape[-1] != 2:
        raise ValueError(f"a grid over the plane needs posteriors of 2 dimensions, not {posterior.mean.shape[-1]}")
    axis = torch.linspace(-extent, extent, points, device=posterior.mean.device)
    log_density = aggregate_posterior(posterior, torch.cartesian_prod(axis, axis))
    return log_density.reshape(points, points).cpu().numpy()
