"""The parameters of each notebook: types, ranges, and what belongs together."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, model_validator

from vaelib import device
from vaelib.data import DATASETS, HALVES
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.networks import ARCHITECTURES
from vaelib.runs.parameters import Parameters
from vaelib.synthetic.arms import ARMS, BUDGETS
from vaelib.training.loop import Settings


def _one_of(names: Iterable[str]) -> AfterValidator:
    """Accepts only these names, and says which they are."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"it must be one of {', '.join(names)}")
        return value

    return AfterValidator(check)


def _check_device(name: str) -> str:
    try:
        device = torch.device("cpu" if name == "auto" else name)
        torch.empty(0, device=device, dtype=torch.float64)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"it cannot be used here ({reason}); auto takes the best there is") from None
    return name


def _none_twice(names: list[str]) -> list[str]:
    if not names or len(set(names)) < len(names):
        raise ValueError("it must name at least one, and none twice")
    return names


FEWEST_DRAWS = 10  # latents along each axis when log p(x) is the objective: fewer hold no two kinds of digits apart
MOST_DRAWS = 20_000  # latents decoded together when log p(x) is the objective
Positive = Annotated[int, Gt(0)]
Count = Annotated[int, Ge(0)]  # 0 stands for all
Rate = Annotated[float, Gt(0)]
Precision = Literal["auto", "float32", "tf32", "bfloat16"]
Dataset = Annotated[str, _one_of(DATASETS)]
Architecture = Annotated[str, _one_of(ARCHITECTURES)]
Device = Annotated[str, AfterValidator(_check_device)]
RunFolders = Annotated[list[str], AfterValidator(_none_twice)]


class Placed(Parameters):
    """Parameters of every notebook: where its results go, and where it computes."""

    run_dir: str
    device: Device

    @property
    def target(self) -> torch.device:
        """The device that `device` names here."""
        return device.resolve(self.device)


class Trained(Placed):
    """Parameters of every notebook that trains."""

    batch_size: Positive
    learning_rate: Rate
    seed: Count
    precision: Precision

    def settings(self, **others: Any) -> Settings:
        """The settings of a training: these parameters, `epochs` where there is one, and `others`."""
        own = {name: value for name, value in self if name in {field.name for field in fields(Settings)}}
        return Settings(**own | {"precision": device.resolve_precision(self.precision, self.target)} | others)


class VAEParameters(Trained):
    """Parameters of `notebooks/vae.ipynb`."""

    dataset: Dataset
    train_images: Count
    test_images: Count
    architecture: Architecture
    latent_dim: Positive
    likelihood: Annotated[str, _one_of(LIKELIHOODS)]
    protocol: Literal["A", "B", "C"]
    objective: Literal["elbo", "iwae", "marginal"]
    importance_samples: Positive
    kl_warmup_epochs: Annotated[float, Ge(0)]
    epochs: Positive
    encoder_epochs: Count
    gap_images: Positive

    @model_validator(mode="after")
    def _pixels_fit(self) -> "VAEParameters":
        if (self.likelihood == "bernoulli") != (self.protocol in "AB"):
            raise ValueError(
                f"protocol = {self.protocol!r} does not fit likelihood = {self.likelihood!r}: a Bernoulli likelihood "
                "takes protocol A (binary pixels) or B (grey pixels), the densities of grey pixels take C"
            )
        return self

    @model_validator(mode="after")
    def _samples_fit(self) -> "VAEParameters":
        if self.objective == "iwae" and self.importance_samples < 2:
            raise ValueError("objective = 'iwae' needs importance_samples of 2 or more: with 1 it is the ELBO")
        return self

    @model_validator(mode="after")
    def _marginal_is_affordable(self) -> "VAEParameters":
        if self.objective == "marginal" and self.importance_samples < FEWEST_DRAWS:
            raise ValueError(
                f"objective = 'marginal' needs importance_samples of {FEWEST_DRAWS} or more along each axis, not "
                f"{self.importance_samples}: all images of a batch share them"
            )
        if self.objective == "marginal" and self.importance_samples**self.latent_dim > MOST_DRAWS:
            raise ValueError(
                f"objective = 'marginal' decodes importance_samples^latent_dim latents at every step, here "
                f"{self.importance_samples}^{self.latent_dim}, and more than {MOST_DRAWS:,} are too many"
            )
        if self.objective == "marginal" and self.encoder_epochs == 0:
            raise ValueError("objective = 'marginal' leaves the encoder untrained: it needs encoder_epochs")
        return self


class LatentSpaceParameters(Placed):
    """Parameters of `notebooks/latent_space.ipynb`."""

    vae_run: str


class ClassifierParameters(Trained):
    """Parameters of `notebooks/classifier.ipynb`."""

    dataset: Dataset
    split: Annotated[str, _one_of(("train", *HALVES))]
    train_images: Count
    augmentation: Literal["none", "affine"]
    epochs: Positive


class SynthesisParameters(Trained):
    """Parameters of `notebooks/synthesis.ipynb`."""

    judge_run: str
    critic_run: str
    dataset: Dataset
    generator: Literal["conditional", "per_digit", "regions", "around"]
    architecture: Architecture
    latent_dim: Positive
    pixels: Literal["mean", "sample"]
    beta: Annotated[float, Ge(0)]
    task_weight: Annotated[float, Ge(0)]
    spread: Annotated[float, Ge(0)]
    train_images: Count
    images: Count
    epochs: Positive
    updates: Positive
    validation_seeds: Count
    nll_images: Count

    @model_validator(mode="after")
    def _regions_are_of_a_plane(self) -> "SynthesisParameters":
        if self.generator == "regions" and self.latent_dim != 2:
            raise ValueError(f"generator = 'regions' needs latent_dim = 2, not {self.latent_dim}")
        return self

    @model_validator(mode="after")
    def _a_critic_asks_for_classes(self) -> "SynthesisParameters":
        if self.task_weight and self.generator not in ("conditional", "around"):
            raise ValueError(f"task_weight is for the generators conditional and around, not {self.generator!r}")
        return self


class AugmentationParameters(Trained):
    """Parameters of `notebooks/augmentation.ipynb`."""

    generator_run: str
    fraction: Annotated[float, Gt(0), Le(1)]
    arms: Annotated[list[Annotated[str, _one_of(ARMS)]], AfterValidator(_none_twice)]
    budgets: Annotated[list[Annotated[str, _one_of(BUDGETS)]], AfterValidator(_none_twice)]
    updates: Positive


class VAEGANParameters(Trained):
    """Parameters of `notebooks/vaegan.ipynb`."""

    compared_runs: RunFolders
    classifier_run: str
    dataset: Dataset
    train_images: Count
    architecture: Architecture
    latent_dim: Positive
    gamma: Annotated[float, Ge(0)]
    epochs: Positive
    images: Annotated[int, Ge(100)]


class TaskParameters(Placed):
    """Parameters of `notebooks/task.ipynb`."""

    generator_runs: RunFolders


class ExactTrainingParameters(Placed):
    """Parameters of `notebooks/exact_training.ipynb`."""

    vae_runs: RunFolders
    points: Positive
    images: Positive
    seed: Count
