"""The digit classifier: two convolutions with max-pooling between them, two fully connected layers."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vaelib import data
from vaelib.metrics import CLASSES
from vaelib.networks import Maps
from vaelib.training import Loss

BLOCK = 250  # images classified together: with more the maps no longer fit the cache, which takes twice as long
ROTATION, SHIFT, SCALE = 15.0, 2.0, 0.1  # the largest affine changes: degrees, pixels, and the share of the size


class Classifier(nn.Module):
    """28 x 28 grey images to 10 logits: 5 x 5 convolutions of 24 and 64 maps, 128 hidden units (after LeNet).

    ReLU stands behind the pooling, where it gives the same result on a ninth of the values.
    """

    def __init__(self):
        super().__init__()
        self.built_as = {}
        self.features = nn.Sequential(
            Maps(1, data.SIDE),
            nn.Conv2d(1, 24, 5),  # 24 x 24
            nn.MaxPool2d(3),  # 8 x 8
            nn.ReLU(),
            nn.Conv2d(24, 64, 5),  # 4 x 4
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, CLASSES)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "batch 784"]) -> Float[Tensor, "batch 10"]:
        """Logits of the ten digits; float32 whatever the network runs in."""
        return self.head(self.features(x)).float()


def classifier_loss(model: Classifier, affine: bool = False) -> Loss:
    """Cross-entropy and accuracy, in training on images moved by random affine maps where `affine` says so."""

    def loss(batch: data.Images, generator: torch.Generator, epochs_done: float):
        x = data.grey(batch.images)
        if affine and epochs_done != math.inf:
            x = random_affine(x, generator)
        logits = model(x)
        correct = logits.argmax(-1) == batch.labels
        return {"loss": F.cross_entropy(logits, batch.labels, reduction="none"), "accuracy": correct.float()}

    return loss


def random_affine(x: Float[Tensor, "batch 784"], generator: torch.Generator) -> Float[Tensor, "batch 784"]:
    """Each image turned, scaled and shifted by its own uniform draws within ROTATION, SCALE and SHIFT."""
    turn, zoom, across, down = 2 * torch.rand(4, len(x), generator=generator, device=x.device) - 1
    angle, factor = torch.deg2rad(ROTATION * turn), 1 + SCALE * zoom
    cos, sin = factor * angle.cos(), factor * angle.sin()
    step = 2 * SHIFT / data.SIDE  # the grid's coordinates run from -1 to 1 over the image
    maps = torch.stack([cos, -sin, step * across, sin, cos, step * down], dim=1).unflatten(1, (2, 3))
    grid = F.affine_grid(maps, (len(x), 1, data.SIDE, data.SIDE), align_corners=False)
    return F.grid_sample(x.unflatten(1, (1, data.SIDE, data.SIDE)), grid, align_corners=False).flatten(1)


@torch.no_grad()
def predict(model: Classifier, images: data.Images) -> Int64[Tensor, " images"]:
    """The most probable digit of each image."""
    return torch.cat([model(data.grey(block)).argmax(-1) for block in images.images.split(BLOCK)])


def accuracy(model: Classifier, images: data.Images) -> float:
    """Share of the images that the classifier gets right."""
    return (predict(model, images) == images.labels).double().mean().item()


def accuracies(predicted: Int64[Tensor, " images"], labels: Int64[Tensor, " images"]) -> dict[str, float]:
    """Accuracy on all images, and on those of each digit."""
    correct = (predicted == labels).double()
    numbers = {"test_accuracy": correct.mean().item()}
    return numbers | {f"test_accuracy_{y}": correct[labels == y].mean().item() for y in range(CLASSES)}
