"""How real generated digits look: sharpness, and distances between sets of images in a classifier's features.

The features are the 128 hidden units before the outputs of `vaelib.models.classifier.Classifier`, in place of
those of a network trained on photographs, which knows nothing of digits. Numbers are comparable for one classifier
alone.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from vaelib import data, device
from vaelib.models.classifier import Classifier, blocks

NEIGHBOURS = 3  # of the balls that make up a manifold; theirs too
MANIFOLD_IMAGES = 5_000  # of each set, for precision and recall

LAPLACE = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]


@torch.no_grad()
def features(model: Classifier, images: data.Images) -> Float[Tensor, "images features"]:
    """The classifier's hidden units for each image."""
    return torch.cat([model.features(block).float() for block in blocks(images)])


def frechet_distance(real: Float[Tensor, "n features"], made: Float[Tensor, "m features"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means and covariances (Heusel et al. 2017, equation 6)."""
    identity = nn.Identity()
    identity.num_features = real.shape[1]
    distance = FrechetInceptionDistance(identity).to(real.device).set_dtype(torch.float64)
    distance.update(real.double(), real=True)
    distance.update(made.double(), real=False)
    return distance.compute().item()


def precision_recall(real: Float[Tensor, "n features"], made: Float[Tensor, "m features"]) -> tuple[float, float]:
    """Share of made images on the manifold of real ones, and the reverse (Kynkäänniemi et al. 2019, equations 1 and 2).

    A manifold is the union of balls around its images, each as far as its third neighbour. Uses the first
    MANIFOLD_IMAGES of each set.
    """
    real, made = (t[:MANIFOLD_IMAGES].double() for t in (real, made))  # in float32 near points lose their distance
    of_real, of_made = _radii(real), _radii(made)
    distance = torch.cdist(made, real)
    return (
        (distance <= of_real).any(1).double().mean().item(),
        (distance <= of_made[:, None]).any(0).double().mean().item(),
    )


def _radii(points: Float[Tensor, "n features"]) -> Float[Tensor, " n"]:
    """The distance of each point to its third neighbour; the nearest of all is the point itself."""
    some = points.split(device.rows_at_once(points.device, 8 * len(points)))
    nearest = [torch.cdist(rows, points).topk(NEIGHBOURS + 1, largest=False).values for rows in some]
    return torch.cat(nearest)[:, -1]


def sharpness(images: data.Images) -> float:
    """Mean over images of the variance of their Laplace-filtered pixels, as in Tolstikhin et al. (2018)."""
    x = data.grey(images.images).unflatten(1, (1, data.SIDE, data.SIDE))
    return F.conv2d(x, LAPLACE.to(x.device)).var((1, 2, 3)).mean().item()


def measure(model: Classifier, real: data.Images, made: data.Images) -> dict[str, float]:
    """All of these of a set of made images, against a set of real ones."""
    of_real, of_made = features(model, real), features(model, made)
    precision, recall = precision_recall(of_real, of_made)
    return {
        "frechet_distance": frechet_distance(of_real, of_made),
        "precision": precision,
        "recall": recall,
        "sharpness": sharpness(made),
    }
