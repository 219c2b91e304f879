"""The exact log p(x) of a model with a two-dimensional latent, and importance-weighted estimates for any other.

log p(x) = log of the integral of p(x | z) p(z) over the plane. Posteriors are narrow, often a hundredth wide, so a
uniform grid is wrong by nats. Here each image has its own quadtree: square cells of 10 x 10 midpoints, whose quarters
become cells of half the step where they hold the image's mass, until log p(x) no longer moves. Images share the cells,
so the decoder runs once a cell, and an exponential-family likelihood makes images times midpoints one matrix product.
"""

import math
from collections.abc import Iterator
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
ROW = 2**20  # a cell is one number, ROW * row + column, counted in its level's side from a corner of the wide box
QUARTERS = (0, 1, ROW, ROW + 1)  # of a cell, as cells of half the side: what to add to twice its number
BOX = 6.0  # the plane is integrated over [-8, 8]^2; what lies outside [-6, 6]^2 measures what that leaves out
WIDE_BOX = 8.0
CUTOFF = 15.0  # quarters below e^-15 of an image's mass are not refined (their coarse value stays in the sum),
SUM_CUTOFF = 10.0  # nor those below e^-10 where only the sum is asked for: measured, that costs no image 0.0003 nats
COARSE_MARGIN = 150.0  # more than that at coarse levels, where a narrow mode can lie between the nodes: 100 missed one
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
    """Images paired with the cells they need, cell by cell."""

    image: Int64[Tensor, " pairs"]
    cell: Int64[Tensor, " pairs"]


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
    keep_nodes = (torch.zeros(len(x), dtype=torch.bool) if keep_nodes is None else keep_nodes).to(x.device)
    statistics = torch.cat([model.likelihood.statistics(x), x.new_ones(len(x), 1)], dim=1)  # see _decoded
    cutoff = torch.where(keep_nodes, CUTOFF, SUM_CUTOFF)
    halving_error = x.new_zeros(len(x))
    kept: list[Nodes] = []

    axis = torch.arange(round(2 * WIDE_BOX / CELL), device=x.device)
    corners = torch.cartesian_prod(axis, axis)
    cells = ROW * corners[:, 0] + corners[:, 1]
    mass = _integrate_everywhere(model, statistics, cells)
    log_px = mass.logsumexp((0, 1))
    outside = ((CELL * (corners + 0.5) - WIDE_BOX).abs() > BOX).any(-1)
    box_error = -torch.log1p(-torch.exp(mass[outside].logsumexp((0, 1)) - log_px).clamp(max=1 - 1e-7))

    heavy = mass > log_px - cutoff - COARSE_MARGIN
    rest = mass.masked_fill(heavy, -math.inf).logsumexp((0, 1))  # of what is not refined further
    cell, quarter, image = heavy.nonzero(as_tuple=True)
    pairs = _quarters(_Pairs(image, cells[cell]), quarter)
    for level in range(1, FINEST + 1):
        keep_above = log_px.where(keep_nodes, math.inf) - CUTOFF
        mass, peak, nodes = _integrate(model, statistics, pairs, CELL / 2**level, keep_above)
        active = pairs.image.unique()
        refined = _log_sum(rest, pairs.image, mass.logsumexp(1))[active]
        halving_error[active] = (refined - log_px[active]).abs()
        log_px[active] = refined
        largest = torch.full_like(log_px, -math.inf).scatter_reduce(0, pairs.image, peak, "amax")[active]
        going_on = torch.zeros_like(keep_nodes)
        limit = tolerance * (FIRST_HALVING if level == 1 else 1)
        going_on[active] = (halving_error[active] > limit) | (refined < largest + math.log(RESOLVED))
        done = ~going_on[nodes.image] | (level == FINEST)
        kept.append(Nodes(*(t[done] for t in nodes)))
        unsettled = going_on[pairs.image]
        pairs, mass = _Pairs(*(t[unsettled] for t in pairs)), mass[unsettled]
        if len(mass) == 0:
            break
        least = log_px - cutoff - COARSE_MARGIN / 4**level
        heavy = mass > least[pairs.image, None]
        rest = _log_sum(rest, pairs.image, mass.masked_fill(heavy, -math.inf).logsumexp(1))
        pair, quarter = heavy.nonzero(as_tuple=True)
        pairs = _quarters(_Pairs(*(t[pair] for t in pairs)), quarter)
    return Exact(log_px, halving_error, box_error, _concatenate(kept, x))


