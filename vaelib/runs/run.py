"""A run while a notebook fills it: everything of a record hangs on one object, made from the checked parameters.

In a live session cells run in any order, twice, or after a parameter was changed. So a run knows the models that it
built, their trainings, and the parts that cells added, and it refuses what does not belong together: the training of
another run's model, a part that is missing or older than the weights it describes, parameters changed in the meantime.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from vaelib import classes, data, device
from vaelib.files import PROJECT_ROOT, RunError, atomic, resolve
from vaelib.models.classifier import Classifier
from vaelib.runs.parameters import Parameters
from vaelib.runs.provenance import environment, plain
from vaelib.runs.records import BEGUN, RECORD, notebook_of
from vaelib.synthetic import arms
from vaelib.training import checkpoints, loop
from vaelib.training.loss import Loss, Phase

M = TypeVar("M", bound=nn.Module)


class Part(NamedTuple):
    """What one cell added, the weights that it describes, by the names of the models, and its place in time."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]
    weights: dict[str, str]
    order: int

    def same_as(self, other: "Part") -> bool:
        """Whether both say the same of the same weights; times that a cell took may differ where it made arrays."""
        return (
            self.weights == other.weights
            and self.arrays.keys() == other.arrays.keys()
            and all(np.array_equal(array, other.arrays[name]) for name, array in self.arrays.items())
            and (bool(self.arrays) or self.numbers == other.numbers)
        )


class Arrays(dict[str, np.ndarray]):
    """Arrays by name; one that is not there yet is a `RunError`."""

    def __missing__(self, name: str) -> np.ndarray:
        raise RunError(f"{name} is not computed yet, or older than the weights: run the cells above this one.")


