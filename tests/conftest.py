"""What all tests share: the shapes in vaelib's signatures are checked while they run, with one thread a worker."""
# ruff: noqa: E402 (the package has to be imported first, by the hook)

import importlib
import os
import pkgutil

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do where a float is asked for
with install_import_hook("vaelib", "conftest.typechecked"):
    import vaelib

    for module in pkgutil.walk_packages(vaelib.__path__, "vaelib."):
        importlib.import_module(module.name)

import pytest
import torch

from vaelib import data

torch.set_num_threads(1)

# The tests of `make test` speak as those of pytest alone do: a make they start is nobody's child.
for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"):
    os.environ.pop(name, None)

# The files that take minutes, the longest first: begun last, one would keep a worker busy while the other has no work.
LONG = ("report", "workflow", "notebooks", "live", "archive", "browser", "status")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of those files first, the others in the order that they had."""
    places = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def mnist() -> dict[str, data.Images]:
    """The three splits, read once a worker."""
    return {split: data.load("MNIST", split) for split in ("train", "validation", "test")}
