"""What a latent plane is worth, by nearest neighbours."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from vaelib import data
from vaelib.progress import told

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
    for _ in told(range(draws), f"neighbours among {labelled} labels"):
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
    """[10, 10] shares: row the true digit, column the digit of the 5 nearest training images, or of all if fewer."""
    knn = KNeighborsClassifier(min(NEIGHBOURS, len(train_means))).fit(_array(train_means), _array(train_labels))
    return confusion_shares(test_labels, torch.as_tensor(knn.predict(_array(test_means))))


def confusion_shares(labels: Int64[Tensor, " images"], predicted: Int64[Tensor, " images"]) -> np.ndarray:
    """[10, 10] shares: row the true digit, column the predicted one."""
    return confusion_matrix(_array(labels), _array(predicted), labels=range(data.CLASSES), normalize="true")


def _array(values: Tensor) -> np.ndarray:
    """A tensor on any device, for libraries that take arrays."""
    return values.detach().cpu().numpy()
