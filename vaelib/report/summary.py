"""All runs of a scale as the report reads them: records, arrays, figures, and lines that say where a number is from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from vaelib import data
from vaelib.plots import figures
from vaelib.measure.metrics import mean_interval
from vaelib.runs.records import RunError, resolve, table


class Summary:
    """The gathered records of `results/<scale>`, by run name such as "vae/resmlp-seed0"."""

    def __init__(self, results: str | Path):
        self.folder = resolve(results)
        path = self.folder / "summary.json"
        if not path.exists():
            raise RunError(f"{path} is missing: the runs of this scale are not finished. Run `make report` first.")
        self.records: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))

    def frame(self, experiment: str) -> pd.DataFrame:
        """The runs of one experiment, a row each, with a column `model`: the run's name without its seed."""
        chosen = {name: r for name, r in self.records.items() if name.startswith(f"{experiment}/")}
        frame = table(chosen)
        frame.insert(0, "model", [model_name(run) for run in frame.index])
        return frame

    def arrays(self, run: str) -> dict[str, np.ndarray]:
        """What a run kept for the report."""
        return load_file(self.folder / run / "arrays.safetensors")

    def history(self, run: str) -> pd.DataFrame:
        """A run's metrics by epoch."""
        return self.csv(run, "history")

    def csv(self, run: str, name: str) -> pd.DataFrame:
        """A table that a run wrote."""
        return pd.read_csv(self.folder / run / f"{name}.csv")

    def figure(self, run: str, name: str) -> dict[str, Any]:
        """A figure that a run drew, and the line of its source: arguments of `exhibits.figure`."""
        return {"image": self.folder / run / "figures" / f"{name}.png", "source": self.source([run])}

    def test_images(self, run: str) -> np.ndarray:
        """[count, 784] the pixels that a run was evaluated on, as bytes."""
        config = self.records[run]["config"]
        images = data.load(config["dataset"], "test").take(config["test_images"])
        return figures.to_bytes(data.evaluation_pixels(images.images, config["protocol"]))

    def source(self, runs: Sequence[str]) -> str:
        """The runs behind an exhibit, with the parameters and seeds they share."""
        configs = [self.records[run]["config"] for run in runs]
        words = {"protocol": "protocol {}", "seed": "seed {}", "epochs": "epochs {}", "batch_size": "batch {}",
                 "learning_rate": "learning rate {}"}  # fmt: skip
        shared = [
            text.format(configs[0][name])
            for name, text in words.items()
            if all(name in config and config[name] == configs[0][name] for config in configs)
        ]
        return "; ".join([", ".join(runs), ", ".join(shared)]).rstrip("; ")


def model_name(run: str) -> str:
    """The name that a run shares with those of other seeds: "resmlp" of "vae/resmlp-seed0"."""
    return run.split("/")[-1].rsplit("-seed", 1)[0]


def with_interval(values: Iterable[float], digits: int = 2) -> str:
    """Mean and half-width of the 95 % interval over seeds as text; the value alone if there is one seed."""
    return as_text(*mean_interval(values), digits)


def as_text(mean: float, half: float, digits: int = 2) -> str:
    """A mean and the half-width of its interval, which is left out where there is none (NaN)."""
    return f"{mean:.{digits}f}" if np.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"