class Run:
    """A run's folder while it is being filled. All files but the trainings are written at the end, the record last.

    A folder without a record is no result; starting a run removes the record of an earlier one. Raises `RunError` when
    the folder is another notebook's or the project's own, or cannot be written. `dataset` is what the figures are
    about where the parameters name none, since the run looks at another one.
    """

    def __init__(self, config: Parameters, dataset: str = ""):
        self.config, self.folder = config, resolve(config.run_dir)
        self.started = datetime.now(UTC)
        self.environment = environment()  # now: the commit may be another one when the run ends
        self._models: dict[str, nn.Module] = {}
        self._trained: dict[str, str] = {}  # a digest of each model's weights after its training
        self._begins: dict[str, dict[str, Tensor]] = {}  # the weights with which each training began
        self._histories: dict[str, pd.DataFrame] = {}
        self._classifiers: dict[str, Classifier] = {}
        self._parts: dict[str, Part] = {}
        self._added: list[str] = []  # the parts in the order in which cells added them
        if not config.run_dir.strip() or self.folder in (PROJECT_ROOT, *PROJECT_ROOT.parents):
            raise RunError(f"run_dir = {config.run_dir!r} would fill the project's own folder: name one for this run.")
        if (owner := notebook_of(self.folder)) not in (None, config.notebook):
            raise RunError(f"run_dir {self.folder} holds a run of {owner}.ipynb: name another folder, or delete it.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / RECORD).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"run_dir {self.folder} cannot be written: {error.strerror}.") from error
        classes.about(dataset or getattr(config, "dataset", classes.USUAL))  # its figures say no "digit" of a shirt
        self._write(BEGUN, json.dumps({"notebook": config.notebook, "config": config.model_dump()}, indent=2))

    # --- models and their trainings ------------------------------------------------------------------------------

    def model(self, kind: type[M], *arguments: Any, name: str = "model", **options: Any) -> M:
        """A fresh model from the run's seed, on its device; it takes the place of an earlier one of this name."""
        self._check_parameters()
        torch.manual_seed(self.config.seed)
        self._models[name] = kind(*arguments, **options).to(self.config.target)
        self._trained.pop(name, None)
        self._begins = {training: begin for training, begin in self._begins.items() if training[0] != name}
        return self._models[name]

    def settings(self, **others: Any) -> loop.Settings:
        """The settings of a training: the parameters of the same names, and `others`."""
        named = {field.name for field in fields(loop.Settings)}
        own = {name: value for name, value in self.config if name in named}
        precision = device.resolve_precision(self.config.precision, self.config.target)
        return loop.Settings(**own | {"precision": precision} | others)

    def train(
        self,
        phases: Loss | Iterable[Phase],
        training: data.Images,
        validation: data.Images | None,
        settings: loop.Settings,
    ) -> pd.DataFrame:
        """Train a model of the run by a loss or through several phases, printing a line an epoch.

        Returns the epochs' metrics, a row each with the column `phase`. Each phase's training stays in the run's
        folder: run again, it is taken from there in a moment, or goes on where it was interrupted, as long as nothing
        has changed that its numbers depend on. A second call begins where the first one did: a cell can be run twice.
        """
        self._check_parameters()
        histories = []
        for phase in [Phase("training", phases, settings.epochs)] if isinstance(phases, Loss) else phases:
            model, name = phase.loss.model, self._name(phase.loss.model)
            self._trained.pop(name, None)
            begin = {key: t.detach().clone() for key, t in model.state_dict().items()}
            model.load_state_dict(self._begins.setdefault((name, phase.name), begin))
            kept_as = self.training(f"{name}-{phase.name}")
            epochs = loop.train(phase.loss, training, validation, replace(settings, epochs=phase.epochs), kept_as)
            histories.append(pd.DataFrame(loop.progress(epochs, phase.epochs, phase.name)).assign(phase=phase.name))
        self._trained[name] = checkpoints.digest(model)
        self._histories[name] = pd.concat(histories)
        return self._histories[name]

    def classifier(
        self, name: str, folder: str, images: data.Images, updates: int, settings: loop.Settings
    ) -> Classifier:
        """The classifier of the finished run in `folder`; where that is empty a fresh one, trained on the images."""
        self._check_parameters()
        if folder:
            path = resolve(folder) / "model.safetensors"
            self._classifiers[name] = checkpoints.load(Classifier, path, images.images.device)
        else:
            self._classifiers[name] = arms.train_classifier(images, updates, settings, self.training(name))
        return self._classifiers[name]

    def training(self, name: str) -> Path:
        """Where the training of this name is kept."""
        return self.folder / "trainings" / f"{name}.safetensors"

    # --- parts of the record -------------------------------------------------------------------------------------

    def add(
        self,
        part: str,
        numbers: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray | Tensor] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
    ) -> None:
        """Add what a cell computed, under the heading it stands under; a second time it takes the first one's place.

        Raises `RunError` for a number that is not finite, such as those of a training that has diverged.
        """
        self._check_parameters()
        plain_numbers = {name: plain(number) for name, number in (numbers or {}).items()}
        if lost := [name for name, n in plain_numbers.items() if isinstance(n, float) and not math.isfinite(n)]:
            raise RunError(
                f"{part}: {', '.join(lost)} came out as no finite number: this is no result. If the loss became nan, "
                "a smaller learning_rate may help, or precision='float32'."
            )
        if untrained := [name for name in self._models if name not in self._trained]:
            raise RunError(f"{part}: {', '.join(untrained)} is not trained yet: run the cell that trains it first.")
        as_arrays = {n: a.detach().cpu().numpy() if isinstance(a, Tensor) else a for n, a in (arrays or {}).items()}
        new = Part(plain_numbers, as_arrays, dict(tables or {}), dict(self._trained), len(self._added))
        old = self._parts.get(part)
        self._added.append(part)
        self._parts[part] = new._replace(order=old.order) if old and new.same_as(old) else new

    @property
    def arrays(self) -> Arrays:
        """The arrays of all parts so far."""
        return Arrays({name: array for part in self._current().values() for name, array in part.arrays.items()})

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers of all parts so far."""
        return {name: number for part in self._current().values() for name, number in part.numbers.items()}

    def finish(self, images: data.Images, parts: Sequence[str]) -> None:
        """Write everything, the record last, and say where; from here on the folder is a result.

        `images` are those that the run is about: the record keeps their checksum. Raises `RunError` unless all `parts`
        are there, describe the weights as they are, and were made in this order, since each may build on those before.
        """
        self._check_parameters()
        current, latest = self._current(), -1
        for part in parts:
            if part not in current or current[part].order < latest:
                raise RunError(
                    f"{part}: missing, or older than what it builds on. Run the cells from that heading on again."
                )
            latest = current[part].order
        for name, model in {**self._models, **self._classifiers}.items():
            checkpoints.save(model, self.folder / f"{name}.safetensors")
        if self._histories:
            history = pd.concat([h.assign(model=name) for name, h in self._histories.items()])
            self._write("history.csv", history.to_csv(index=False))
        for part in current.values():
            for name, table in part.tables.items():
                self._write(f"{name}.csv", table.to_csv())
        with atomic(self.folder / "arrays.safetensors") as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, temporary)
        finished, target = datetime.now(UTC), self.config.target
        precision = device.resolve_precision(getattr(self.config, "precision", "float32"), target)
        record = {
            "config": self.config.model_dump(),
            "metrics": self.numbers,
            "provenance": {
                **self.environment,
                "notebook": self.config.notebook,
                "device": device.vendor_name(target),
                "precision": precision,
                "emulated": device.emulated(precision, target),
                "dataset_checksum": data.checksum(images),
                "started": self.started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "wall_seconds": round((finished - self.started).total_seconds(), 1),
            },
        }
        self._write(RECORD, json.dumps(record, indent=2, allow_nan=False))
        print(f"Written to {self.folder}: the record {RECORD}, and {', '.join(sorted(self._files()))}")

    # --- what belongs together -----------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        if changed := self.config.changed():
            raise RunError(
                f"{', '.join(changed)} changed since this run began: run the notebook again from its parameters on."
            )

    def _current(self) -> dict[str, Part]:
        """The parts that describe the weights as they are."""
        now = {name: checkpoints.digest(self._models[name]) for name in self._trained}
        return {name: part for name, part in self._parts.items() if part.weights == now}

    def _name(self, model: nn.Module) -> str:
        for name, own in self._models.items():
            if own is model:
                return name
        raise RunError("this model belongs to another run: run the cell that builds it, then this one again.")

    def _files(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path.name not in (RECORD, BEGUN)]

    def _write(self, name: str, text: str) -> None:
        with atomic(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
