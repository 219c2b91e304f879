"""IDX files for the tests: the official ones, and small data sets of the tests' own."""

import functools
import gzip
import struct
from pathlib import Path

import torch
from torch import Tensor

from vaelib.files import PROJECT_ROOT

OFFICIAL = PROJECT_ROOT / "data" / "MNIST" / "raw"


@functools.cache
def unpacked(part: str) -> bytes:
    """What an official archive of MNIST holds."""
    return gzip.decompress((OFFICIAL / f"{part}.gz").read_bytes())


def idx(array: Tensor) -> bytes:
    """An array of bytes as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.numpy().tobytes()


def write(folder: Path, train: int = 600, test: int = 50, shape: tuple[int, int] = (28, 28)) -> Path:
    """Four IDX files of noise below a folder, in which all ten classes take turns; returns the folder."""
    rng = torch.Generator().manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx((torch.arange(count) % 10).to(torch.uint8)))
    return folder
