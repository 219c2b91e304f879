"""The four IDX files of a data set: found under `data/<name>/raw`, checked by what they hold, downloaded if need be.

A file may be packed by gzip or not, whatever its name says. The official sets are known by the checksums of their
unpacked bytes, so that an archive which somebody has packed again is as good as the first one.
"""

import gzip
import hashlib
import http.client
import math
import struct
import threading
import urllib.request
import zlib
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vaelib.files import PROJECT_ROOT, UserError, atomic

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SIDE = 28  # pixels of an image
CLASSES = 10
FEWEST = {"training": 120, "test": 10}  # images: of 120 there are 10 to choose the epoch by
FEWEST_OF_A_CLASS = {"training": 30, "test": 1}  # in a report: of 30 each half has one to choose the epoch by
GZIP = b"\x1f\x8b"  # how a gzip file begins
UNSIGNED_BYTES = 8  # the type of an IDX file's elements, in its third byte
PATIENCE = 10.0  # seconds without an answer, and then without a byte, after which a server counts as silent


class DataError(UserError):
    """A data set is missing, damaged, or not what this project can use; the message says which file and what to do."""


class Official(NamedTuple):
    """Where a well-known data set is served, and the MD5 sums of its files, by their names in `PARTS`."""

    server: str
    packed: tuple[str, str, str, str]  # of the archives as they are served
    unpacked: tuple[str, str, str, str] | None  # None where they are not known: then any IDX files will do