def cell_nodes(cells: Int64[Tensor, " cells"], side: float) -> Float[Tensor, "cells nodes 2"]:
    """The midpoints of square cells of one side, quarter by quarter."""
    corners = torch.stack([cells // ROW, cells % ROW], dim=1)
    within = (torch.arange(NODES // 2, device=cells.device) + 0.5) / NODES
    quarters = torch.cartesian_prod(*2 * [torch.tensor([0.0, 0.5], device=cells.device)])
    offsets = (quarters[:, None] + torch.cartesian_prod(within, within)).flatten(0, 1)
    return side * (corners[:, None] - WIDE_BOX / side + offsets)


def _quarters(pairs: _Pairs, quarter: Int64[Tensor, " pairs"]) -> _Pairs:
    """The same images paired with quarters of their cells."""
    cell = 2 * pairs.cell + torch.tensor(QUARTERS, device=quarter.device)[quarter]
    order = cell.argsort(stable=True)
    return _Pairs(pairs.image[order], cell[order])


def _decoded(
    model: VAE, cells: Int64[Tensor, " cells"], side: float
) -> Iterator[tuple[int, Float[Tensor, "block nodes 2"], Float[Tensor, "block nodes terms"]]]:
    """The cells in blocks: the number of a block's first, its nodes z, their eta: log p(x, z) = (T(x), 1) . eta."""
    together = device.rows_at_once(cells.device, 2 * 4 * data.PIXELS * NODES**2)  # with what eta is made from
    for first in told(range(0, len(cells), together), f"log p(x) at a step of {side / NODES:.3g}"):
        z = cell_nodes(cells[first : first + together], side)
        eta, log_partition = model.likelihood.natural(model.decode(z))
        yield first, z, torch.cat([eta, (log_normal(z) - log_partition)[..., None]], dim=-1)


def _integrate_everywhere(
    model: VAE, statistics: Float[Tensor, "images terms"], cells: Int64[Tensor, " cells"]
) -> Float[Tensor, "cells 4 images"]:
    """The log-integral of p(x, z) over the quarters of every cell of level 0, for all images."""
    mass = torch.empty(len(cells), len(QUARTERS), len(statistics), device=statistics.device)
    for first, _, eta in _decoded(model, cells, CELL):
        together = device.rows_at_once(mass.device, 4 * eta.shape[0] * eta.shape[1])
        for start in range(0, len(statistics), together):
            rows = statistics[start : start + together]
            log_joint = (eta.flatten(0, 1) @ rows.T).unflatten(0, (len(eta), len(QUARTERS), -1))
            mass[first : first + len(eta), :, start : start + together] = log_sum_exp(log_joint.movedim(2, -1))
    return mass.add_(2 * math.log(CELL / NODES))


def _integrate(
    model: VAE,
    statistics: Float[Tensor, "images terms"],
    pairs: _Pairs,
    side: float,
    keep_above: Float[Tensor, " images"],
) -> tuple[Float[Tensor, "pairs 4"], Float[Tensor, " pairs"], Nodes]:
    """The log-integral of p(x, z) over each pair's quarters of its cell, and its largest node's part in it.

    The nodes with log p(x, z) above the image's `keep_above` come too.
    """
    log_area = 2 * math.log(side / NODES)
    mass = torch.empty(len(pairs.image), len(QUARTERS), device=statistics.device)
    peak = torch.empty(len(pairs.image), device=statistics.device)
    cells, counts = pairs.cell.unique_consecutive(return_counts=True)
    of_cell = list(zip(*(t.split(counts.tolist()) for t in (pairs.image, mass, peak)), strict=True))
    kept: list[Nodes] = []
    for first, z, eta in _decoded(model, cells, side):
        for i, (image, its_mass, its_peak) in enumerate(of_cell[first : first + len(z)]):
            log_joint = eta[i] @ statistics[image].T
            wanted = keep_above[image, None]
            if wanted.isfinite().any():
                row, node = (wanted < log_joint.T).nonzero(as_tuple=True)
                kept.append(Nodes(image[row], z[i, node], log_joint[node, row], z.new_full(row.shape, log_area)))
            its_peak.copy_(log_joint.amax(0))
            its_mass.copy_(log_sum_exp(log_joint.T.unflatten(1, (len(QUARTERS), -1))))
    return mass.add_(log_area), peak.add_(log_area), _concatenate(kept, statistics)


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
