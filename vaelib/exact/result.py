"""What the quadrature gives: log p(x) of images, how far it may be off, and their exact posteriors."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class Nodes(NamedTuple):
    """Quadrature nodes of many images in one flat list: their exact posteriors as weighted points."""

    image: Int64[Tensor, " nodes"]
    z: Float[Tensor, "nodes latent"]
    log_joint: Float[Tensor, " nodes"]  # log p(x, z)
    log_area: Float[Tensor, " nodes"]

    @classmethod
    def joined(cls, parts: "Iterable[Nodes]") -> "Nodes":
        """One list of nodes from one or several."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))


class Exact(NamedTuple):
    """log p(x) of each image in nats, with the two error estimates."""

    log_px: Float[Tensor, " images"]
    halving_error: Float[Tensor, " images"]  # change when the step was last halved
    box_error: Float[Tensor, " images"]  # what the cells at the rim of the box add, in the plane from 7 to 8
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

    def replaced(self, where: Bool[Tensor, " images"], by: "Exact") -> "Exact":
        """The result with that of the marked images replaced, one after the other."""
        values = (old.masked_scatter(where, new) for old, new in zip(self[:3], by[:3], strict=True))
        old = Nodes(*(t[~where[self.nodes.image]] for t in self.nodes))
        new = by.nodes._replace(image=where.nonzero()[:, 0][by.nodes.image])
        return Exact(*values, Nodes.joined([old, new]))

    @classmethod
    def joined(cls, parts: "list[Exact]") -> "Exact":
        """The results for blocks of images as one, the images numbered through."""
        firsts = itertools.accumulate((len(part.log_px) for part in parts), initial=0)
        nodes = [
            part.nodes._replace(image=part.nodes.image + first) for part, first in zip(parts, firsts, strict=False)
        ]
        values = map(torch.cat, zip(*(part[:3] for part in parts), strict=True))
        return cls(*values, Nodes.joined(nodes))


def concatenated(parts: list[Nodes], like: Tensor, latent_dim: int) -> Nodes:
    """One list of nodes from many; empty, but of the right types, from none."""
    nothing = like.new_empty(0)
    empty = Nodes(nothing.long(), nothing.reshape(0, latent_dim), nothing, nothing)
    return Nodes.joined([empty, *parts])
