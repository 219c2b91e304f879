"""The exact log p(x) of a model with a two-dimensional latent, and importance-weighted estimates for any other.

log p(x) = log of the integral of p(x | z) p(z) over the plane. Posteriors are narrow, often a hundredth wide, so a
uniform grid is wrong by nats. Here each image has its own quadtree: square cells of 10 x 10 midpoints, of which
those that hold the image's mass are halved until log p(x) no longer moves. Images share the cells, so the decoder
runs once a cell, and an exponential-family likelihood makes images times midpoints one matrix product.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vaelib import data, device
from vaelib.models.vae import VAE, log_normal
from vaelib.progress import told
from vaelib.training.objectives import log_sum_exp, log_weights

CELL = 1.0  # side of a cell at level 0
NODES = 10  # midpoints a side of a cell: a step of 0.1 at level 0, halved with each level
BOX = 6.0  # the plane is integrated over [-8, 8]^2; what lies outside [-6, 6]^2 measures what that leaves out
WIDE_BOX = 8.0
CUTOFF = 15.0  # cells below e^-15 of an image's mass are not refined (their coarse value stays in the sum)
COARSE_MARGIN = 100.0  # more than that at coarse levels, where a narrow posterior can lie between the midpoints
FIRST_HALVING = 0.03  # share of the tolerance asked of the first halving: coarse sums can agree by chance
RESOLVED = 6.0  # times the largest node's mass that an image must have before its sums are trusted, for this reason
FINEST = 7  # a step of 0.1 / 2^7, below a thousandth


class Nodes(NamedTuple):
    """Quadrature nodes of many images in one flat list: their exact posteriors as weighted points."""

    image: Int64[Tensor, " nodes"]
    z: Float[Tensor, "nodes 2"]
    log_joint: Float[Tensor, " nodes"]  # log p(x, z)
    log_area: Float[Tensor, " nodes"]


class Exact(NamedTuple):
    """log p(x) of each image in nats, with the two error estimates."""

    log_px: Float[Tensor, " images"]
    halving_error: Float[Tensor, " images"]  # change when the step was last halved
    box_error: Float[Tensor, " images"]  # what widening the box from 6 to 8 added
    nodes: Nodes  # of the images that were asked for

    @property
    def error(self) -> Float[Tensor, " images"]:
        """Both error estimates together."""
        return self.halving_error + self.box_error

    def part(self, first: int, count: int) -> "Exact":
        """The result for `count` images from number `first` on, renumbered from 0."""
        stop = first + count
        inside = (self.nodes.image >= first) & (self.nodes.image < stop)
        image, *others = (t[inside] for t in self.nodes)
        return Exact(*(t[first:stop] for t in self[:3]), Nodes(image - first, *others))


class _Pairs(NamedTuple):
    """Images paired with the cells they need; a cell is its integer corner in units of the level's side."""

    image: Int64[Tensor, " pairs"]
    cell: Int64[Tensor, "pairs 2"]


