"""Cells over latents of one, two or three dimensions: intervals, squares or cubes, with midpoints to integrate on.

A cell is one number: its coordinates, counted in its side from the corner of the widest box, are the number's digits
in base ROW. The children of a cell have half its side, so twice its coordinates, plus 0 or 1 along each axis.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

CELL = 1.0  # side of a cell at level 0, halved with each level
ROW = 2**20
WIDEST = 16.0  # no box is wider than [-16, 16]^d, where the prior's density is below e^-128 of that at 0


class Box(NamedTuple):
    """Where latents of one dimension or another are integrated, and how finely at first."""

    nodes: int  # midpoints a side of a cell: an even number, so that each child has as many
    reach: float  # latents are integrated over [-reach, reach]^d

    def wider(self) -> "Box | None":
        """The box of twice the width, if that is not too wide."""
        return self._replace(reach=2 * self.reach) if 2 * self.reach <= WIDEST else None

    def step(self, side: float) -> float:
        """The distance of neighbouring midpoints in cells of this side."""
        return side / self.nodes


# By the number of dimensions. In space posteriors are wider: a step of 0.25 at first gives what 0.125 does, measured.
BOXES = {1: Box(1000, 8.0), 2: Box(10, 8.0), 3: Box(4, 6.0)}


def roots(box: Box, latent_dim: int, device: torch.device) -> Int64[Tensor, " cells"]:
    """The cells of level 0 that fill a box."""
    corner = round((WIDEST - box.reach) / CELL)
    return _numbers(corner + _lattice(round(2 * box.reach / CELL), latent_dim, device))


def rim(cells: Int64[Tensor, " cells"], box: Box, latent_dim: int) -> Bool[Tensor, " cells"]:
    """Which cells of level 0 touch the border of a box."""
    centres = CELL * (_coordinates(cells, latent_dim) + 0.5) - WIDEST
    return (centres.abs() > box.reach - CELL).any(-1)


def children(
    cells: Int64[Tensor, " cells"], child: Int64[Tensor, " cells"], latent_dim: int
) -> Int64[Tensor, " cells"]:
    """Of each cell the one child that has this place, from 0 to 2^d - 1, among its children."""
    return 2 * cells + _numbers(_lattice(2, latent_dim, cells.device))[child]


def midpoints(cells: Int64[Tensor, " cells"], side: float, latent_dim: int) -> Float[Tensor, "cells nodes latent"]:
    """The nodes^d midpoints z of cells of one side, child by child."""
    box = BOXES[latent_dim]
    corners = 0.5 * _lattice(2, latent_dim, cells.device)
    within = (_lattice(box.nodes // 2, latent_dim, cells.device) + 0.5) / box.nodes
    offsets = (corners[:, None] + within).flatten(0, 1)
    return side * (_coordinates(cells, latent_dim)[:, None] - WIDEST / side + offsets)


def _lattice(side: int, latent_dim: int, device: torch.device) -> Int64[Tensor, "points latent"]:
    """The points of {0, ..., side - 1}^d, the last coordinate fastest."""
    axis = torch.arange(side, device=device)
    return torch.cartesian_prod(*latent_dim * [axis]).reshape(-1, latent_dim)


def _digits(latent_dim: int, device: torch.device) -> Int64[Tensor, " latent"]:
    """What a step along each axis adds to a cell's number."""
    return ROW ** torch.arange(latent_dim, device=device).flip(0)


def _numbers(coordinates: Int64[Tensor, "cells latent"]) -> Int64[Tensor, " cells"]:
    """The cells at these coordinates."""
    return (coordinates * _digits(coordinates.shape[1], coordinates.device)).sum(-1)


def _coordinates(cells: Int64[Tensor, " cells"], latent_dim: int) -> Int64[Tensor, "cells latent"]:
    """The coordinates of cells, each from 0 to ROW - 1."""
    return cells[:, None] // _digits(latent_dim, cells.device) % ROW
