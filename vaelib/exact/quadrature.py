"""The exact log p(x) of a model with one to three latent dimensions; `vaelib.exact.importance` estimates any other's.

log p(x) = log of the integral of p(x | z) p(z) over all z. Posteriors are narrow, often a hundredth wide, so a uniform
grid is wrong by nats. Here each image has its own tree: in the plane square cells of 10 x 10 midpoints, whose quarters
become cells of half the step where they hold the image's mass, until log p(x) no longer moves; on the line intervals
and their halves, in space cubes and their octants. Images share the cells, so the decoder runs once a cell, and an
exponential-family likelihood makes images times midpoints one matrix product.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vaelib import data, device
from vaelib.exact.cells import BOXES, CELL, Box, children, midpoints, rim, roots
from vaelib.exact.result import Exact, Nodes, concatenated
from vaelib.models.vae import VAE, log_normal
from vaelib.progress import told
from vaelib.training.objectives import log_sum_exp

CUTOFF = 15.0  # children below e^-15 of an image's mass are not refined (their coarse value stays in the sum),
SUM_CUTOFF = 10.0  # nor those below e^-10 where only the sum is asked for: measured, that costs no image 0.0003 nats
COARSE_MARGIN = 150.0  # more than that at coarse levels, where a narrow mode can lie between the nodes: 100 missed one
FIRST_HALVING = 0.03  # share of the tolerance asked of the first halving: coarse sums can agree by chance
RESOLVED = 6.0  # times the largest node's mass that an image must have before its sums are trusted, for this reason
FINEST = 7  # in the plane a step of 0.1 / 2^7, below a thousandth
HELD = 2**25  # masses at level 0 that images computed together may have: 128 MB, and some copies of them


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
    """log p(x) by adaptive quadrature, for a latent of one, two or three dimensions.

    Each image is refined until halving its step changes log p(x) by less than `tolerance` nats and no node holds a
    large share of its mass; as the midpoint rule converges exponentially on a smooth density, the value is then
    better than that by far. An image with more than `tolerance` of its nats at the rim of the box is computed anew
    in a wider one. Of posteriors narrower than 0.002 along an axis some mass is missed that the error does not
    show: measured on linear-Gaussian models, 0.007 nats at most at 0.002, 0.05 at 0.001; far more of slanted ones that
    are much longer than wide. The finest nodes of the images marked in `keep_nodes` come back as well: their exact
    posteriors.

    Raises `ValueError` for another latent dimension, which `importance_weights` serves, and for a model that was given
    a label for each image, of which `conditional_log_likelihood` takes each alone.
    """
    if model.latent_dim not in BOXES:
        raise ValueError(f"exact quadrature needs latent_dim 1, 2 or 3, not {model.latent_dim}: use importance_weights")
    labels = getattr(model, "labels", None)
    if labels is not None and labels.numel() > 1:
        raise ValueError("exact quadrature needs one label for all images: use conditional_log_likelihood")
    keep_nodes = (torch.zeros(len(x), dtype=torch.bool) if keep_nodes is None else keep_nodes).to(x.device)
    box = BOXES[model.latent_dim]
    exact = _within(box, model, x, tolerance, keep_nodes)
    while (cut := exact.box_error > tolerance).any() and (box := box.wider()):
        exact = exact.replaced(cut, _within(box, model, x[cut], tolerance, keep_nodes[cut]))
    return exact


def _within(
    box: Box, model: VAE, x: Float[Tensor, "images pixels"], tolerance: float, keep_nodes: Bool[Tensor, " images"]
) -> Exact:
    """`exact_log_likelihood` by the latents of one box, for as many images at a time as fit into memory."""
    together = HELD // (len(roots(box, model.latent_dim, x.device)) * 2**model.latent_dim)
    blocks = zip(x.split(together), keep_nodes.split(together), strict=True)
    return Exact.joined([_exact(box, model, rows, tolerance, keep) for rows, keep in blocks])


def _exact(
    box: Box, model: VAE, x: Float[Tensor, "images pixels"], tolerance: float, keep_nodes: Bool[Tensor, " images"]
) -> Exact:
    """`_within` of as many images as are computed together."""
    latent_dim = model.latent_dim
    cells = roots(box, latent_dim, x.device)
    statistics = torch.cat([model.likelihood.statistics(x), x.new_ones(len(x), 1)], dim=1)  # see _decoded
    cutoff = torch.where(keep_nodes, CUTOFF, SUM_CUTOFF)
    halving_error = x.new_zeros(len(x))
    kept: list[Nodes] = []

    mass = _integrate_everywhere(model, statistics, cells)
    log_px = mass.logsumexp((0, 1))
    at_rim = mass[rim(cells, box, latent_dim)].logsumexp((0, 1))
    box_error = -torch.log1p(-torch.exp(at_rim - log_px).clamp(max=1 - 1e-7))  # a finite number where all lies there

    heavy = mass > log_px - cutoff - COARSE_MARGIN
    rest = mass.masked_fill(heavy, -math.inf).logsumexp((0, 1))  # of what is not refined further
    cell, child, image = heavy.nonzero(as_tuple=True)
    pairs = _by_cell(image, children(cells[cell], child, latent_dim))
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
        unresolved = torch.zeros_like(going_on)
        unresolved[active] = refined < largest + math.log(RESOLVED)
        going_on[active] = (halving_error[active] > limit) | unresolved[active]
        done = ~going_on[nodes.image] | (level == FINEST)
        kept.append(Nodes(*(t[done] for t in nodes)))
        unsettled = going_on[pairs.image]
        pairs, mass = _Pairs(*(t[unsettled] for t in pairs)), mass[unsettled]
        if len(mass) == 0:
            break
        # Of a mode narrower than the step h, nodes just beyond a cell's border lie lower by a multiple of h, not h^2.
        least = log_px - cutoff - COARSE_MARGIN * torch.where(unresolved, 0.5**level, 0.25**level)
        heavy = mass > least[pairs.image, None]
        rest = _log_sum(rest, pairs.image, mass.masked_fill(heavy, -math.inf).logsumexp(1))
        pair, child = heavy.nonzero(as_tuple=True)
        pairs = _by_cell(pairs.image[pair], children(pairs.cell[pair], child, latent_dim))
    return Exact(log_px, halving_error, box_error, concatenated(kept, x, latent_dim))


def _by_cell(image: Int64[Tensor, " pairs"], cell: Int64[Tensor, " pairs"]) -> _Pairs:
    """Images and the cells that they need, in the order of the cells."""
    order = cell.argsort(stable=True)
    return _Pairs(image[order], cell[order])


def _decoded(
    model: VAE, cells: Int64[Tensor, " cells"], side: float
) -> Iterator[tuple[int, Float[Tensor, "block nodes latent"], Float[Tensor, "block nodes terms"]]]:
    """The cells in blocks: the number of a block's first, its nodes z, their eta: log p(x, z) = (T(x), 1) . eta."""
    box = BOXES[model.latent_dim]
    nodes = box.nodes**model.latent_dim
    together = device.rows_at_once(cells.device, 2 * 4 * data.PIXELS * nodes)  # with what eta is made from
    for first in told(range(0, len(cells), together), f"log p(x) at a step of {box.step(side):.3g}"):
        z = midpoints(cells[first : first + together], side, model.latent_dim)
        eta, log_partition = model.likelihood.natural(model.decode(z))
        yield first, z, torch.cat([eta, (log_normal(z) - log_partition)[..., None]], dim=-1)


