"""Trained models as safetensors files, which say how to build the model again."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from vaelib.runs import RunError, atomic

M = TypeVar("M", bound=nn.Module)


def save(model: nn.Module, path: Path) -> None:
    """Write the weights, and with them `model.built_as`: the arguments that the model was built with."""
    with atomic(path) as temporary:
        tensors = {name: t.contiguous() for name, t in model.state_dict().items()}
        save_file(tensors, temporary, {"built_as": json.dumps(model.built_as)})


def load(kind: type[M], path: Path, device: torch.device) -> M:
    """The model that `save` wrote, built by the class `kind` and ready for evaluation.

    Raises `RunError` when the file is missing, damaged or of another kind of model.
    """
    try:
        with safe_open(path, "pt") as saved:
            built_as = json.loads(saved.metadata()["built_as"])
            weights = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a dict)
        model = kind(**built_as)
        model.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"no {kind.__name__} could be read from {path} ({error}). Run its notebook again.") from None
    return model.to(device).eval()
