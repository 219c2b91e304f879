"""What all tests share: the shapes in vaelib's signatures are checked while they run, with one thread a worker."""

from jaxtyping import install_import_hook

with install_import_hook("vaelib", "beartype.beartype"):
    import vaelib.evaluation
    import vaelib.exhibits
    import vaelib.figures
    import vaelib.parameters
    import vaelib.publish
    import vaelib.training  # noqa: F401

import pytest
import torch

from vaelib import data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mnist() -> dict[str, data.Images]:
    """The three splits, read once a worker."""
    return {split: data.load("MNIST", split) for split in ("train", "validation", "test")}
