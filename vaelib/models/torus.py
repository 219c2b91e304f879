"""A decoder on the torus, as Martinez & Williams (2026) have it: two angles that are uniform, and no encoder."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib.data import PIXELS
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.networks import Lift
from vaelib.models.vae import VAE


class Torus(VAE):
    """p(u) uniform on the unit square whose opposite sides are one, p(x | u) Bernoulli, `hidden` units between them.

    The decoder sees cos 2 pi u and sin 2 pi u of both coordinates: 4-500-784. It has the shape of a VAE as far as
    measurements of decoders look at one; it has no encoder.
    """

    def __init__(self, hidden: int = 500):
        nn.Module.__init__(self)
        self.built_as = {"hidden": hidden}
        self.latent_dim, self.classes, self.labels = 2, 0, None
        self.likelihood = LIKELIHOODS["bernoulli"]
        self.decoder = nn.Sequential(Lift(2 * self.latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, PIXELS))

    def decode(self, z: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch outputs"]:
        """A logit a pixel for each place of the unit square; places a whole number apart are the same."""
        angles = 2 * math.pi * z
        return super().decode(torch.cat([angles.cos(), angles.sin()], dim=-1))
