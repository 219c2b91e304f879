"""What a latent plane and its samples are worth."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from vaelib import data, device
from vaelib.models.vae import Posterior, log_normal
from vaelib.training.objectives import log_sum_exp

NEIGHBOURS = 5


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
    means, labels = _array(train_means), _array(train_labels)
    scores = []
    for _ in range(draws):
        chosen = rng.choice(len(labels), labelled, replace=False)
        knn = KNeighborsClassifier(NEIGHBOURS).fit(means[chosen], labels[chosen])
        scores.append(knn.score(_array(test_means), _array(test_labels)))
    return float(np.mean(scores))


def latent_confusions(
    train_means: Float[Tensor, "train latent"],
    train_labels: Int64[Tensor, " train"],
    test_means: Float[Tensor, "test latent"],
    test_labels: Int64[Tensor, " test"],
) -> np.ndarray:
    """[10, 10] shares: row the true digit, column the digit of the 5 nearest training images in the plane."""
    knn = KNeighborsClassifier(NEIGHBOURS).fit(_array(train_means), _array(train_labels))
    return confusion_shares(_array(test_labels), knn.predict(_array(test_means)))


def confusion_shares(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[10, 10] shares: row the true digit, column the predicted one."""
    return confusion_matrix(labels, predicted, labels=range(data.CLASSES), normalize="true")


def class_shares(
    samples: Float[Tensor, "samples pixels"],
    images: Float[Tensor, "images pixels"],
    labels: Int64[Tensor, " images"],
) -> np.ndarray:
    """[10] share of each digit among generated images, by their 5 nearest real images in pixel space."""
    knn = KNeighborsClassifier(NEIGHBOURS).fit(_array(images), _array(labels))
    return np.bincount(knn.predict(_array(samples)), minlength=data.CLASSES) / len(samples)


def aggregate_posterior(posterior: Posterior, z: Float[Tensor, "points latent"]) -> Float[Tensor, " points"]:
    """log of q(z), the mean of q(z | x) over images: where the encoder puts the data."""
    parts = []
    for chunk in z.split(device.rows_at_once(z.device, 8 * posterior.mean.numel())):
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
    z = torch.randn(samples, posterior.mean.shape[-1], generator=rng).to(posterior.mean.device)
    in_hole = aggregate_posterior(posterior, z) < log_normal(z) + math.log(ratio)
    return in_hole.double().mean().item(), z[in_hole]


def _array(values: Tensor) -> np.ndarray:
    """A tensor on any device, for libraries that take arrays."""
    return values.detach().cpu().numpy()
