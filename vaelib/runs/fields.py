"""What the notebooks' parameters have in common: types with their ranges, and the bases of the schemas."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from vaelib import archives, device
from vaelib.files import PROJECT_ROOT
from vaelib.models.networks import ARCHITECTURES
from vaelib.runs.parameters import Parameters
from vaelib.synthetic.arms import lengths


def one_of(names: Iterable[str]) -> AfterValidator:
    """Accepts only these names, and says which they are."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"it must be one of {', '.join(names)}")
        return value

    return AfterValidator(check)


def _check_device(name: str) -> str:
    try:
        device = torch.device("cpu" if name == "auto" else name)
        torch.zeros(1, device=device, dtype=torch.float64).item()  # which one that holds no data cannot say
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"it cannot be used here ({reason}); auto takes the best there is") from None
    return name


def _check_dataset(name: str) -> str:
    if name not in (names := archives.names(PROJECT_ROOT / "data")):
        raise ValueError(f"it must be one of {', '.join(names)}, or a folder data/NAME/raw with four IDX files")
    return name


def none_twice(items: list[Any]) -> list[Any]:
    """Refuses a list that has something twice."""
    if len(set(items)) < len(items):
        raise ValueError("it must name none twice")
    return items


def some(items: list[Any]) -> list[Any]:
    """Refuses an empty list, and one that has something twice."""
    if not items:
        raise ValueError("it must name at least one")
    return none_twice(items)


def all_or_several(count: int) -> int:
    """Refuses a single image: a standard error needs two."""
    if count == 1:
        raise ValueError("it must be 0 for all, or 2 or more")
    return count


def one_or_several(updates: int | list[int]) -> int | list[int]:
    """Accepts a number above 0, or several of them."""
    numbers = lengths(updates)
    if not numbers or numbers[0] < 1 or len(set(numbers)) < len(numbers):
        raise ValueError("it must be a number above 0, or a list of such numbers, none twice")
    return updates


Positive = Annotated[int, Gt(0)]
Count = Annotated[int, Ge(0)]  # 0 stands for all
Measured = Annotated[Count, AfterValidator(all_or_several)]
Seed = Annotated[int, Ge(0), Lt(2**32)]
Rate = Annotated[float, Gt(0)]
Precision = Literal["auto", "float32", "tf32", "bfloat16"]
Dataset = Annotated[str, AfterValidator(_check_dataset)]
Architecture = Annotated[str, one_of(ARCHITECTURES)]
Device = Annotated[str, AfterValidator(_check_device)]
RunFolders = Annotated[list[str], AfterValidator(some)]


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
    seed: Seed
    precision: Precision
