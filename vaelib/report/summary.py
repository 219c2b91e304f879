"""All runs of a scale as the report reads them: records, arrays, tables, and lines that say where a number is from."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from vaelib import data
from vaelib.files import PROJECT_ROOT, RunError, resolve
from vaelib.runs.records import table

SOURCE = 120  # letters of a line: where the names of the runs behind an exhibit are longer, their number stands


@dataclass(frozen=True)
class FinishedRun:
    """A run by its name, such as "vae/resmlp-seed0", with its record and what its folder keeps."""

    name: str
    record: dict[str, Any]
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        """Its parameters."""
        return self.record["config"]

    @functools.cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What it kept for figures."""
        return load_file(self.folder / "arrays.safetensors")

    @property
    def history(self) -> pd.DataFrame:
        """Its training's metrics by epoch."""
        return self.csv("history")

    @property
    def source(self) -> str:
        """The line under a figure of this run alone."""
        return source([self])

    def csv(self, name: str) -> pd.DataFrame:
        """A table that it wrote."""
        return pd.read_csv(self.folder / f"{name}.csv")

    def test_images(self) -> np.ndarray:
        """[count, 784] the pixels that it was evaluated on, as bytes."""
        images = data.load(self.config["dataset"], "test").take(self.config["test_images"])
        return data.to_bytes(data.evaluation_pixels(images.images, self.config["protocol"]))


class Summary:
    """The gathered records of `results/<scale>`, by run name."""

    def __init__(self, results: str | Path):
        self.folder = resolve(results)
        path = self.folder / "summary.json"
        if not path.exists():
            raise RunError(f"{path} is missing: the runs of this scale are not finished. Run `make report` first.")
        self.records: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))

    def run(self, name: str) -> FinishedRun:
        """One run. `name` may also be the folder by which another run knows it."""
        name = run_name(name)
        if name not in self.records:
            raise RunError(f"{self.folder} has no run {name}, which the report needs.")
        return FinishedRun(name, self.records[name], self.folder / name)

    def runs(self, experiment: str) -> list[FinishedRun]:
        """The runs of one experiment, in the order of the scale; `RunError` when there is none."""
        found = [self.run(name) for name in self.records if name.startswith(f"{experiment}/")]
        if not found:
            raise RunError(f"{self.folder} has no run of {experiment}.ipynb, and the report needs one.")
        return found

    def frame(self, experiment: str) -> pd.DataFrame:
        """The same, a row each, with a column `model`: the run's name without its seed."""
        frame = table({run.name: run.record for run in self.runs(experiment)})
        frame.insert(0, "model", [model_name(run) for run in frame.index])
        return frame


def run_name(folder: str) -> str:
    """The name of the run in a folder: "vae/mlp-seed0" of "results/full/vae/mlp-seed0"."""
    return "/".join(Path(folder).parts[-2:])


def model_name(run: str) -> str:
    """The name that a run shares with those of other seeds: "resmlp" of "vae/resmlp-seed0"."""
    return re.sub(r"-seed\d+$", "", run.split("/")[-1])


def source(runs: Sequence[FinishedRun]) -> str:
    """The runs behind an exhibit, or how many where their names fill more than a line; what parameters they share."""
    words = {"protocol": "protocol {}", "seed": "seed {}", "epochs": "epochs {}", "batch_size": "batch {}",
             "learning_rate": "learning rate {}"}  # fmt: skip
    first = runs[0].config
    shared = [
        text.format(first[name])
        for name, text in words.items()
        if all(name in run.config and run.config[name] == first[name] for run in runs)
    ]
    called = ", ".join(run.name for run in runs)
    if len(called) > SOURCE:
        experiments = dict.fromkeys(run.name.split("/")[0] for run in runs)
        called = f"{len(runs)} runs of {' and '.join(experiments)}"
    return "; ".join([called, ", ".join(shared)]).rstrip("; ")


def compared_samples(runs: Sequence[FinishedRun], names: Mapping[str, str]) -> pd.DataFrame:
    """The measures of samples by model (a column) and seed: what the runs of `notebooks/vaegan.ipynb` compared.

    `names` are those of the VAEs among them by their runs.
    """
    everything = pd.concat([run.csv("comparison").assign(run=run.name) for run in runs], ignore_index=True)
    return everything.assign(model=[names.get(f"vae/{name}", model_name(name)) for name in everything.model])


def published_likelihoods() -> pd.DataFrame:
    """The likelihoods in the literature that the report sets beside its own."""
    return pd.read_csv(PROJECT_ROOT / "report" / "published.csv", keep_default_na=False)
