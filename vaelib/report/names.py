"""Names that a reader understands, made from a run's parameters; what a scale calls a run does not count."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vaelib.models.networks import ARCHITECTURES

KINDS = {
    "classified": "samples, labelled by a classifier",
    "regions": "samples, labelled by their region",
    "conditional": "one VAE that is told the label",
    "per_digit": "one VAE for each digit",
    "around": "draws around real images",
}
DENSITIES = {"gaussian": "Gaussian", "continuous_bernoulli": "continuous Bernoulli", "bernoulli": "Bernoulli"}
OBJECTIVES = {"iwae": "IWAE, K = {}", "marginal": "by log p(x)", "lookup": "q looked up"}


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


def other(config: Mapping[str, Any] | pd.Series) -> str:
    """What is trained where it is no plain VAE: a generator, a VAE-GAN's network, a classifier by its images."""
    if "generator" in config:
        return generator(config)
    if "gamma" in config:
        return network(config["architecture"])
    if "arms" in config:
        return "every arm"
    split = config.get("split", "train")
    on = "on all images" if split == "train" else f"on the {split.replace('_', ' ')}"
    precision = config.get("precision", "auto")
    return on + ("" if precision == "auto" else f", {precision}")


def network(architecture: str) -> str:
    """The title of a network, or where it has none its name."""
    known = ARCHITECTURES.get(architecture)
    return known.title if known and known.title else architecture


def vaes(frame: pd.DataFrame) -> pd.Series:
    """Names of VAEs by their runs: the network, and what is unusual about its training; runs of a model share one.

    Where two models would have the same name, what the scale calls them stands behind it.
    """
    called = pd.Series({run: vae(row) for run, row in frame.iterrows()}, name="model")
    models = frame.model.groupby(called).transform("nunique")
    return called.where(models == 1, called + " (" + frame.model + ")")


def vae(run: pd.Series) -> str:
    """A VAE by its parameters: the network, and what is unusual about its training."""
    parts = [network(run.architecture), OBJECTIVES.get(run.objective, "").format(run.importance_samples)]
    if run.objective == "elbo" and run.importance_samples > 1:
        parts.append(f"{run.importance_samples} draws")
    if run.latent_dim != 2:
        parts.append(f"{run.latent_dim}-D")
    if run.protocol != "A":
        parts.append("grey pixels" if run.protocol == "B" else f"{DENSITIES[run.likelihood]} pixels")
    if run.kl_warmup_epochs:
        parts.append("KL warm-up")
    if run.precision != "auto":
        parts.append(run.precision)
    return ", ".join(part for part in parts if part)