def _integrate_everywhere(
    model: VAE, statistics: Float[Tensor, "images terms"], cells: Int64[Tensor, " cells"]
) -> Float[Tensor, "cells children images"]:
    """The log-integral of p(x, z) over the children of every cell of level 0, for all images."""
    mass = torch.empty(len(cells), 2**model.latent_dim, len(statistics), device=statistics.device)
    for first, _, eta in _decoded(model, cells, CELL):
        together = device.rows_at_once(mass.device, 4 * eta.shape[0] * eta.shape[1])
        for start in range(0, len(statistics), together):
            rows = statistics[start : start + together]
            log_joint = (eta.flatten(0, 1) @ rows.T).unflatten(0, (len(eta), mass.shape[1], -1))
            mass[first : first + len(eta), :, start : start + together] = log_sum_exp(log_joint.movedim(2, -1))
    return mass.add_(_log_area(model.latent_dim, CELL))


def _integrate(
    model: VAE,
    statistics: Float[Tensor, "images terms"],
    pairs: _Pairs,
    side: float,
    keep_above: Float[Tensor, " images"],
) -> tuple[Float[Tensor, "pairs children"], Float[Tensor, " pairs"], Nodes]:
    """The log-integral of p(x, z) over each pair's children of its cell, and its largest node's part in it.

    The nodes with log p(x, z) above the image's `keep_above` come too.
    """
    log_area = _log_area(model.latent_dim, side)
    mass = torch.empty(len(pairs.image), 2**model.latent_dim, device=statistics.device)
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
            its_mass.copy_(log_sum_exp(log_joint.T.unflatten(1, (mass.shape[1], -1))))
    return mass.add_(log_area), peak.add_(log_area), concatenated(kept, statistics, model.latent_dim)


def _log_area(latent_dim: int, side: float) -> float:
    """log of the length, area or volume that a node stands for in cells of this side."""
    return latent_dim * math.log(BOXES[latent_dim].step(side))


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
    """Exact log p(x | y) of a conditional VAE of one to three latent dimensions, each image given its own label."""
    log_px = x.new_empty(len(x))
    for label in told(list(labels.unique()), "log p(x | y)"):
        own = labels == label
        log_px[own] = exact_log_likelihood(model.given(label), x[own]).log_px
    return log_px
