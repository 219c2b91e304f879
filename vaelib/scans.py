"""A person's own digits: pictures of any size, made into images as those of MNIST were made (LeCun et al. 1998)."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from vaelib.data import SIDE
from vaelib.files import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
BOX = 20  # pixels of the box that a digit fills, in an image of 28
CENTRE = 14  # the row and the column in which its centre of mass lies
DEEPEST = 65_535  # of the levels of 16 bits
NOISE = 0.1  # of the contrast: as little ink as that is paper


class ScanError(UserError):
    """There is no picture, or nothing can be seen in it; the message says which one and what to do."""


def load(path: str | Path) -> UInt8[Tensor, "count 1 28 28"]:
    """A picture, or all pictures of a folder by their names, with one digit each, as images like MNIST's.

    What is drawn is cut out, shrunk until its longer side has 20 pixels, and put into 28 x 28 with its centre of mass
    in the middle; a picture with a light background is inverted. Raises `ScanError` for none and for an empty one.
    """
    return torch.stack([torch.from_numpy(_prepared(file))[None] for file in files(path)])


def files(path: str | Path) -> list[Path]:
    """The pictures that `load` takes from a path, in its order."""
    path = Path(path).expanduser()
    pictures = sorted(file for file in path.glob("*") if file.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    if not pictures or not pictures[0].exists():
        raise ScanError(f"there is no picture at {path}. Name one, or a folder that has some ({', '.join(ENDINGS)}).")
    return pictures


def _prepared(file: Path) -> UInt8[np.ndarray, "28 28"]:
    ink = _ink(file)
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    drawn = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(drawn.shape))) for side in drawn.shape)
    small = np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BOX))
    small = small / small.max()  # a thin line loses its strength when it shrinks
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (_offset(small.sum(axis)) for axis in (1, 0))
    image[top : top + height, left : left + width] = np.rint(255 * small)
    return image


def _ink(file: Path) -> np.ndarray:
    """How much is drawn at each pixel, from 0 for the background, which the picture's edges show, to 1."""
    try:
        with Image.open(file) as picture:
            coloured = _of_8_bits(ImageOps.exif_transpose(picture)).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ScanError(f"{file} cannot be read as a picture ({error}). Save it as PNG.") from None
    paper = Image.new("RGBA", coloured.size, "white")  # under what is transparent
    grey = np.asarray(Image.alpha_composite(paper, coloured).convert("L"), np.float32) / 255
    background = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    ink = background - grey if background > 0.5 else grey - background
    if ink.max() < NOISE:
        raise ScanError(f"in {file} nothing is drawn that differs from its edges: leave a margin around a dark digit.")
    return (ink / ink.max() - NOISE).clip(0) / (1 - NOISE)


def _of_8_bits(picture: Image.Image) -> Image.Image:
    """A picture as it is, or of grey levels from 0 to 65,535 one with 256 of them, where PIL would cut them off.

    Raises `ValueError` for other levels: what is white among them is not known.
    """
    if picture.mode[0] not in "IF":
        return picture
    levels = np.asarray(picture, np.float64)
    if picture.mode == "F" or levels.min() < 0 or levels.max() > DEEPEST:
        raise ValueError(f"its pixels are of mode {picture.mode}, with levels other than 0 to {DEEPEST:,}")
    return Image.fromarray(np.rint(255 * levels / DEEPEST).astype(np.uint8))


def _offset(mass: np.ndarray) -> int:
    """Where a side with this mass along it begins, so that its centre lies in the middle, within the image."""
    centre = (mass * np.arange(len(mass))).sum() / mass.sum()
    return int(np.clip(round(CENTRE - centre), 0, SIDE - len(mass)))
