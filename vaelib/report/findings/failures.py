"""What goes wrong with the best model: worst images, confusions, holes, shares of the digits."""

from typing import Any

import numpy as np
import pandas as pd

from vaelib.data import CLASSES
from vaelib.measure.evaluation import CLASSIFIED_SAMPLES, LABELS


def failures(metrics: pd.Series, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The failures of one run from its metrics and arrays, in per cent and nats."""
    amortisation = np.sort(arrays["amortisation_gap"])[::-1]
    wrong = arrays["confusions"] * (1 - np.eye(CLASSES))
    pairs = [np.unravel_index(i, wrong.shape) for i in wrong.ravel().argsort()[::-1][:3]]
    shares = arrays["class_shares"]
    return {
        "failure": {
            "lowest": arrays["log_px"].min(),
            "largest_gap": (arrays["approximation_gap"] + arrays["amortisation_gap"]).max(),
            "top_share": 100 * amortisation[: max(1, len(amortisation) // 10)].sum() / amortisation.sum(),
        },
        "confusions": ", ".join(f"{100 * wrong[i, j]:.0f} % of the {i}s (for {j})" for i, j in pairs),
        "share": {
            "most": int(shares.argmax()),
            "most_percent": 100 * shares.max(),
            "fewest": int(shares.argmin()),
            "fewest_percent": 100 * shares.min(),
            "samples": CLASSIFIED_SAMPLES,
            "uncertainty": 196 * (0.1 * 0.9 / CLASSIFIED_SAMPLES) ** 0.5,  # the 95 % interval of a tenth
        },
        "knn": {str(n): 100 * metrics[f"knn_accuracy_{n}"] for n in LABELS},
    }
