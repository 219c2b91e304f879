"""The parameters of `notebooks/baselines.ipynb`."""

from typing import Annotated, ClassVar

from annotated_types import Ge, MultipleOf
from pydantic import AfterValidator, model_validator

from vaelib.runs.fields import (
    Architecture,
    Count,
    Dataset,
    Device,
    Positive,
    Precision,
    Rate,
    Seed,
    Trained,
    some,
)  # fmt: skip


def _sixth_power(points: int) -> int:
    """Refuses a number that does not make a line, a square and a cube with as many points a side each."""
    if round(points ** (1 / 6)) ** 6 != points:
        raise ValueError("it must be the sixth power of a whole number, such as 729 or 4096")
    return points


class BaselinesParameters(Trained):
    """Parameters of `notebooks/baselines.ipynb`."""

    notebook: ClassVar[str] = "baselines"
    run_dir: str = "results/notebook/baselines"
    dataset: Dataset = "MNIST"
    components: Annotated[list[Positive], AfterValidator(some)] = [100, 729]
    passes: Positive = 5
    pseudo_counts: Annotated[list[Rate], AfterValidator(some)] = [0.1, 0.3, 1.0, 3.0]
    architecture: Architecture = "mlp"
    points: Annotated[int, Ge(100), AfterValidator(_sixth_power)] = 729
    epochs: Positive = 2
    batch_size: Positive = 250
    learning_rate: Rate = 0.004
    lattice_epochs: Positive = 2
    grid: Annotated[int, Ge(4), MultipleOf(2)] = 256
    train_images: Count = 20000
    test_images: Count = 200
    exact_train_images: Positive = 200
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"

    @model_validator(mode="after")
    def _begin_with_an_image_each(self) -> "BaselinesParameters":
        if 0 < self.train_images < max(self.components):
            raise ValueError(
                f"components = {self.components}: each begins with a training image, and train_images is "
                f"{self.train_images}"
            )
        return self
