"""The numbers of one trained VAE: ELBO, exact likelihood, gaps, protocol identities, latent neighbours, samples."""

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vaelib import data, device
from vaelib.exact import identities
from vaelib.exact.aggregate import hole_share
from vaelib.exact.gaps import split_gap
from vaelib.exact.importance import importance_bound, importance_weights
from vaelib.exact.inference import best_of_nine, gaussian_elbo, lookup
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.exact.result import Exact
from vaelib.measure import collapse, metrics
from vaelib.models.vae import VAE, Posterior
from vaelib.training.objectives import kl_divergence
from vaelib.training.table import POINTS, decoded, stratified_normal

IMPORTANCE_SAMPLES = (1, 5, 50, 500)  # 500 is the number of Davidson et al. (2018)
ANSWERS = ("elbo_best_of_nine", "elbo_lookup", "elbo_best_gaussian")  # ELBOs by other Gaussians than the encoder's
LABELS = (100, 600, 1000)  # numbers of labels for the nearest neighbours, theirs too
CLASSIFIED_SAMPLES = 2000  # prior samples whose digit a classifier reads
HOLES = (1000, 5000, 20_000)  # numbers of images whose posteriors leave holes, beside all: with fewer there are more

Numbers = dict[str, float]


@torch.no_grad()
def encode(model: VAE, images: data.Images, protocol: str) -> Posterior:
    """q(z | x) of every image, in blocks; binary pixels are the fixed evaluation sample."""
    x = data.evaluation_pixels(images.images, protocol)
    parts = [model.posterior(block) for block in x.split(device.rows_at_once(x.device, 4 * data.PIXELS))]
    return Posterior(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def exactly(model: VAE, images: data.Images, protocol: str) -> Numbers:
    """Means over images of -log p(x) and of the ELBO with the encoder's Gaussian: `exact_nll` and `elbo`, in nats."""
    x = data.evaluation_pixels(images.images, protocol)
    elbo = gaussian_elbo(model, x, encode(model, images, protocol))
    exact_nll = -exact_log_likelihood(model, x).log_px
    return {"exact_nll": exact_nll.double().mean().item(), "elbo": elbo.double().mean().item()}


def likelihood(
    model: VAE,
    images: data.Images,
    protocol: str,
    gap_images: int,
    others: Mapping[str, data.Images] | None = None,
    points: int = POINTS,
) -> tuple[Numbers, dict[str, Tensor]]:
    """ELBO and log p(x): means over images, and the same image by image.

    With a 2-D latent nothing is drawn: log p(x) is exact (quadrature), the ELBO comes from Gauss-Hermite nodes, of one
    image to tenths of a nat, of the mean to thousandths. Of `others`, such as training images by the name "train",
    there is the exact log p(x) too: `exact_nll_train`, and image by image `log_px_train`. The gaps of the first
    `gap_images` are split, and other answers than the encoder's tried on them; the stratified estimate with `points`
    latents a side, which training on log p(x) maximises, is compared with the exact value. With Bernoulli pixels the
    identities between the protocols are measured in the same quadrature. With another dimension the ELBO is a mean over
    draws and log p(x) only the importance-weighted bound, both on the first `gap_images`.
    """
    x = data.evaluation_pixels(images.images, protocol)
    few = x[:gap_images]
    log_w = importance_weights(model, few, max(IMPORTANCE_SAMPLES), torch.Generator(x.device).manual_seed(0))
    bounds = {k: importance_bound(log_w, k) for k in IMPORTANCE_SAMPLES}
    posterior = encode(model, images, protocol)
    exact = model.latent_dim == 2
    elbo = gaussian_elbo(model, x, posterior) if exact else log_w.mean(0)
    kl = kl_divergence(posterior)[: len(elbo)]
    numbers = {
        "elbo": elbo.mean(),
        "reconstruction": (elbo + kl).mean(),
        "kl": kl.mean(),
        "sample_spread": collapse.sample_spread(model),
        "gap_images": len(few),
        "iwae_nll": -bounds[max(IMPORTANCE_SAMPLES)].mean(),
        **{f"iwae_{k}_bound": bound.mean() for k, bound in bounds.items()},
    }
    each = {"mean": posterior.mean, "log_variance": posterior.log_variance, "elbo": elbo}
    if exact:
        more = {name: data.evaluation_pixels(own.images, protocol) for name, own in (others or {}).items()}
        extra = identities.pixels(images) if protocol in "AB" else x[:0]
        sizes = [len(block) for block in (x, *more.values(), extra)]
        place = torch.arange(sum(sizes))
        keep_nodes = (place < len(few)) | (place >= sum(sizes) - len(extra))
        together = exact_log_likelihood(model, torch.cat([x, *more.values(), extra]), keep_nodes=keep_nodes)
        result, *of_others, of_extra = map(together.part, itertools.accumulate(sizes, initial=0), sizes)
        for name, of_other in zip(more, of_others, strict=True):
            each[f"log_px_{name}"] = of_other.log_px
            numbers[f"exact_nll_{name}"] = -of_other.log_px.mean()
        if len(extra):
            numbers |= identities.measure(model, images, of_extra)
        each |= {"log_px": result.log_px, "error": result.error} | _answers(model, few, result.part(0, len(few)))
        numbers |= {
            "exact_nll": -result.log_px.mean(),
            "exact_nll_error": result.error.mean(),
            "exact_nll_worst_error": result.error.max(),
            **{name: each[name].mean() for name in ("approximation_gap", "amortisation_gap", *ANSWERS)},
            "gap_elbo": elbo[: len(few)].mean(),
            "gap_exact_nll": -result.log_px[: len(few)].mean(),
            "estimate_bias": (result.log_px - _estimate(model, x, points)).mean(),
            "estimate_points": points**2,
        }
    collapse.tell(float(numbers["kl"]), numbers["sample_spread"])
    return {name: float(value) for name, value in numbers.items()}, each


def _answers(model: VAE, x: Tensor, exact: Exact) -> dict[str, Tensor]:
    """Image by image, the gaps, the best Gaussian, and the ELBO of every answer to where an image belongs."""
    gaps = split_gap(model, x, exact)
    return {
        "approximation_gap": gaps.approximation,
        "amortisation_gap": gaps.amortisation,
        "best_mean": gaps.best.mean,
        "best_log_variance": gaps.best.log_variance,
        "elbo_best_gaussian": gaps.best_elbo,
        "elbo_lookup": gaussian_elbo(model, x, lookup(model, x)),
        "elbo_best_of_nine": gaussian_elbo(model, x, best_of_nine(model, x)),
    }


def _estimate(model: VAE, x: Tensor, points: int) -> Tensor:
    """The stratified estimate of log p(x) of each image, on one draw of its latents."""
    rng = torch.Generator(x.device).manual_seed(0)
    return decoded(model, stratified_normal(points, model.latent_dim, rng, x.device)).log_px(model, x)


def latent_plane(
    model: VAE, training: data.Images, test_means: Tensor, test_labels: Tensor, protocol: str
) -> tuple[Numbers, dict[str, np.ndarray]]:
    """Nearest-neighbour accuracies and confusions on the latent means, and how much of the prior lies in holes.

    `test_means` are those that `likelihood` returned for the test images. `hole_share` is about the posteriors of all
    training images, `hole_share_1000` and so on about those of the first of them.
    """
    train = encode(model, training, protocol)
    known, asked = (train.mean, training.labels), (test_means, test_labels)
    labels = [count for count in LABELS if count <= len(training.labels)]
    numbers = {f"knn_accuracy_{count}": metrics.knn_accuracy(*known, *asked, count) for count in labels}
    for count in [count for count in HOLES if count < len(training.labels)]:
        numbers[f"hole_share_{count}"], _ = hole_share(Posterior(*(t[:count] for t in train)))
    numbers["hole_share"], holes = hole_share(train)
    arrays = {"confusions": metrics.latent_confusions(*known, *asked), "holes": holes.cpu().numpy()}
    return numbers, arrays
