"""Importance-weighted estimates of log p(x), for any number of latent dimensions: a bound where nothing is exact."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.models.vae import VAE
from vaelib.progress import told
from vaelib.training.objectives import log_weights


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
