"""The parameters of `notebooks/ablation.ipynb`, and the trainings that they ask for."""

from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Ge, Le
from pydantic import AfterValidator, model_validator

from vaelib.models.networks import ARCHITECTURES, WITHOUT
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
    none_twice,
)

WHOLE = "whole"  # the variant that lacks nothing
HELD_OUT = 5000  # validation images of MNIST


class Training(NamedTuple):
    """One network to train: what was taken away, its name in ARCHITECTURES, and its learning rate."""

    variant: str
    architecture: str
    learning_rate: float

    @property
    def name(self) -> str:
        """What the run calls its model."""
        return f"{self.variant}-{self.learning_rate:g}"

    @property
    def title(self) -> str:
        """What tables and figures call it."""
        known = ARCHITECTURES[self.architecture].title or self.architecture
        return known if self.variant != WHOLE else f"{known}, learning rate {self.learning_rate:g}"


class AblationParameters(Trained):
    """Parameters of `notebooks/ablation.ipynb`."""

    notebook: ClassVar[str] = "ablation"
    run_dir: str = "results/notebook/ablation"
    dataset: Dataset = "MNIST"
    architecture: Architecture = "resmlp"
    without: Annotated[list[str], AfterValidator(none_twice)] = ["skip", "normalisation"]
    learning_rates: Annotated[list[Rate], AfterValidator(none_twice)] = [0.004]
    learning_rate: Rate = 0.002
    epochs: Positive = 2
    batch_size: Positive = 250
    train_images: Count = 20000
    validation_images: Annotated[int, Ge(1), Le(HELD_OUT)] = 500
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"

    @model_validator(mode="after")
    def _has_these_parts(self) -> "AblationParameters":
        whole = self.architecture + WITHOUT
        parts = [name.removeprefix(whole) for name in ARCHITECTURES if name.startswith(whole)]
        if unknown := [part for part in self.without if part not in parts]:
            known = f"known for {self.architecture} are {', '.join(parts) or 'none'}"
            raise ValueError(f"without = {unknown!r}: there is no such part; {known}")
        return self

    @property
    def trainings(self) -> list[Training]:
        """The whole network at every learning rate, the usual one first, then what lacks something at the usual."""
        rates = dict.fromkeys([self.learning_rate, *self.learning_rates])
        wholes = [Training(WHOLE, self.architecture, rate) for rate in rates]
        lesser = [Training(part, f"{self.architecture}{WITHOUT}{part}", self.learning_rate) for part in self.without]
        return wholes + lesser
