"""Latents decoded once for all images, one in each of many cells of equal prior probability, and what they say of x.

One matrix product scores every image against every latent, since the likelihoods are exponential families.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from vaelib import data, device
from vaelib.models.vae import VAE, Posterior, log_normal
from vaelib.progress import told
from vaelib.training.fitting import step
from vaelib.training.objectives import log_sum_exp

POINTS = 64  # latents a side, where nothing else is asked for
BLOCK = 4  # cells a side among which one place is looked for
MARGIN = 25.0  # nats by which a place's score may fall short of the best: the score is that of one latent in a cell


class Table(NamedTuple):
    """The decoder at latents that each stand for the same prior probability: log p(x | z) = T(x) . eta - A."""

    z: Float[Tensor, "points latent"]
    eta: Float[Tensor, "points features"]
    log_partition: Float[Tensor, " points"]

    def log_likelihood(self, statistics: Float[Tensor, "images features"]) -> Float[Tensor, "images points"]:
        """log p(x | z) of every image at every latent, from its statistics T(x)."""
        return statistics @ self.eta.T - self.log_partition

    def log_px(self, model: VAE, x: Float[Tensor, "images pixels"]) -> Float[Tensor, " images"]:
        """log of the mean of p(x | z) over the latents, in nats: what a decoder trained on log p(x) is trained on."""
        blocks = x.split(device.rows_at_once(x.device, 4 * len(self.z)))
        parts = [log_sum_exp(self.log_likelihood(model.likelihood.statistics(block))) for block in blocks]
        return torch.cat(parts) - math.log(len(self.z))


class Places(NamedTuple):
    """Gaussians at the likeliest places of images, several an image, the images' likeliest first."""

    image: Int64[Tensor, " places"]
    q: Posterior


def stratified_normal(
    side: int, dimensions: int, rng: torch.Generator | None, target: torch.device
) -> Float[Tensor, "points latent"]:
    """side^d standard normal draws, one in each cell of equal probability; without an rng the cells' centres."""
    axis = torch.arange(side, device=target)
    cells = torch.cartesian_prod(*[axis] * dimensions).reshape(-1, dimensions)
    within = 0.5 if rng is None else torch.rand(cells.shape, generator=rng, device=target)
    uniform = (cells + within) / side
    return torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))


@torch.no_grad()
def decoded(model: VAE, z: Float[Tensor, "points latent"]) -> Table:
    """The table of these latents."""
    blocks = z.split(device.rows_at_once(z.device, 2 * 4 * data.PIXELS))
    parts = [model.likelihood.natural(model.decode(block)) for block in told(blocks, "decoded latents")]
    return Table(z, *(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


@torch.no_grad()
def places(table: Table, statistics: Float[Tensor, "images features"], most: int) -> Places:
    """Up to `most` places for each image where a table of cells' centres in two dimensions explains it best.

    A place is the best cell of a block of 4 x 4 that no block around it surpasses. Its Gaussian belongs to the parabola
    through log p(x, z) at that cell's latent and the eight around it.
    """
    side = math.isqrt(len(table.z))
    axes = torch.stack([table.z[::side, 0], table.z[:side, 1]])
    parts = []
    together = device.rows_at_once(table.z.device, 4 * len(table.z))
    for first in range(0, len(statistics), together):
        score = table.log_likelihood(statistics[first : first + together])
        image, cell = _peaks(score.unflatten(1, (side, side)), most)
        around = torch.cartesian_prod(*2 * [torch.arange(-1, 2, device=cell.device)])  # row by row
        neighbours = (cell[:, None] + around).clamp(0, side - 1)
        index = side * neighbours[..., 0] + neighbours[..., 1]
        g = score[image[:, None], index] + log_normal(table.z[index])
        parts.append((image + first, *_parabola(g.unflatten(1, (3, 3)), axes, cell)))
    image, mean, log_variance = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return Places(image, Posterior(mean, log_variance))


def _peaks(
    score: Float[Tensor, "images side side"], most: int
) -> tuple[Int64[Tensor, " places"], Int64[Tensor, "places 2"]]:
    """The images and cells of the places; no cell lies on the border, where it would have no neighbours."""
    side = score.shape[-1]
    blocks = score.unflatten(2, (-1, BLOCK)).amax(-1).unflatten(1, (-1, BLOCK)).amax(2)
    peaks = blocks.masked_fill(blocks < F.max_pool2d(blocks, 3, 1, 1), -math.inf).flatten(1)
    height, block = peaks.topk(most, dim=1)
    kept = height > height[:, :1] - MARGIN
    kept[:, 0] = True  # also where no score is a number: an image has its place, and its loss tells
    image, rank = kept.nonzero(as_tuple=True)
    corner = BLOCK * torch.stack([block[image, rank] // blocks.shape[-1], block[image, rank] % blocks.shape[-1]], dim=1)
    within = torch.cartesian_prod(*2 * [torch.arange(BLOCK, device=score.device)])
    cells = corner[:, None] + within
    best = score[image[:, None], cells[..., 0], cells[..., 1]].argmax(1)
    return image, (corner + within[best]).clamp(1, side - 2)


def _parabola(
    g: Float[Tensor, "places 3 3"], axes: Float[Tensor, "2 side"], cell: Int64[Tensor, "places 2"]
) -> tuple[Float[Tensor, "places 2"], Float[Tensor, "places 2"]]:
    """Mean and log-variance at the top of the parabola through nine values on uneven steps."""
    both = torch.arange(2, device=cell.device)
    left, centre, right = (axes[both, cell + offset] for offset in (-1, 0, 1))
    before, after = centre - left, right - centre
    lower = torch.stack([g[:, 1, 1] - g[:, 0, 1], g[:, 1, 1] - g[:, 1, 0]], dim=1) / before
    upper = torch.stack([g[:, 2, 1] - g[:, 1, 1], g[:, 1, 2] - g[:, 1, 1]], dim=1) / after
    unit = (before + after) / 2  # of u = (z - m) / s, as in `step`
    slope = unit * (after * lower + before * upper) / (before + after)
    bend = -unit * (upper - lower)
    across = -(g[:, 2, 2] - g[:, 2, 0] - g[:, 0, 2] + g[:, 0, 0]) / 4
    curvature = torch.stack([bend[:, 0], across, across, bend[:, 1]], dim=1).unflatten(1, (2, 2))
    q = Posterior(centre, 2 * unit.log())
    return step(q, slope, curvature, torch.ones_like(across))
