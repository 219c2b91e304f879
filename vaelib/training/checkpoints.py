"""Trainings and models as safetensors files: a checkpoint knows what it is of, a model how it is built again."""

import contextlib
import dataclasses
import hashlib
import json
import math
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vaelib import data, device, sources
from vaelib.files import PROJECT_ROOT, RunError, atomic
from vaelib.training.loss import Loss

M = TypeVar("M", bound=nn.Module)


def save(model: nn.Module, path: Path) -> None:
    """Write the weights, and with them `model.built_as`: the arguments that the model was built with."""
    _write(path, model.state_dict(), {"built_as": json.dumps(model.built_as)})


def load(kind: type[M], path: Path, target: torch.device) -> M:
    """The model that `save` wrote, built by the class `kind` and ready for evaluation on a device.

    Raises `RunError` when the file is missing, damaged or of another kind of model.
    """
    try:
        tensors, metadata = _read(path)
        model = kind(**json.loads(metadata["built_as"]))
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).strip()
        raise RunError(f"no {kind.__name__} could be read from {path} ({reason}). Run its notebook again.") from None
    return model.to(target).eval()


def identity(loss: Loss, settings: Any, training: data.Images, validation: data.Images | None) -> str:
    """Everything that the numbers of a training depend on, as JSON: two trainings of one identity are the same.

    That is the loss with its parameters, the weights that it begins with and which of them are trained, the settings,
    the images, the accelerator by its name or that there is none, whether bfloat16 is emulated there, the version of
    torch, and the code of the loop, the loss and the model. A class that a notebook's cell defines has no code that
    could be compared: a training with one is the same as no other.
    """
    fields = {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}
    target = training.images.device
    name = "cpu" if target.type == "cpu" else device.vendor_name(target)
    emulated = ", bfloat16 emulated" * device.emulated(settings.precision, target)
    parts = {
        "loss": [type(loss).__name__, {name: _described(value) for name, value in fields.items()}],
        "trained": [name for name, parameter in loss.model.named_parameters() if parameter.requires_grad],
        "settings": dataclasses.asdict(settings),
        "images": [data.checksum(images) for images in (training, validation) if images is not None],
        "device": name + emulated,
        "torch": torch.__version__,
        "code": _code(type(part) for part in (loss, *loss.model.modules())),
    }
    return json.dumps(parts, default=repr)


def digest(model: nn.Module) -> str:
    """Sixteen hexadecimal digits for a model's weights."""
    checksum = hashlib.sha256()
    for tensor in model.state_dict().values():
        checksum.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return checksum.hexdigest()[:16]


class Checkpoint:
    """Everything that an interrupted training needs to end with the same numbers as one never interrupted.

    Of a finished training the record and the best weights remain. What belongs to another identity counts for nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        rng: torch.Generator,
        path: Path | None,
        identity: str,
    ):
        self.model, self.optimiser, self.rng = model, optimiser, rng
        self.path, self.identity = path, identity
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def record(self, metrics: dict[str, float], last: bool) -> None:
        """Add an epoch, keep its weights if they are the best so far, and save the state, after the `last` the rest."""
        self.history.append(metrics)
        if metrics.get("validation_loss", -math.inf) <= min(m.get("validation_loss", -math.inf) for m in self.history):
            self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        if self.path is None:
            return
        tensors = {f"best.{name}": t for name, t in self.best.items()}
        if not last:
            adam = self.optimiser.state_dict()["state"]
            tensors |= {f"model.{name}": t for name, t in self.model.state_dict().items()}
            tensors |= {f"adam.{i}.{name}": t for i, entry in adam.items() for name, t in entry.items()}
            tensors["rng"] = self.rng.get_state()
        _write(self.path, tensors, {"history": json.dumps(self.history), "identity": self.identity})

    def restore(self) -> None:
        """Go back to where the training of this identity was, if there is one."""
        if self.path is None or not self.path.exists():
            return
        with contextlib.suppress(OSError, SafetensorError, KeyError):
            tensors, metadata = _read(self.path)
            if metadata["identity"] != self.identity:
                return
            self.history = json.loads(metadata["history"])
            self.best = _part(tensors, "best.")
            if "rng" in tensors:
                self.rng.set_state(tensors["rng"])
                self.model.load_state_dict(_part(tensors, "model."))
                self._restore_adam(_part(tensors, "adam."))

    def finish(self) -> None:
        """Leave the model with the weights of its best epoch."""
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def _restore_adam(self, tensors: Mapping[str, Tensor]) -> None:
        adam: dict[int, dict[str, Tensor]] = {}
        for name, t in tensors.items():
            index, key = name.split(".", 1)
            adam.setdefault(int(index), {})[key] = t
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": adam})
        for parameter, entry in self.optimiser.state.items():
            moments = {name: t for name, t in entry.items() if t.shape == parameter.shape}
            # The fused step pairs elements by their place in memory, which `channels_last` changes.
            entry |= {name: torch.empty_like(parameter).copy_(t) for name, t in moments.items()}


def _described(value: Any) -> Any:
    """A field of a loss as JSON knows it: of a network, what it is and a digest of its weights."""
    if not isinstance(value, nn.Module):
        return value
    return [str(value), getattr(value, "built_as", None), digest(value)]


def _code(kinds: Iterable[type]) -> dict[str, str]:
    """A digest for each file with the code of the loop and of these classes, and of what that imports here."""
    modules = {kind.__module__ for kind in kinds}
    code = sources.of_modules({"vaelib.training.loop", *modules}, PROJECT_ROOT)
    for module in modules:
        if module.partition(".")[0] not in (sources.PACKAGE, "torch"):
            file = getattr(sys.modules.get(module), "__file__", None)
            code[module] = sources.digest(Path(file)) if file else secrets.token_hex(8)
    return code


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    with atomic(path) as temporary:
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, metadata)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata."""
    with safe_open(path, "pt") as saved:
        return {name: saved.get_tensor(name) for name in saved.keys()}, saved.metadata() or {}  # noqa: SIM118


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
