"""Names that a reader understands, made from a run's parameters; what a scale calls a run does not count."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

KINDS = {
    "classified": "samples, labelled by a classifier",
    "regions": "samples, labelled by their region",
    "conditional": "one VAE that is told the label",
    "per_digit": "one VAE for each digit",
    "around": "draws around real images",
}


def generator(config: Mapping[str, Any] | pd.Series) -> str:
    """A generator of labelled images: how it comes to a label, its latent dimensions, and what is unusual about it."""
    parts = [KINDS[config["generator"]], f"{config['latent_dim']}-D"]
    if config["certainty"]:
        parts.append(f"certainty ≥ {config['certainty']:g}")
    if config["beta"] != 1:
        parts.append(f"β = {config['beta']:g}")
    if config["task_weight"]:
        parts.append(f"λ = {config['task_weight']:g}")
    if config["pixels"] == "sample":
        parts.append("pixels drawn")
    if config["split"] == "second_half":
        parts.append("closed set")
    return ", ".join(parts)
