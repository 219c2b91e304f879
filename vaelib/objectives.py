"""What a VAE maximises, per example: the ELBO and its importance-weighted tightening. The caller reduces."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.vae import VAE, Posterior, log_normal


class Terms(NamedTuple):
    """Per-example values in nats; `objective` is to be maximised, the others are its parts."""

    objective: Float[Tensor, " batch"]
    reconstruction: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]

    @property
    def elbo(self) -> Float[Tensor, " batch"]:
        """E_q[log p(x | z)] - KL(q || p), at full KL weight whatever the objective was."""
        return self.reconstruction - self.kl


def kl_divergence(posterior: Posterior) -> Float[Tensor, "*batch"]:
    """KL(q(z | x) || p(z)) in closed form (Kingma & Welling, appendix B).

    -KL = 1/2 sum_j (1 + log s_j^2 - m_j^2 - s_j^2).
    """
    mean, log_variance = posterior
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(-1)


def elbo(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    generator: torch.Generator,
    samples: int = 1,
    kl_weight: float = 1.0,
) -> Terms:
    """The evidence lower bound with `samples` draws of z and a KL weight for warm-up (equation 10)."""
    posterior = model.posterior(x)
    z = posterior.sample(samples, generator)
    reconstruction = model.likelihood.log_prob(x, model.decode(z)).mean(0)
    kl = kl_divergence(posterior)
    return Terms(reconstruction - kl_weight * kl, reconstruction, kl)


def log_weights(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    posterior: Posterior,
    z: Float[Tensor, "samples batch latent"],
) -> Float[Tensor, "samples batch"]:
    """log w = log p(x | z) + log p(z) - log q(z | x): their mean is the ELBO, their log-mean-exp log p(x)."""
    return model.likelihood.log_prob(x, model.decode(z)) + log_normal(z) - posterior.log_prob(z)


def iwae(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    generator: torch.Generator,
    samples: int = 5,
    kl_weight: float = 1.0,
) -> Terms:
    """The importance-weighted bound log 1/K sum_k w_k (Burda et al. 2016, equation 8).

    With K = 1 it is the ELBO, with the KL estimated by the same draw instead of in closed form. The bound has no
    separate KL, so `kl_weight` below 1 tempers log p(z) - log q(z | x) inside the weights.
    """
    posterior = model.posterior(x)
    z = posterior.sample(samples, generator)
    reconstruction = model.likelihood.log_prob(x, model.decode(z))
    log_ratio = log_normal(z) - posterior.log_prob(z)
    bound = torch.logsumexp(reconstruction + kl_weight * log_ratio, dim=0) - math.log(samples)
    return Terms(bound, reconstruction.mean(0), kl_divergence(posterior))


OBJECTIVES: dict[str, Callable[..., Terms]] = {"elbo": elbo, "iwae": iwae}