@torch.no_grad()
def exact_log_likelihood(
    model: VAE,
    x: Float[Tensor, "images pixels"],
    tolerance: float = 0.01,
    keep_nodes: Bool[Tensor, " images"] | None = None,
) -> Exact:
    """log p(x) by adaptive quadrature, for a latent of two dimensions.

    Each image is refined until halving its step changes log p(x) by less than `tolerance` nats and no node holds a
    large share of its mass; as the midpoint rule converges exponentially on a smooth density, the value is then better
    than that by far. The finest nodes of the images marked in `keep_nodes` come back too: their exact posteriors.

    Raises `ValueError` for another latent dimension; `importance_weights` serves those.
    """
    if model.latent_dim != 2:
        raise ValueError(f"exact quadrature needs latent_dim 2, not {model.latent_dim}: use importance_weights")
    keep_nodes = torch.zeros(len(x), dtype=torch.bool) if keep_nodes is None else keep_nodes
    keep_nodes = keep_nodes.to(x.device)
    count, statistics = len(x), model.likelihood.statistics(x)
    nothing = torch.full((count,), -math.inf, device=x.device)  # the logarithm of no mass
    log_px, rest = nothing, nothing  # of all cells; of those that are not refined further
    halving_error = torch.zeros_like(log_px)
    kept: list[Nodes] = []

    side = torch.arange(-round(WIDE_BOX / CELL), round(WIDE_BOX / CELL), device=x.device)
    cells = torch.cartesian_prod(side, side)
    pairs = _Pairs(torch.arange(count, device=x.device).repeat(len(cells)), cells.repeat_interleave(count, dim=0))
    mass, _, _ = _integrate(model, statistics, pairs, CELL, torch.full_like(log_px, math.inf))
    log_px = _log_sum(log_px, pairs.image, mass)
    outside = ((pairs.cell < -BOX / CELL) | (pairs.cell >= BOX / CELL)).any(-1)
    ring = _log_sum(nothing, pairs.image[outside], mass[outside])
    box_error = -torch.log1p(-torch.exp(ring - log_px).clamp(max=1 - 1e-7))

    for level in range(1, FINEST + 1):
        heavy = mass > log_px[pairs.image] - CUTOFF - COARSE_MARGIN / 4 ** (level - 1)
        rest = _log_sum(rest, pairs.image[~heavy], mass[~heavy])
        pairs = _children(_Pairs(*(t[heavy] for t in pairs)))
        keep_above = log_px.where(keep_nodes, math.inf) - CUTOFF
        mass, peak, nodes = _integrate(model, statistics, pairs, CELL / 2**level, keep_above)
        active = pairs.image.unique()
        refined = _log_sum(rest, pairs.image, mass)[active]
        halving_error[active] = (refined - log_px[active]).abs()
        log_px[active] = refined
        largest = nothing.scatter_reduce(0, pairs.image, peak, "amax")[active]
        going_on = torch.zeros_like(log_px, dtype=torch.bool)
        limit = tolerance * (FIRST_HALVING if level == 1 else 1)
        going_on[active] = (halving_error[active] > limit) | (refined < largest + math.log(RESOLVED))
        done = ~going_on[nodes.image] | (level == FINEST)
        kept.append(Nodes(*(t[done] for t in nodes)))
        unsettled = going_on[pairs.image]
        pairs, mass = _Pairs(*(t[unsettled] for t in pairs)), mass[unsettled]
        if len(mass) == 0:
            break
    return Exact(log_px, halving_error, box_error, _concatenate(kept, x))


def cell_nodes(cells: Int64[Tensor, "cells 2"], side: float) -> Float[Tensor, "cells nodes 2"]:
    """The midpoints of square cells given by their integer corners in units of `side`."""
    offset = (torch.arange(NODES, device=cells.device) + 0.5) / NODES
    return side * (cells[:, None] + torch.cartesian_prod(offset, offset))


def _children(pairs: _Pairs) -> _Pairs:
    """Each cell's four halves, for the same image."""
    quarters = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], device=pairs.cell.device)
    cell = (2 * pairs.cell[:, None] + quarters).flatten(0, 1)
    return _Pairs(pairs.image.repeat_interleave(4), cell)


