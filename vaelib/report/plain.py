"""Which runs stand for their architecture when architectures are compared: by their parameters, not by their names."""

import pandas as pd

TWIN = ("architecture", "train_images", "epochs", "batch_size")  # what models share that were trained for as long
VARIATIONS = {"precision": "auto", "kl_warmup_epochs": 0, "importance_samples": 1, "encoder_epochs": 0}  # as by default


def plain_runs(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs whose training is not varied: by the ELBO, under protocol A, with two latents, all else as by default.

    Where an architecture has none that is all as by default, those nearest to it stand for it. Runs that differ in
    their length or their steps (epochs, learning rate, ...) are models of their own: each is ranked under its name.
    `workflow/needs.py` knows the same rule.
    """
    comparable = vaes[(vaes.objective == "elbo") & (vaes.protocol == "A") & (vaes.latent_dim == 2)]
    varied = (comparable[list(VARIATIONS)] != pd.Series(VARIATIONS)).sum(axis="columns")
    return comparable[varied == varied.groupby(comparable.architecture).transform("min")]


def ranking(runs: pd.DataFrame) -> list[str]:
    """The models of these runs, best first by the exact likelihood of validation images, which is a mean over seeds."""
    return list(runs.groupby("model").exact_nll_validation.mean().sort_values().index)
