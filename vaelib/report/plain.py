"""Which runs stand for their architecture when architectures are compared: by their parameters, not by their names."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

TWIN = ("architecture", "train_images", "epochs", "batch_size")  # what models share that were trained for as long
VARIATIONS = {"precision": "auto", "kl_warmup_epochs": 0, "importance_samples": 1, "encoder_epochs": 0}  # as by default


def usual_precision(vaes: pd.DataFrame) -> str:
    """What the runs that can be compared are set to: "auto", or the precision that a scale names for all of them.

    It is the setting that most architectures have. `workflow/needs.py` knows the same rule.
    """
    architectures = _comparable(vaes).groupby("precision").architecture.nunique()
    return max(architectures.index, key=lambda name: (architectures[name], name == "auto"), default="auto")


def in_usual_precision(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs that count as models: one that names another precision is none, only `findings.machine` compares it.

    `vaes` are all runs of a scale, since they tell what is usual.
    """
    return vaes[vaes.precision == usual_precision(vaes)]


def plain_runs(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs whose training is not varied: by the ELBO, under protocol A, with two latents, all else as usual.

    Where an architecture has none that is all as usual, those nearest to it stand for it. Runs that differ in
    their length or their steps (epochs, learning rate, ...) are models of their own: each is ranked under its name.
    `workflow/needs.py` knows the same rule.
    """
    comparable, usual = _comparable(vaes), VARIATIONS | {"precision": usual_precision(vaes)}
    varied = (comparable[list(usual)] != pd.Series(usual)).sum(axis="columns")
    return comparable[varied == varied.groupby(comparable.architecture).transform("min")]


def _comparable(vaes: pd.DataFrame) -> pd.DataFrame:
    return vaes[(vaes.objective == "elbo") & (vaes.protocol == "A") & (vaes.latent_dim == 2)]


def ranking(runs: pd.DataFrame) -> list[str]:
    """The models of these runs, best first by the exact likelihood of validation images, which is a mean over seeds."""
    return list(runs.groupby("model").exact_nll_validation.mean().sort_values().index)


def doubt(lower: Iterable[float], higher: Iterable[float]) -> str:
    """Why two means over seeds may come in this order by chance; nothing where Welch's t test tells them apart.

    Welch, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34 (1947), two-sided at the 5 % level. It needs two seeds of each.
    """
    lower, higher = list(lower), list(higher)
    if min(len(lower), len(higher)) < 2:
        return "one seed each" if len(lower) == len(higher) else "one of the two has one seed"
    apart = np.mean(lower) < np.mean(higher) and ttest_ind(lower, higher, equal_var=False).pvalue < 0.05
    return "" if apart else "Welch's test does not tell them apart"
