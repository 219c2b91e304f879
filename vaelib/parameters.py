"""The parameters of each notebook: types, ranges, and what belongs together."""

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from pydantic import AfterValidator, model_validator

from vaelib.data import DATASETS
from vaelib.likelihoods import LIKELIHOODS
from vaelib.networks import ARCHITECTURES
from vaelib.objectives import OBJECTIVES
from vaelib.runs import Parameters


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
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"this machine has no such device ({reason}); auto takes the best there is") from None
    return name


Positive = Annotated[int, Gt(0)]
Count = Annotated[int, Ge(0)]  # 0 stands for all
Device = Annotated[str, AfterValidator(_check_device)]


class VAEParameters(Parameters):
    """Parameters of `notebooks/vae.ipynb`."""

    run_dir: str
    dataset: Annotated[str, _one_of(DATASETS)]
    train_images: Count
    test_images: Count
    architecture: Annotated[str, _one_of(ARCHITECTURES)]
    latent_dim: Positive
    likelihood: Annotated[str, _one_of(LIKELIHOODS)]
    protocol: Literal["A", "B", "C"]
    objective: Annotated[str, _one_of(OBJECTIVES)]
    importance_samples: Positive
    kl_warmup_epochs: Annotated[float, Ge(0)]
    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Gt(0)]
    seed: Count
    precision: Literal["auto", "float32", "bfloat16"]
    device: Device
    gap_images: Positive

    @model_validator(mode="after")
    def _pixels_fit(self) -> "VAEParameters":
        if (self.likelihood == "bernoulli") != (self.protocol in "AB"):
            raise ValueError(
                f"protocol = {self.protocol!r} does not fit likelihood = {self.likelihood!r}: a Bernoulli likelihood "
                "takes protocol A (binary pixels) or B (grey pixels), the densities of grey pixels take C"
            )
        return self


class LatentSpaceParameters(Parameters):
    """Parameters of `notebooks/latent_space.ipynb`."""

    run_dir: str
    vae_run: str
    device: Device
