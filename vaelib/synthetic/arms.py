"""What synthetic images are worth to a classifier: arms that differ in what is added to the same N real images.

A training is compared with that on the real images alone under two budgets. Under "updates" all arms make the same
number of updates; under "epochs" all pass over their images equally often, so that an arm with twice the images makes
twice the updates. Settings of the training are the same in all arms.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import data
from vaelib.models.classifier import Classifier, blocks, random_affine
from vaelib.training.classification import ClassifierLoss
from vaelib.training.loop import Settings, train

UNSURE_POOL = 2  # of so many times the images needed those are taken of which a classifier is least sure


@dataclass(frozen=True)
class Arm:
    """What a classifier is trained on: of each kind of images how many, in multiples of the N real ones."""

    label: str  # what figures call it
    real: int = 1
    affine: int = 0  # copies of the real images, turned, scaled and shifted once and for all
    synthetic: float = 0.0
    further: int = 0  # real images that are not among the N
    unsure: bool = False  # the synthetic images are those of which a classifier of the real ones is least sure
    afresh: bool = False  # all images are turned, scaled and shifted afresh in every batch

    def images(self, real: int) -> int:
        """How many images it has where there are so many real ones."""
        return real * (self.real + self.affine + self.further) + round(real * self.synthetic)

    def synthetic_needed(self, real: int) -> int:
        """From how many synthetic images it takes its own."""
        return round(real * self.synthetic) * (UNSURE_POOL if self.unsure else 1)


ARMS = {
    "further": Arm("real + further real", further=1),
    "affine": Arm("real + affine copies", affine=1),
    "synthetic": Arm("real + synthetic", synthetic=1.0),
    "duplicated": Arm("real twice", real=2),
    "real": Arm("real"),
    "synthetic_only": Arm("synthetic alone", real=0, synthetic=1.0),
    "affine_and_synthetic": Arm("real + affine copies + synthetic", affine=1, synthetic=1.0),
    "afresh": Arm("real, moved afresh", afresh=True),
    "afresh_synthetic": Arm("real + synthetic, moved afresh", synthetic=1.0, afresh=True),
    "synthetic_quarter": Arm("real + 1/4 synthetic", synthetic=0.25),
    "synthetic_half": Arm("real + 1/2 synthetic", synthetic=0.5),
    "synthetic_double": Arm("real + 2 synthetic", synthetic=2.0),
    "synthetic_fourfold": Arm("real + 4 synthetic", synthetic=4.0),
    "synthetic_unsure": Arm("real + unsure synthetic", synthetic=1.0, unsure=True),
}
BUDGETS = ("updates", "epochs")
BATCH_SIZE, LEARNING_RATE = 128, 0.004  # of the classifiers by which generators are compared
CHOICE_FRACTION, CHOICE_IMAGES = 0.2, 10_000  # what generators are chosen by: trained on, and left over to test on


def lengths(updates: int | list[int]) -> list[int]:
    """The numbers of updates that are asked for, the smallest first."""
    return sorted(updates) if isinstance(updates, list) else [updates]


def choice_images(dataset: str, seen: int = 0) -> tuple[data.Images, data.Images]:
    """20 % of the second half, and 10,000 images that they leave over: what all choices are made with.

    Where a generator has `seen` more of the second half than those 20 %, only images behind these are left over.
    """
    half = data.load(dataset, "second_half")
    count = round(CHOICE_FRACTION * len(half.labels))
    return half.take(count), half.drop(max(count, seen)).take(CHOICE_IMAGES)


class Parts(NamedTuple):
    """What arms are made of."""

    real: data.Images
    synthetic: data.Images
    further: data.Images
    rng: torch.Generator
    certainty: Callable[[data.Images], Tensor]  # how sure a classifier trained on the real images alone is of each


def training_set(arm: Arm, parts: Parts) -> data.Images:
    """The images of an arm: the real ones, and behind them what it adds."""
    count = len(parts.real.labels)
    sets = [parts.real] * arm.real
    sets += [affine_copies(parts.real, parts.rng) for _ in range(arm.affine)]
    if arm.synthetic:
        pool = parts.synthetic.take(arm.synthetic_needed(count))
        own = round(count * arm.synthetic)
        sets.append(_least_sure(pool, parts.certainty(pool), own) if arm.unsure else pool)
    sets += [parts.further.take(count)] * arm.further
    return functools.reduce(data.Images.join, sets)


def affine_copies(images: data.Images, rng: torch.Generator) -> data.Images:
    """Each image once, turned, scaled and shifted at random."""
    moved = [random_affine(data.grey(block), rng) for block in images.images.split(2000)]
    return data.Images(data.to_images(torch.cat(moved)), images.labels)


@torch.no_grad()
def certainty(model: Classifier, images: data.Images) -> Float[Tensor, " images"]:
    """The probability that a classifier gives to the digit that it takes each image for."""
    return torch.cat([model(block).softmax(-1).amax(-1) for block in blocks(images)])


def updates_of(budget: str, updates: int, images: int, real: int) -> int:
    """The updates of an arm with this many images, where the real ones alone make `updates`."""
    return updates if budget == "updates" else max(1, round(updates * images / real))


def train_classifier(
    images: data.Images, updates: int, settings: Settings, checkpoint: Path | None = None, afresh: bool = False
) -> Classifier:
    """A fresh classifier after `updates` updates on these images, without any choice of epoch.

    Of the settings the length is replaced. With a `checkpoint` path a finished training is taken from there. `afresh`
    turns, scales and shifts the images of every batch at random.
    """
    torch.manual_seed(settings.seed)
    model = Classifier().to(images.images.device)
    settings = replace(settings, epochs=1, epoch_images=updates * settings.batch_size)
    list(train(ClassifierLoss(model, affine=afresh), images, None, settings, checkpoint))
    return model


class Classifiers:
    """The classifiers of all arms on the same images, each trained once, whatever budgets ask for it."""

    def __init__(
        self,
        real: data.Images,
        synthetic: data.Images,
        further: data.Images,
        settings: Settings,
        kept_as: Callable[[str], Path | None],
    ):
        """`kept_as` says where the finished training of a name is kept."""
        self.sets, self.settings, self.kept_as = (real, synthetic, further), settings, kept_as
        self._trained: dict[tuple[str, int], Classifier] = {}

    def train(self, arm: str, updates: int) -> Classifier:
        """The classifier of an arm after so many updates; a second time it is not trained again.

        What is unsure is so to the classifier of the real images alone, after as many updates.
        """
        if (arm, updates) not in self._trained:
            rng = torch.Generator(self.sets[0].images.device).manual_seed(self.settings.seed)
            parts = Parts(*self.sets, rng, lambda images: certainty(self.train("real", updates), images))
            images, kept_as = training_set(ARMS[arm], parts), self.kept_as(f"{arm}-{updates}-updates")
            trained = train_classifier(images, updates, self.settings, kept_as, ARMS[arm].afresh)
            self._trained[arm, updates] = trained
        return self._trained[arm, updates]


def _least_sure(images: data.Images, sure: Float[Tensor, " images"], count: int) -> data.Images:
    """The `count` images of which a classifier is least sure, in their order."""
    chosen = sure.argsort(stable=True)[:count].sort().values
    return data.Images(images.images[chosen], images.labels[chosen])
