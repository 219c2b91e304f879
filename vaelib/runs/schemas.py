"""The parameters of each notebook: types, ranges, defaults, and what belongs together."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, model_validator

from vaelib.data import HALVES
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.runs.fields import (
    Architecture,
    Count,
    Dataset,
    Device,
    Measured,
    Placed,
    Positive,
    Precision,
    Rate,
    RunFolders,
    Seed,
    Trained,
    one_of,
    one_or_several,
    some,
)  # fmt: skip
from vaelib.synthetic.arms import ARMS, BUDGETS
from vaelib.synthetic.generators import has_critic

FEWEST_DRAWS = 10  # latents along each axis when log p(x) is the objective: fewer hold no two kinds of digits apart
MOST_DRAWS = 20_000  # latents decoded together when log p(x) is the objective
MOST_POINTS = 2**17  # latents that exact_training decodes together, in float64: 0.8 GB of images

ArmNames = Annotated[list[Annotated[str, one_of(ARMS)]], AfterValidator(some)]


class VAEParameters(Trained):
    """Parameters of `notebooks/vae.ipynb`."""

    notebook: ClassVar[str] = "vae"
    run_dir: str = "results/notebook/vae"
    classifier_run: str = ""
    dataset: Dataset = "MNIST"
    train_images: Count = 0
    test_images: Measured = 0
    architecture: Architecture = "resmlp"
    latent_dim: Positive = 2
    likelihood: Annotated[str, one_of(LIKELIHOODS)] = "bernoulli"
    protocol: Literal["A", "B", "C"] = "A"
    objective: Literal["elbo", "iwae", "lookup", "marginal"] = "elbo"
    importance_samples: Positive = 1
    kl_warmup_epochs: Annotated[float, Ge(0)] = 0.0
    epochs: Positive = 8
    encoder_epochs: Count = 0
    batch_size: Positive = 250
    learning_rate: Rate = 0.002
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"
    gap_images: Positive = 500
    exact_images: Positive = 2000

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
        return self

    @model_validator(mode="after")
    def _does_without_an_encoder(self) -> "VAEParameters":
        if self.objective in ("lookup", "marginal") and self.encoder_epochs == 0:
            raise ValueError(f"objective = {self.objective!r} leaves the encoder untrained: it needs encoder_epochs")
        if self.objective == "lookup" and self.latent_dim != 2:
            raise ValueError(f"objective = 'lookup' needs latent_dim = 2, not {self.latent_dim}: it looks latents up")
        if self.objective in ("lookup", "marginal") and self.kl_warmup_epochs:
            raise ValueError(f"kl_warmup_epochs is for objective = 'elbo' or 'iwae', not for {self.objective!r}")
        return self


class LatentSpaceParameters(Placed):
    """Parameters of `notebooks/latent_space.ipynb`."""

    notebook: ClassVar[str] = "latent_space"
    run_dir: str = "results/notebook/latent_space"
    vae_run: str = "results/notebook/vae"
    device: Device = "auto"


class ClassifierParameters(Trained):
    """Parameters of `notebooks/classifier.ipynb`."""

    notebook: ClassVar[str] = "classifier"
    run_dir: str = "results/notebook/classifier"
    dataset: Dataset = "MNIST"
    split: Annotated[str, one_of(("train", *HALVES))] = "train"
    train_images: Count = 0
    augmentation: Literal["none", "affine"] = "affine"
    epochs: Positive = 4
    batch_size: Positive = 128
    learning_rate: Rate = 0.004
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"


class SynthesisParameters(Trained):
    """Parameters of `notebooks/synthesis.ipynb`."""

    notebook: ClassVar[str] = "synthesis"
    run_dir: str = "results/notebook/synthesis"
    judge_run: str = ""
    critic_run: str = ""
    dataset: Dataset = "MNIST"
    split: Annotated[str, one_of(HALVES)] = "first_half"
    generator: Literal["conditional", "per_digit", "regions", "around", "classified"] = "conditional"
    architecture: Architecture = "resmlp"
    latent_dim: Positive = 2
    pixels: Literal["mean", "sample"] = "mean"
    beta: Annotated[float, Ge(0)] = 1.0
    task_weight: Annotated[float, Ge(0)] = 0.0
    spread: Annotated[float, Ge(0)] = 1.0
    certainty: Annotated[float, Ge(0), Lt(1)] = 0.0
    train_images: Count = 0
    images: Count = 0
    epochs: Positive = 8
    batch_size: Positive = 250
    learning_rate: Rate = 0.004
    updates: Positive = 1000
    nll_images: Count = 1000
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"

    @model_validator(mode="after")
    def _regions_are_of_a_plane(self) -> "SynthesisParameters":
        if self.generator == "regions" and self.latent_dim != 2:
            raise ValueError(f"generator = 'regions' needs latent_dim = 2, not {self.latent_dim}")
        return self

    @model_validator(mode="after")
    def _a_critic_knows_all_digits(self) -> "SynthesisParameters":
        if self.task_weight and self.generator == "per_digit":
            raise ValueError("task_weight is for a VAE of all digits, not for generator = 'per_digit'")
        return self

    @model_validator(mode="after")
    def _certainty_is_the_critics(self) -> "SynthesisParameters":
        if self.certainty and self.generator != "classified":
            raise ValueError(f"certainty is for the generator classified, not {self.generator!r}")
        return self

    @model_validator(mode="after")
    def _spread_is_of_posteriors(self) -> "SynthesisParameters":
        if self.spread != 1 and self.generator != "around":
            raise ValueError(f"spread is for the generator around, not {self.generator!r}")
        return self

    @model_validator(mode="after")
    def _a_critic_knows_no_other_images(self) -> "SynthesisParameters":
        if has_critic(self.generator, self.task_weight) and self.critic_run and self.split == "second_half":
            raise ValueError(
                "critic_run has seen other images of the second half than this generator: without it a critic is "
                "trained here, on the same images"
            )
        return self


class AugmentationParameters(Trained):
    """Parameters of `notebooks/augmentation.ipynb`."""

    notebook: ClassVar[str] = "augmentation"
    run_dir: str = "results/notebook/augmentation"
    generator_run: str = "results/notebook/synthesis"
    fraction: Annotated[float, Gt(0), Le(1)] = 0.2
    arms: ArmNames = ["real", "synthetic", "duplicated", "affine", "further", "synthetic_only"]
    budgets: Annotated[list[Annotated[str, one_of(BUDGETS)]], AfterValidator(some)] = ["updates", "epochs"]
    updates: Annotated[int | list[int], AfterValidator(one_or_several)] = 1000
    batch_size: Positive = 128
    learning_rate: Rate = 0.004
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"


class VAEGANParameters(Trained):
    """Parameters of `notebooks/vaegan.ipynb`."""

    notebook: ClassVar[str] = "vaegan"
    run_dir: str = "results/notebook/vaegan"
    compared_runs: RunFolders = ["results/notebook/vae"]
    classifier_run: str = ""
    dataset: Dataset = "MNIST"
    train_images: Count = 20000
    architecture: Architecture = "conv"
    latent_dim: Positive = 2
    gamma: Annotated[float, Ge(0)] = 1.0
    epochs: Positive = 4
    batch_size: Positive = 250
    learning_rate: Rate = 0.001
    images: Annotated[int, Ge(100)] = 10000
    seed: Seed = 0
    precision: Precision = "auto"
    device: Device = "auto"


class TaskParameters(Placed):
    """Parameters of `notebooks/task.ipynb`."""

    notebook: ClassVar[str] = "task"
    run_dir: str = "results/notebook/task"
    generator_runs: RunFolders = ["results/notebook/synthesis", "results/notebook/synthesis-task"]
    device: Device = "auto"


class ExactTrainingParameters(Placed):
    """Parameters of `notebooks/exact_training.ipynb`."""

    notebook: ClassVar[str] = "exact_training"
    run_dir: str = "results/notebook/exact_training"
    vae_runs: RunFolders = ["results/notebook/vae"]
    points: Annotated[int, Gt(0), Le(MOST_POINTS)] = 4096
    images: Positive = 300
    seed: Seed = 0
    device: Device = "auto"
