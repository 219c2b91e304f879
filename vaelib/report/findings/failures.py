"""What goes wrong with the best model: worst images, confusions, holes, shares of the digits."""

from typing import Any

import numpy as np
import pandas as pd

from vaelib.classes import USUAL
from vaelib.data import CLASSES
from vaelib.measure.evaluation import CLASSIFIED_SAMPLES, LABELS
from vaelib.report.words import listed

MISSED = 0.1  # of a gap: where the best Gaussian leaves less, it is the encoder that misses the image
PUBLISHED = "Published for a Gaussian latent are 72.6, 80.8 and 81.7 % [@davidson2018, table 2]."


def failures(metrics: pd.Series, arrays: dict[str, np.ndarray], pixels: np.ndarray) -> dict[str, Any]:
    """The failures of one run from its metrics, its arrays, and the pixels of its test images, in per cent and nats."""
    nll = -arrays["log_px"]
    ink = pixels[: len(nll)].mean(1)
    unlikely = nll.argsort()[-max(1, len(nll) // 100) :]
    worst = arrays["amortisation_gap"].argsort()[-max(1, len(arrays["amortisation_gap"]) // 10) :]
    amortisation, approximation = (arrays[f"{name}_gap"][worst].sum() for name in ("amortisation", "approximation"))
    wrong = arrays["confusions"] * (1 - np.eye(CLASSES))
    pairs = [np.unravel_index(i, wrong.shape) for i in wrong.ravel().argsort()[::-1][:3]]
    shares, own = arrays["class_shares"], arrays["class_shares_training"]
    return {
        "failure": {
            "highest": nll.max(),
            "ink": ink[unlikely].mean() / ink.mean(),
            "ink_correlation": np.corrcoef(ink, nll)[0, 1],
            "misread": 100 * metrics.misread_reconstructions,
            "unsure": 100 * metrics.unsure_samples,
            "largest_gap": (arrays["approximation_gap"] + arrays["amortisation_gap"]).max(),
            "top_share": 100 * amortisation / arrays["amortisation_gap"].sum(),
            "missed": " The plane holds a good latent for them, which the encoder misses."
            if approximation < MISSED * (amortisation + approximation)
            else "",
            "pairs": listed(f"{i} with {j}" for i, j in dict.fromkeys((min(pair), max(pair)) for pair in pairs)),
        },
        "confusions": ", ".join(f"{j} for {100 * wrong[i, j]:.0f} % of the {i}s" for i, j in pairs),
        "share": {
            "most": int(shares.argmax()),
            "most_percent": 100 * shares.max(),
            "fewest": int(shares.argmin()),
            "fewest_percent": 100 * shares.min(),
            "samples": CLASSIFIED_SAMPLES,
            "real_fewest": f"{100 * own.min():.1f} % ({own.argmin()})",
            "real_most": f"{100 * own.max():.1f} % ({own.argmax()})",
        },
        "knn": _neighbours(metrics),
    }


def _neighbours(metrics: pd.Series) -> dict[str, Any]:
    """Accuracies of the nearest neighbours with those numbers of labels for which there were training images."""
    known = {n: 100 * share for n in LABELS if pd.notna(share := metrics.get(f"knn_accuracy_{n}"))}
    return {
        "labels": listed(f"{n:,}" for n in known) if known else "no",
        "accuracies": listed(f"{accuracy:.1f}" for accuracy in known.values()) if known else "–",
        "published": PUBLISHED if metrics.dataset == USUAL and len(known) == len(LABELS) else "",
    }
