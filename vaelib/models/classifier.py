"""The digit classifier: two convolutions with max-pooling between them, two fully connected layers."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vaelib import data, device
from vaelib.models.networks import Maps

IMAGE_BYTES = 40_000  # of an image's maps while it is classified
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
        self.head = nn.Linear(128, data.CLASSES)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "batch 784"]) -> Float[Tensor, "batch 10"]:
        """Logits of the ten digits; float32 whatever the network runs in."""
        return self.head(self.features(x)).float()


def random_affine(x: Float[Tensor, "batch 784"], rng: torch.Generator) -> Float[Tensor, "batch 784"]:
    """Each image turned, scaled and shifted by its own uniform draws within ROTATION, SCALE and SHIFT.

    Always in float32: under autocast the grid's products would be off by up to a twentieth of a pixel.
    """
    turn, zoom, across, down = 2 * torch.rand(4, len(x), generator=rng, device=x.device) - 1
    angle, factor = torch.deg2rad(ROTATION * turn), 1 + SCALE * zoom
    cos, sin = factor * angle.cos(), factor * angle.sin()
    step = 2 * SHIFT / data.SIDE  # the grid's coordinates run from -1 to 1 over the image
    maps = torch.stack([cos, -sin, step * across, sin, cos, step * down], dim=1).unflatten(1, (2, 3))
    with torch.autocast(x.device.type, enabled=False):
        grid = F.affine_grid(maps, (len(x), 1, data.SIDE, data.SIDE), align_corners=False)
    return F.grid_sample(x.unflatten(1, (1, data.SIDE, data.SIDE)), grid, align_corners=False).flatten(1)


def blocks(images: data.Images) -> Iterator[Float[Tensor, "block 784"]]:
    """The images in grey, as many at a time as the device should classify together."""
    for block in images.images.split(device.rows_at_once(images.images.device, IMAGE_BYTES)):
        yield data.grey(block)


@torch.no_grad()
def predict(model: Classifier, images: data.Images) -> Int64[Tensor, " images"]:
    """The most probable digit of each image."""
    return torch.cat([model(block).argmax(-1) for block in blocks(images)])


def accuracy(model: Classifier, images: data.Images) -> float:
    """Share of the images that the classifier gets right."""
    return (predict(model, images) == images.labels).double().mean().item()


def accuracies(predicted: Int64[Tensor, " images"], labels: Int64[Tensor, " images"]) -> dict[str, float]:
    """Accuracy on all images, and on those of each digit that there is."""
    correct = (predicted == labels).double()
    numbers = {"test_accuracy": correct.mean().item()}
    return numbers | {f"test_accuracy_{y}": correct[labels == y].mean().item() for y in labels.unique().tolist()}
