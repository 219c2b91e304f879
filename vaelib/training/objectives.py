"""What a VAE maximises, per example: the ELBO, or its importance-weighted tightening. The caller reduces."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from vaelib.models.vae import VAE, Posterior, log_normal


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
    rng: torch.Generator,
    samples: int = 1,
    kl_weight: float = 1.0,
) -> Terms:
    """The evidence lower bound with `samples` draws of z and a KL weight for warm-up (equation 10)."""
    posterior = model.posterior(x)
    z = posterior.sample(samples, rng)
    reconstruction = model.likelihood.log_prob(x, model.decode(z)).mean(0)
    kl = kl_divergence(posterior)
    return Terms(reconstruction - kl_weight * kl, reconstruction, kl)


def log_weights(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    posterior: Posterior,
    z: Float[Tensor, "samples batch latent"],
    kl_weight: float = 1.0,
) -> Float[Tensor, "samples batch"]:
    """log w = log p(x | z) + log p(z) - log q(z | x): their mean is the ELBO, their log-mean-exp log p(x).

    A `kl_weight` below 1 tempers what is not log p(x | z).
    """
    log_ratio = log_normal(z) - posterior.log_prob(z)
    return model.likelihood.log_prob(x, model.decode(z)) + kl_weight * log_ratio


def iwae(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    rng: torch.Generator,
    samples: int = 5,
    kl_weight: float = 1.0,
) -> Terms:
    """The importance-weighted bound log 1/K sum_k w_k (Burda et al. 2016, equation 8).

    Its gradient is the mean of grad log w_k, weighted by w_k (equation 13). One k drawn by these weights carries it, as
    their section 3 proposes: of the K draws that are decoded, only that one is decoded again with gradient.

    With K = 1 the bound is the ELBO, with the KL estimated by the same draw instead of in closed form. It has no
    separate KL, so `kl_weight` acts inside the weights.
    """
    posterior = model.posterior(x)
    z = posterior.sample(samples, rng)
    with torch.no_grad():
        log_w = log_weights(model, x, posterior, z, kl_weight)
        bound = log_w.logsumexp(0) - math.log(samples)
        reconstruction = (log_w - kl_weight * (log_normal(z) - posterior.log_prob(z))).mean(0)
        drawn = draw(log_w.softmax(0).T, rng)
    chosen = z[drawn, torch.arange(len(x), device=x.device)]
    log_w = log_weights(model, x, posterior, chosen[None], kl_weight)[0]
    return Terms(bound + log_w - log_w.detach(), reconstruction, kl_divergence(posterior))


def sleep(
    model: VAE,
    x: Float[Tensor, "batch pixels"],
    rng: torch.Generator,
    samples: int = 1,
    kl_weight: float = 1.0,
) -> Terms:
    """log q(z | x) of latents and images that the model itself draws: the sleep phase of Hinton et al. (1995).

    It trains the encoder alone, and leads it to where a finished decoder put things: the ELBO of a decoder with a
    narrow, folded posterior has too many local maxima to find that from nothing. `reconstruction` and `kl` are those
    of the images `x`; `kl_weight` does not matter.
    """
    z = torch.randn(samples * len(x), model.latent_dim, generator=rng, device=x.device)
    with torch.no_grad():
        dreamt = model.likelihood.sample(model.decode(z), rng)
        terms = elbo(model, x, rng)
    log_q = model.posterior(dreamt).log_prob(z).unflatten(0, (samples, -1)).mean(0)
    return Terms(log_q, terms.reconstruction, terms.kl)


def draw(probability: Float[Tensor, "batch n"], rng: torch.Generator) -> Int64[Tensor, " batch"]:
    """One of n for each image: first a group of some sqrt(n), then one of the group.

    torch draws n random numbers an image for one of n, which takes longer than all else that is done with thousands.
    Where the probabilities are no numbers, all n count alike: the loop tells after the epoch that the training ran
    away, while such a probability would end it in the middle, and on CUDA spoil the process.
    """
    width = math.isqrt(probability.shape[1])
    groups = F.pad(probability.nan_to_num(1.0), (0, -probability.shape[1] % width)).unflatten(1, (-1, width))
    group = torch.multinomial(groups.sum(-1), 1, generator=rng)[:, 0]
    within = torch.multinomial(groups[torch.arange(len(group), device=group.device), group], 1, generator=rng)[:, 0]
    return group * width + within


def log_sum_exp(values: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """log of the sum of exp over the last axis, for values that differ by hundreds.

    What is more than 60 below the largest counts as 60 below it: exp is ten times slower where its result underflows.
    """
    top = values.detach().amax(-1, keepdim=True)
    return (values - top).clamp(min=-60).exp().sum(-1).log() + top[..., 0]


OBJECTIVES: dict[str, Callable[..., Terms]] = {"elbo": elbo, "iwae": iwae, "sleep": sleep}
