"""What the report's charts are drawn from: means over seeds, bounds, errors by dimension, images in order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vaelib.measure.evaluation import IMPORTANCE_SAMPLES


def gaps_by_model(vaes: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Means over seeds of models, with the exact likelihood of those images alone whose gap was split."""
    means = vaes[vaes.model.isin(models)].groupby("model").mean(numeric_only=True).loc[list(models)]
    return means.assign(exact_nll=means.gap_exact_nll)


def bounds(vaes: pd.DataFrame) -> tuple[Sequence[int], dict[str, list[float]], dict[str, float]]:
    """Numbers of importance samples, and of each run, by its model, the bounds with them and the exact log p(x)."""
    by_model = vaes.set_index("model")
    by_samples = by_model[[f"iwae_{k}_bound" for k in IMPORTANCE_SAMPLES]]
    return IMPORTANCE_SAMPLES, by_samples.T.to_dict("list"), (-by_model.gap_exact_nll).to_dict()


def errors_by_dimension(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Errors of log p(x) by brute force: latent dimensions as rows, the ways as columns."""
    names = {"grid": "grid_error_", "draws of the prior": "draws_error_"}
    return pd.DataFrame(
        {
            way: {int(name.removeprefix(start)): e for name, e in metrics.items() if name.startswith(start)}
            for way, start in names.items()
        }
    )


def extreme_images(images: np.ndarray, arrays: Mapping[str, np.ndarray], count: int = 30) -> dict[str, np.ndarray]:
    """The images of lowest exact likelihood, and of those whose gap was split the ones with the largest."""
    gap = arrays["approximation_gap"] + arrays["amortisation_gap"]
    return {
        "lowest exact likelihood": images[arrays["log_px"].argsort()[:count]],
        "largest gap": images[gap.argsort()[::-1][:count]],
    }