OFFICIAL = {
    "MNIST": Official(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "FashionMNIST": Official(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    "KMNIST": Official(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        None,
    ),
}


def names(root: Path) -> list[str]:
    """The data sets that can be used: the official ones, and the folders of a person's own with a folder `raw`."""
    return [*OFFICIAL, *sorted({folder.parent.name for folder in Path(root).glob("*/raw")} - set(OFFICIAL))]


def found(folder: Path) -> dict[str, Path]:
    """The files of a folder by the names in `PARTS`; with a dot for the second hyphen they count, too.

    Of one that is there packed and unpacked it is the packed one.
    """
    files: dict[str, Path] = {}
    for part in PARTS:
        for name in (part, part.replace("-idx", ".idx")):
            for file in (folder / f"{name}.gz", folder / name):
                if file.is_file():
                    files.setdefault(part, file)
    return files


def read(name: str, test: bool, root: Path) -> tuple[UInt8[np.ndarray, "count 28 28"], UInt8[np.ndarray, " count"]]:
    """The images and labels of a data set's training or test part, from `root/<name>/raw`; nothing is unpacked there.

    Of an official set, missing files are downloaded. Raises `DataError` when a file is missing, damaged, not an IDX
    file of bytes, or not the official one, when there are not as many images as labels, or too few, and when the images
    are of another size, or the labels of other classes.
    """
    folder, wanted = Path(root) / name / "raw", PARTS[2:] if test else PARTS[:2]
    if missing := [part for part in wanted if part not in found(folder)]:
        _download(name, folder, missing)
    files = [found(folder)[part] for part in wanted]
    images, labels = (_idx(file, _content(name, part, file)) for part, file in zip(wanted, files, strict=True))
    for file, array, dimensions in zip(files, (images, labels), (3, 1), strict=True):
        if array.ndim != dimensions:
            raise DataError(f"{file} has {array.ndim} dimensions instead of {dimensions}: it is another file.")
    what = "test" if test else "training"
    height, width = images.shape[1:]
    if (height, width) != (SIDE, SIDE):
        raise DataError(f"{files[0]} has images of {height} x {width} pixels: {SIDE} x {SIDE} are needed.")
    if len(images) != len(labels):
        raise DataError(
            f"{files[0]} has {len(images):,} images, but {files[1].name} has {len(labels):,} labels: put files there "
            "that belong together."
        )
    if len(labels) < FEWEST[what]:
        raise DataError(f"{folder} has {len(labels)} {what} images: {FEWEST[what]} are the least.")
    if labels.max() >= CLASSES:
        raise DataError(f"{files[1]} has labels up to {labels.max()}: the classes are 0 to {CLASSES - 1}.")
    return images, labels


def read_for_report(name: str, root: Path) -> int:
    """How many training images a data set has, which is read as by `read`, if a report can be made about it.

    Raises `DataError` also when a class has too few images.
    """
    labels = {what: read(name, what == "test", root)[1] for what in FEWEST_OF_A_CLASS}
    for what, least in FEWEST_OF_A_CLASS.items():
        counts = np.bincount(labels[what], minlength=CLASSES)
        if counts.min() < least:
            raise DataError(
                f"{Path(root) / name / 'raw'} has {counts.min()} {what} images of class {counts.argmin()}: a report "
                f"needs {least} or more of each of the classes 0 to {CLASSES - 1}."
            )
    return len(labels["training"])


def _content(name: str, part: str, file: Path) -> bytes:
    """A file's unpacked bytes, of an official one after a look at their checksum."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from None
    try:
        content = gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error):
        raise _damaged(name, file, "is cut or damaged") from None
    if not content:
        raise _damaged(name, file, "is empty")
    sums = OFFICIAL[name].unpacked if name in OFFICIAL else None
    if sums and hashlib.md5(content).hexdigest() != sums[PARTS.index(part)]:
        raise _damaged(name, file, f"is damaged, or not of {name} (the MD5 sum of what it holds is another one)")
    return content


def _idx(file: Path, content: bytes) -> UInt8[np.ndarray, "..."]:
    """The array of an IDX file: two zeros, type and number of dimensions, each one's size, and the elements."""
    dimensions = content[3] if content[:3] == bytes([0, 0, UNSIGNED_BYTES]) and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if not dimensions or len(content) < start:
        raise DataError(f"{file} is no IDX file of bytes. Put the right one there, or delete it.")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    elements = math.prod(shape)
    if len(content) - start != elements:
        raise DataError(
            f"{file} is cut or damaged: it holds {len(content) - start:,} of {elements:,} bytes. Delete it, and put "
            "a whole one there."
        )
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)  # to be written to, as torch asks


def _damaged(name: str, file: Path, what: str) -> DataError:
    again = "then it is downloaded again" if name in OFFICIAL else "and put a whole one there"
    kept = PROJECT_ROOT / "data" / "MNIST" / "raw"  # in git
    restore = f" (or restore it: git checkout -- {file.relative_to(PROJECT_ROOT)})" if file.parent == kept else ""
    return DataError(f"{file} {what}. Delete it, {again}{restore}. Other data go into a folder of their own name.")


def _download(name: str, folder: Path, missing: list[str]) -> None:
    """Fetch missing files of an official data set, each written when it is whole."""
    there = ", ".join(sorted(path.name for path in folder.glob("*"))[:6]) or "nothing"
    lacking = ", ".join(part for part in PARTS if part not in found(folder))
    needed = f"put {lacking} there, packed by gzip (.gz) or not. In that folder there is now: {there}"
    if name not in OFFICIAL:
        raise DataError(f"{folder} lacks files of the data set {name}: {needed}.")
    for part in missing:
        try:
            content = _fetch(f"{OFFICIAL[name].server}{part}.gz", OFFICIAL[name].packed[PARTS.index(part)])
            with atomic(folder / f"{part}.gz") as temporary:
                temporary.write_bytes(content)
        except (OSError, http.client.HTTPException, UserError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{name} could neither be read from {folder} nor downloaded ({reason}). Choose a data set that is "
                f"there, or {needed}."
            ) from None


def _fetch(url: str, md5: str) -> bytes:
    """What a server has at an address, which must have this checksum; `OSError` where it stays silent or says no."""
    response: Future = Future()
    threading.Thread(target=_ask, args=(url, response), daemon=True).start()
    try:
        with response.result(PATIENCE) as answer:  # a name may have many addresses, and each its own time to fail
            content = answer.read()
    except TimeoutError:
        raise OSError(f"{url} does not answer") from None
    if hashlib.md5(content).hexdigest() != md5:
        raise OSError(f"{url} is not the file that it should be: its MD5 sum is not {md5}")
    return content


def _ask(url: str, response: Future) -> None:
    try:
        response.set_result(urllib.request.urlopen(url, timeout=PATIENCE))
    except Exception as error:
        response.set_exception(error)
