"""Image data: one uint8 tensor a split, and the pixels of each protocol."""

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from vaelib import archives
from vaelib.files import PROJECT_ROOT

VALIDATION_PART = 12  # of all training images the last one in so many validates: 5,000 of 60,000, 2,500 of a half
HALVES = ("first_half", "second_half")
OTHER_HALF = dict(zip(HALVES, reversed(HALVES), strict=True))
SPLITS = ("train", "validation", "test", *HALVES)
CLASSES, SIDE = archives.CLASSES, archives.SIDE
PIXELS = SIDE * SIDE
HALVES_SEED = 0  # of the one division of the training images into two halves
TEST_SAMPLE_SEED = 1312_6114  # protocol A: one binary sample of each evaluation image, the same for every model


class Images(NamedTuple):
    """Grey images with their labels."""

    images: UInt8[Tensor, "count 1 28 28"]
    labels: Int64[Tensor, " count"]

    def take(self, count: int) -> "Images":
        """The first `count` images, or all of them when `count` is 0."""
        return self if count == 0 else Images(self.images[:count], self.labels[:count])

    def drop(self, count: int) -> "Images":
        """The images after the first `count`."""
        return Images(self.images[count:], self.labels[count:])

    def of_class(self, label: int) -> "Images":
        """The images of one class."""
        return Images(self.images[self.labels == label], self.labels[self.labels == label])

    def first_of_each(self, count: int) -> UInt8[Tensor, "{10*count} 1 28 28"]:
        """The first `count` images of each class, class by class; where there are fewer, empty ones fill up."""
        rows = self.images.new_zeros(CLASSES, count, 1, SIDE, SIDE)
        for label, row in enumerate(rows):
            own = self.of_class(label).images[:count]
            row[: len(own)] = own
        return rows.flatten(0, 1)

    def join(self, others: "Images") -> "Images":
        """These images and then the others."""
        return Images(*(torch.cat(both) for both in zip(self, others, strict=True)))

    def to(self, device: torch.device) -> "Images":
        """The same images on a device."""
        return Images(self.images.to(device), self.labels.to(device))


def load(name: str = "MNIST", split: str = "train", root: Path = PROJECT_ROOT / "data") -> Images:
    """Load one split of the data set in `root/<name>/raw`: four IDX files, official ones or a person's own.

    `split` is "train" (of MNIST 55,000 images), "validation" (the last 5,000 of the official training set: one in
    twelve) or "test" (10,000). "first_half" and "second_half" divide the images of train and validation once and for
    all, 30,000 each; every beginning of a half has all classes in their proportions, so that `take` gives nested
    and balanced subsets. Nothing is written but what is missing of an official set, which is downloaded.

    Raises `DataError` when files are missing, damaged or cannot be downloaded, and when the images are of another
    size, the labels of other classes, or too few; `ValueError` for another split.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    images, labels = map(torch.from_numpy, archives.read(name, split == "test", root))
    everything = Images(images[:, None], labels.long())
    if split in HALVES:
        chosen = _half(everything.labels, HALVES.index(split))
        return Images(everything.images[chosen], everything.labels[chosen])
    trained_on = len(labels) - len(labels) // VALIDATION_PART
    return {"train": everything.take(trained_on), "validation": everything.drop(trained_on), "test": everything}[split]


def with_validation(name: str, split: str, count: int = 0) -> tuple[Images, Images]:
    """A split to train on, "train" or a half, and the images that choose the epoch: 55,000 + 5,000, 27,500 + 2,500.

    Of a half only the first `count` images are divided, unless that is 0.
    """
    if split == "train":
        return load(name, "train"), load(name, "validation")
    seen = load(name, split).take(count)
    trained_on = len(seen.labels) - len(seen.labels) // VALIDATION_PART
    return seen.take(trained_on), seen.drop(trained_on)


def _half(labels: Int64[Tensor, " count"], which: int) -> Int64[Tensor, " half"]:
    """The images of one half, the classes evenly interleaved; the odd image of a class goes to each half in turn."""
    rng = torch.Generator().manual_seed(HALVES_SEED)
    members, places, odd = [], [], 0
    for label in labels.unique():
        shuffled = (labels == label).nonzero()[:, 0]
        shuffled = shuffled[torch.randperm(len(shuffled), generator=rng)]
        members.append(shuffled[(which + odd) % 2 :: 2])
        places.append((torch.arange(len(members[-1])) + 0.5) / len(members[-1]))
        odd += len(shuffled) % 2
    return torch.cat(members)[torch.cat(places).argsort(stable=True)]


def checksum(images: Images) -> str:
    """CRC-32 of pixels and labels as hexadecimal: names the data that a run used."""
    crc = zlib.crc32(images.labels.cpu().numpy(), zlib.crc32(images.images.cpu().contiguous().numpy()))
    return f"{crc:08x}"


def grey(images: UInt8[Tensor, "*batch 1 28 28"]) -> Float[Tensor, "*batch 784"]:
    """Protocol B: grey values in [0, 1], one row an image."""
    return images.flatten(-3).float() / 255


def to_images(x: Float[Tensor, "count 784"]) -> UInt8[Tensor, "count 1 28 28"]:
    """Rows of grey values in [0, 1] as images of 256 levels."""
    return _levels(x).reshape(-1, 1, SIDE, SIDE)


def to_bytes(x: Float[Tensor, "*batch 784"]) -> np.ndarray:
    """Grey values in [0, 1] as uint8, in an array: what galleries show and runs keep."""
    return _levels(x).cpu().numpy()


def _levels(x: Float[Tensor, "*batch 784"]) -> UInt8[Tensor, "*batch 784"]:
    """The nearest of 256 grey levels."""
    return (255 * x.clamp(0, 1)).round().to(torch.uint8)


def binarise(images: UInt8[Tensor, "*batch 1 28 28"], rng: torch.Generator) -> Float[Tensor, "*batch 784"]:
    """Protocol A: a fresh sample b_i ~ Bernoulli(x_i / 255) of every pixel (Salakhutdinov & Murray 2008).

    An integer r uniform on 0..254 lies below x with probability exactly x / 255.
    """
    pixels = images.flatten(-3)
    return (torch.empty_like(pixels).random_(0, 255, generator=rng) < pixels).float()


def training_pixels(
    images: UInt8[Tensor, "count 1 28 28"], protocol: str, rng: torch.Generator
) -> Float[Tensor, "count 784"]:
    """The pixels that a protocol is trained on: for A sampled afresh, else grey."""
    return binarise(images, rng) if protocol == "A" else grey(images)


def evaluation_pixels(images: UInt8[Tensor, "count 1 28 28"], protocol: str) -> Float[Tensor, "count 784"]:
    """The pixels that a protocol is evaluated on: for A one fixed binary sample an image, else grey.

    The sample is drawn on the processor, whatever the images' device, since each kind of device draws differently: the
    bits are the same everywhere, and those of the first images do not depend on how many follow.
    """
    if protocol != "A":
        return grey(images)
    rng = torch.Generator().manual_seed(TEST_SAMPLE_SEED)
    return binarise(images.cpu(), rng).to(images.device)
