"""What synthetic images are worth to a classifier: arms that differ in what is added to the same real images.

Every arm but the first and the last trains on the N real images and N others. Under the budget "updates" all arms make
the same number of updates; under "epochs" all pass over their images equally often, so that an arm with twice the
images makes twice the updates. Settings of the training are the same in all arms.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from vaelib import data
from vaelib.models.classifier import Classifier, random_affine
from vaelib.training.classification import ClassifierLoss
from vaelib.training.loop import Settings, train

# An arm makes its training set of the real images, as many synthetic and as many further real ones.
Arm = Callable[[data.Images, data.Images, data.Images, torch.Generator], data.Images]


def affine_copies(images: data.Images, rng: torch.Generator) -> data.Images:
    """Each image once, turned, scaled and shifted at random."""
    blocks = [random_affine(data.grey(block), rng) for block in images.images.split(2000)]
    return data.Images(data.to_images(torch.cat(blocks)), images.labels)


ARMS: dict[str, Arm] = {
    "real": lambda real, synthetic, further, rng: real,
    "synthetic": lambda real, synthetic, further, rng: real.join(synthetic),
    "duplicated": lambda real, synthetic, further, rng: real.join(real),
    "affine": lambda real, synthetic, further, rng: real.join(affine_copies(real, rng)),
    "further": lambda real, synthetic, further, rng: real.join(further),
    "synthetic_only": lambda real, synthetic, further, rng: synthetic,
}
LABELS = {  # what figures call them
    "further": "real + further real",
    "affine": "real + affine copies",
    "synthetic": "real + synthetic",
    "duplicated": "real twice",
    "real": "real",
    "synthetic_only": "synthetic alone",
}
BUDGETS = ("updates", "epochs")
BATCH_SIZE, LEARNING_RATE = 128, 0.004  # of the classifiers by which generators are compared
CHOICE_FRACTION, CHOICE_IMAGES = 0.2, 10_000  # what generators are chosen by: trained on, and left over to test on


def choice_images(dataset: str) -> tuple[data.Images, data.Images]:
    """20 % of the second half, and 10,000 images that they leave over: what all choices are made with."""
    half = data.load(dataset, "second_half")
    count = round(CHOICE_FRACTION * len(half.labels))
    return half.take(count), half.drop(count).take(CHOICE_IMAGES)


def updates_of(budget: str, updates: int, images: int, real: int) -> int:
    """The updates of an arm with this many images: those of an arm with twice the real ones are `updates` in both."""
    return updates if budget == "updates" else max(1, round(updates * images / (2 * real)))


def train_classifier(
    images: data.Images, updates: int, settings: Settings, checkpoint: Path | None = None
) -> Classifier:
    """A fresh classifier after `updates` updates on these images, without any choice of epoch.

    Of the settings the length is replaced. With a `checkpoint` path a finished training is taken from there.
    """
    torch.manual_seed(settings.seed)
    model = Classifier().to(images.images.device)
    settings = replace(settings, epochs=1, epoch_images=updates * settings.batch_size)
    list(train(ClassifierLoss(model), images, None, settings, checkpoint))
    return model
