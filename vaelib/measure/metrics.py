"""What a latent plane and its samples are worth, and statistics over seeds."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy import stats
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from vaelib.training.objectives import log_sum_exp
from vaelib.models.vae import Posterior, log_normal

NEIGHBOURS = 5
CLASSES = 10


def knn_accuracy(
    train_means: Float[Tensor, "train latent"],
    train_labels: Int64[Tensor, " train"],
    test_means: Float[Tensor, "test latent"],
    test_labels: Int64[Tensor, " test"],
    labelled: int,
    draws: int = 20,
    seed: int = 0,
) -> float:
    """Accuracy of 5 nearest neighbours on latent means with `labelled` labels (Davidson et al. 2018, table 2).

    Mean over `draws` random choices of the labelled training images.
    """
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(draws):
        chosen = rng.choice(len(train_labels), labelled, replace=False)
        knn = KNeighborsClassifier(NEIGHBOURS).fit(train_means[chosen].numpy(), train_labels[chosen].numpy())
        scores.append(knn.score(test_means.numpy(), test_labels.numpy()))
    return float(np.mean(scores))


def latent_confusions(
    train_means: Float[Tensor, "train latent"],
    train_labels: Int64[Tensor, " train"],
    test_means: Float[Tensor, "test latent"],
    test_labels: Int64[Tensor, " test"],
) -> np.ndarray:
    """[10, 10] shares: row the true digit, column the digit of the 5 nearest training images in the plane."""
    knn = KNeighborsClassifier(NEIGHBOURS).fit(train_means.numpy(), train_labels.numpy())
    return confusion_shares(test_labels.numpy(), knn.predict(test_means.numpy()))


def confusion_shares(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[10, 10] shares: row the true digit, column the predicted one."""
    return confusion_matrix(labels, predicted, labels=range(CLASSES), normalize="true")


def class_shares(
    samples: Float[Tensor, "samples pixels"],
    images: Float[Tensor, "images pixels"],
    labels: Int64[Tensor, " images"],
) -> np.ndarray:
    """[10] share of each digit among generated images, by their 5 nearest real images in pixel space."""
    knn = KNeighborsClassifier(NEIGHBOURS).fit(images.numpy(), labels.numpy())
    return np.bincount(knn.predict(samples.numpy()), minlength=CLASSES) / len(samples)


def aggregate_posterior(posterior: Posterior, z: Float[Tensor, "points latent"]) -> Float[Tensor, " points"]:
    """log of q(z), the mean of q(z | x) over images: where the encoder puts the data."""
    parts = []
    for chunk in z.split(200):
        log_q = log_normal(chunk[:, None], posterior.mean, posterior.log_variance)
        parts.append(log_sum_exp(log_q) - math.log(len(posterior.mean)))
    return torch.cat(parts)


def hole_share(
    posterior: Posterior, samples: int = 2000, seed: int = 0, ratio: float = 0.1
) -> tuple[float, Float[Tensor, "holes latent"]]:
    """Share of prior samples that fall in holes, and the samples that do.

    A hole is a place where the aggregate posterior has less than `ratio` of the prior's density: the decoder is
    asked there for images it was hardly trained to make.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(samples, posterior.mean.shape[-1], generator=rng)
    in_hole = aggregate_posterior(posterior, z) < log_normal(z) + math.log(ratio)
    return in_hole.double().mean().item(), z[in_hole]


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean over seeds and the half-width of its Student t interval (NaN for a single value)."""
    values = np.asarray(list(values), dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    quantile = stats.t.ppf(0.5 + confidence / 2, len(values) - 1)
    return float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(len(values)))
