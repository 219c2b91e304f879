"""Which architecture is best and by how much, and whether the numbers hold together."""

import math
from typing import Any

import numpy as np
import pandas as pd

from vaelib.measure.intervals import mean_interval
from vaelib.report.plain import ranking
from vaelib.report.tables import importance_weighted
from vaelib.report.words import with_interval

PUBLISHED = "mlp"  # the architecture with the layers of the published N-VAE (Davidson et al. 2018)


def comparison(plain: pd.DataFrame) -> dict[str, Any]:
    """The best, the second and the last of the plain runs' models: likelihoods, gaps and the parts of the ELBO."""
    order, means = ranking(plain), plain.groupby("model").mean(numeric_only=True)
    means["gap"] = -means.elbo - means.exact_nll
    means["amortisation_share"] = 100 * means.amortisation_gap / (means.approximation_gap + means.amortisation_gap)
    best, second, last = order[0], order[1], order[-1]
    columns = ["gap", "approximation_gap", "amortisation_gap", "amortisation_share", "kl", "reconstruction"]
    nll = means.exact_nll
    return {
        "best": {"model": best, **_likelihoods(plain, best), **means.loc[best, columns]},
        "second": {"model": second, "behind": nll[second] - nll[best], "caution": _caution(plain, best, second)},
        "worst": {"model": last, "behind": nll[last] - nll[best], **means.loc[last, columns]},
        "one_in": f"{math.exp(means.kl[best]):,.0f}",
        "published": _published(plain[plain.architecture == PUBLISHED]),
    }


def curves(history: pd.DataFrame) -> dict[str, Any]:
    """What the validation ELBO gained over the last fifth of the epochs: whether the training had come to its end."""
    elbo = history[history.phase == "training"].validation_elbo.to_numpy()
    return {"curves": {"last": f"{elbo[-1] - elbo[-1 - max(1, len(elbo) // 5)]:.2f}" if len(elbo) > 1 else "0"}}


def checks(vaes: pd.DataFrame, run: str) -> dict[str, Any]:
    """The quadrature's errors over all runs, and the identities between the protocols in the one that is shown."""
    shown = vaes.loc[run]
    return {
        "quadrature": {"error": vaes.exact_nll_error.max(), "worst": vaes.exact_nll_worst_error.max()},
        "entropy": shown.pixel_entropy,
        "identity": {
            "difference": shown.identity_elbo_difference,
            "error": shown.identity_elbo_standard_error,
            "smallest": vaes.identity_smallest_excess.min(),
            "runs": int(vaes.identity_smallest_excess.count()),
            "excess": shown.identity_grey_nll - shown.identity_dynamic_nll,
        },
    }


def _likelihoods(vaes: pd.DataFrame, model: str) -> dict[str, str]:
    runs = vaes[vaes.model == model]
    return {"nll": with_interval(runs.exact_nll), "bound": with_interval(importance_weighted(runs))}


def _published(runs: pd.DataFrame) -> dict[str, str]:
    """What to say of the best of these runs' models, whose layers were published: in brackets and as a sentence."""
    if runs.empty:
        return {"here": "", "sentence": ""}
    model = ranking(runs)[0]
    nll, bound = _likelihoods(runs, model).values()
    return {
        "here": f" (which here reaches {nll} exactly, {bound} by the bound)",
        "sentence": f"Like for like, `{model}` is the published N-VAE: {bound} against 135.73 ± 0.83, which was "
        "trained for longer and with a KL warm-up.",
    }


def _caution(vaes: pd.DataFrame, best: str, second: str) -> str:
    """What to say of a lead that is not larger than the 95 % interval over seeds of either model."""
    first, other = (mean_interval(vaes[vaes.model == model].exact_nll) for model in (best, second))
    apart = other[0] - first[0] > np.nanmax([0.0, first[1], other[1]])  # one seed has no interval
    return "" if apart else " (less than the 95 % interval over seeds, so not for certain)"