def _integrate(
    model: VAE,
    statistics: Float[Tensor, "images features"],
    pairs: _Pairs,
    side: float,
    keep_above: Float[Tensor, " images"],
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"], Nodes]:
    """The log-integral of p(x, z) over each pair's cell, and its largest node's part in it.

    The nodes with log p(x, z) above the image's `keep_above` come too.
    """
    log_area = 2 * math.log(side / NODES)
    mass, peak = torch.empty(2, len(pairs.image), device=statistics.device)
    everyone = torch.arange(len(statistics), device=statistics.device)
    key = pairs.cell[:, 0] * 2**20 + pairs.cell[:, 1]  # one number a cell sorts faster than two
    key, owner, counts = key.unique(return_inverse=True, return_counts=True)
    cells = torch.stack([(key + 2**19) >> 20, ((key + 2**19) & (2**20 - 1)) - 2**19], dim=1)
    order = owner.argsort(stable=True).split(counts.tolist())  # the pairs of each cell
    kept: list[Nodes] = []
    together = device.rows_at_once(statistics.device, 4 * data.PIXELS * NODES**2)  # cells decoded
    for first in told(range(0, len(cells), together), f"log p(x) at a step of {side / NODES:.3g}"):
        z = cell_nodes(cells[first : first + together], side)
        eta, log_partition = model.likelihood.natural(model.decode(z))
        constant = log_normal(z) - log_partition
        for i, members in enumerate(order[first : first + together]):
            image = pairs.image[members]
            rows = statistics if torch.equal(image, everyone) else statistics[image]  # a copy less at level 0
            log_joint = rows @ eta[i].T + constant[i]
            mass[members] = log_sum_exp(log_joint) + log_area
            peak[members] = log_joint.amax(-1) + log_area
            wanted = keep_above[image]
            if wanted.isfinite().any():
                row, node = (log_joint > wanted[:, None]).nonzero(as_tuple=True)
                kept.append(Nodes(image[row], z[i, node], log_joint[row, node], z.new_full(row.shape, log_area)))
    return mass, peak, _concatenate(kept, statistics)


def _concatenate(parts: list[Nodes], like: Tensor) -> Nodes:
    """One list of nodes from many; empty, but of the right types, from none."""
    nothing = like.new_empty(0)
    empty = Nodes(nothing.long(), nothing.reshape(0, 2), nothing, nothing)
    return Nodes(*(torch.cat(tensors) for tensors in zip(empty, *parts, strict=True)))


def _log_sum(
    start: Float[Tensor, " images"], image: Int64[Tensor, " pairs"], values: Float[Tensor, " pairs"]
) -> Float[Tensor, " images"]:
    """start = log(exp start + the sum of exp values of each image), without overflow."""
    top = start.scatter_reduce(0, image, values, "amax")
    top = torch.where(top.isinf(), 0.0, top)
    total = (start - top).exp().index_add(0, image, (values - top[image]).exp())
    return total.log() + top


def conditional_log_likelihood(
    model: VAE, x: Float[Tensor, "images pixels"], labels: Int64[Tensor, " images"]
) -> Float[Tensor, " images"]:
    """Exact log p(x | y) of a conditional VAE with a 2-D latent, each image given its own label."""
    log_px = x.new_empty(len(x))
    for label in told(list(labels.unique()), "log p(x | y)"):
        own = labels == label
        log_px[own] = exact_log_likelihood(model.given(label), x[own]).log_px
    return log_px


@torch.no_grad()
def importance_weights(
    model: VAE, x: Float[Tensor, "images pixels"], samples: int, rng: torch.Generator
) -> Float[Tensor, "samples images"]:
    """log w_k = log p(x, z_k) - log q(z_k | x) for draws z_k from the encoder's q, for any latent dimension."""
    blocks = []
    together = max(1, 20_000 // samples)  # the same blocks on every device, and so the same draws
    for rows in told(x.split(together), "importance weights"):
        posterior = model.posterior(rows)
        blocks.append(log_weights(model, rows, posterior, posterior.sample(samples, rng)))
    return torch.cat(blocks, dim=1)


def importance_bound(log_w: Float[Tensor, "samples images"], k: int) -> Float[Tensor, " images"]:
    """log 1/K sum_k w_k averaged over as many groups of K = `k` as the samples make (Burda et al. 2016).

    Its expectation rises with K from the ELBO (K = 1) to log p(x).
    """
    groups = log_w[: len(log_w) // k * k].unflatten(0, (-1, k))
    return (groups.logsumexp(1) - math.log(k)).mean(0)
