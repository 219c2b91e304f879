"""Training on a randomly shifted lattice, the recipe of Martinez & Williams (2026, arXiv 2601.18676)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import data
from vaelib.training.loss import Loss
from vaelib.training.objectives import log_sum_exp
from vaelib.training.table import Table

FIBONACCI = (377, 610)  # two neighbours among the Fibonacci numbers: the larger is the number of points
RECIPE = {"batch_size": 128, "learning_rate": 1e-3}  # the paper's; it has 20 epochs, and grey pixels


def fibonacci_lattice(target: torch.device) -> Float[Tensor, "610 2"]:
    """The points (k / 610, 377 k / 610 mod 1) of the unit square: spread as evenly as few sets of so many are."""
    step, points = FIBONACCI
    k = torch.arange(points, device=target)
    return torch.stack([k, step * k % points], dim=1) / points


@dataclass(eq=False)
class LatticeLoss(Loss):
    """Minus the logarithm of the mean of p(x | u) over a lattice that is shifted at random at every step.

    All images of a batch share the lattice. The mean is unbiased for p(x) under a uniform prior on the torus.
    """

    protocol: str = "A"

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """-log p(x) as the lattice estimates it; as `elbo` the same with the other sign, for the learning curves."""
        x = data.training_pixels(batch.images, self.protocol, rng)
        u = (fibonacci_lattice(x.device) + torch.rand(2, generator=rng, device=x.device)) % 1
        eta, log_partition = self.model.likelihood.natural(self.model.decode(u))
        with torch.autocast(x.device.type, enabled=False):  # of sums in bfloat16 too little would be left
            scores = Table(u, eta, log_partition).log_likelihood(self.model.likelihood.statistics(x))
        log_px = log_sum_exp(scores) - math.log(len(u))
        return {"loss": -log_px, "elbo": log_px.detach()}
