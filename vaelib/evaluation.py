"""The numbers of one trained VAE: ELBO, exact likelihood, gaps, protocol identities, latent neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import data, identities, metrics
from vaelib.gaps import Gaps, gaussian_elbo, split_gap
from vaelib.marginal import Exact, exact_log_likelihood, importance_bound, importance_weights
from vaelib.objectives import kl_divergence
from vaelib.vae import VAE, Posterior

IMPORTANCE_SAMPLES = (1, 5, 50, 500)  # 500 is the number of Davidson et al. (2018)
LABELS = (100, 600, 1000)


class Likelihood(NamedTuple):
    """Per-image results on the evaluation images, in nats."""

    posterior: Posterior
    elbo: Float[Tensor, " images"]
    exact: Exact
    gaps: Gaps  # of the first images only


@torch.no_grad()
def encode(model: VAE, images: data.Images, protocol: str) -> Posterior:
    """q(z | x) of every image, in blocks; binary pixels are the fixed evaluation sample."""
    x = data.evaluation_pixels(images.images, protocol)
    parts = [model.posterior(block) for block in x.split(5000)]
    return Posterior(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def likelihood(model: VAE, images: data.Images, protocol: str, gap_images: int) -> tuple[Likelihood, dict[str, float]]:
    """ELBO and exact log p(x) of all `images` of a 2-D model, and the gaps of the first `gap_images`."""
    x = data.evaluation_pixels(images.images, protocol)
    with torch.no_grad():
        posterior = encode(model, images, protocol)
        elbo = gaussian_elbo(model, x, posterior)
    exact = exact_log_likelihood(model, x, keep_nodes_of=gap_images)
    gaps = split_gap(model, x[:gap_images], exact)

    generator = torch.Generator(x.device).manual_seed(0)
    log_w = importance_weights(model, x[:gap_images], max(IMPORTANCE_SAMPLES), generator)
    kl = kl_divergence(posterior)
    numbers = {
        "elbo": elbo.mean(),
        "reconstruction": (elbo + kl).mean(),
        "kl": kl.mean(),
        "exact_nll": -exact.log_px.mean(),
        "exact_nll_error": exact.error.mean(),
        "exact_nll_worst_error": exact.error.max(),
        "approximation_gap": gaps.approximation.mean(),
        "amortisation_gap": gaps.amortisation.mean(),
        "gap_images": gap_images,
        "gap_exact_nll": -gaps.log_px.mean(),
        "iwae_nll": -importance_bound(log_w, max(IMPORTANCE_SAMPLES)).mean(),
        **{f"iwae_{k}_bound": importance_bound(log_w, k).mean() for k in IMPORTANCE_SAMPLES},
    }
    return Likelihood(posterior, elbo, exact, gaps), {name: float(value) for name, value in numbers.items()}


def protocol_identities(model: VAE, images: data.Images) -> dict[str, float]:
    """How far a Bernoulli model keeps the identities between the pixel protocols (`vaelib.identities`)."""
    exact = exact_log_likelihood(model, identities.pixels(images), keep_nodes_of=identities.IMAGES)
    return identities.measure(model, images, exact)


def neighbours(
    model: VAE, training: data.Images, posterior: Posterior, images: data.Images, protocol: str
) -> tuple[Posterior, dict[str, float]]:
    """q(z | x) of the training images, and nearest-neighbour accuracies of the evaluation images on its means."""
    train = encode(model, training, protocol)
    means, labels = (train.mean.cpu(), training.labels.cpu()), (posterior.mean.cpu(), images.labels.cpu())
    return train, {f"knn_accuracy_{n}": metrics.knn_accuracy(*means, *labels, n) for n in LABELS}
