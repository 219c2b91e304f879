"""What a training minimises: a model, what is asked of it, and which of its networks are trained apart."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib import data


@dataclass(eq=False)
class Loss:
    """Base of all losses. Its fields are everything that the values depend on, besides the images."""

    model: nn.Module

    def __call__(
        self, batch: data.Images, rng: torch.Generator, epochs_done: float = 0.0, training: bool = True
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Values of each image: "loss" is minimised, the others are reported beside it.

        `epochs_done` counts the epochs so far, with a fraction within one, for what changes in the course of a
        training; with `training` false the loss is that of the finished course, on images as they are.
        """
        raise NotImplementedError

    def prepare(self, rng: torch.Generator) -> None:
        """Compute what several steps share; called before every few of them, and before an evaluation."""

    def networks(self) -> list[nn.Module]:
        """The parts whose gradients are clipped apart from one another: by default the model as one."""
        return [self.model]


class Phase(NamedTuple):
    """A part of a training: its name, its loss, and how many epochs it lasts."""

    name: str
    loss: Loss
    epochs: int
