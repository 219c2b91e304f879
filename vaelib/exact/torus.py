"""The exact log p(x) of a decoder on the torus: a fine grid, since there is no border where anything could be lost."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import device
from vaelib.models.torus import Torus
from vaelib.progress import told
from vaelib.training.objectives import log_sum_exp

SIDE = 512  # points a side


@torch.no_grad()
def log_likelihood(
    model: Torus, x: Float[Tensor, "images pixels"], side: int = SIDE
) -> tuple[Float[Tensor, " images"], Float[Tensor, " images"]]:
    """log p(x) of each image in nats, and its error: how far the grid of twice the step lies from it.

    p(x) is the mean of p(x | u) over `side` x `side` points, the trapezoid rule, whose error falls faster than any
    power of the step where the integrand is smooth and periodic. `side` must be even.
    """
    statistics = model.likelihood.statistics(x)
    axis = torch.arange(side, device=x.device) / side
    everywhere, every_other = (x.new_full((len(x),), -math.inf) for _ in range(2))
    blocks = torch.arange(len(x), device=x.device).split(device.rows_at_once(x.device, 4 * side))
    for row, along in enumerate(told(axis.split(1), f"log p(x) on {side} x {side} points")):
        eta, log_partition = model.likelihood.natural(model.decode(torch.cartesian_prod(along, axis)))
        for images in blocks:
            log_likelihoods = statistics[images] @ eta.T - log_partition
            everywhere[images] = everywhere[images].logaddexp(log_sum_exp(log_likelihoods))
            if row % 2 == 0:
                coarse = log_sum_exp(log_likelihoods[:, ::2])
                every_other[images] = every_other[images].logaddexp(coarse)
    error = (everywhere - every_other - math.log(4)).abs()
    return everywhere - 2 * math.log(side), error
