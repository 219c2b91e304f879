"""Which model is best and by how much, and whether the numbers hold together."""

from typing import Any

import pandas as pd

from vaelib.classes import USUAL
from vaelib.report.plain import doubt, ranking
from vaelib.report.tables import importance_weighted
from vaelib.report.words import listed, with_interval

FEW, MOST = 10, 50  # per cent of the gap: a part of it that is small, and one that is most of it
PUBLISHED = "mlp"  # the architecture with the layers of the published N-VAE (Davidson et al. 2018)


def comparison(plain: pd.DataFrame) -> dict[str, Any]:
    """The best of the plain runs' models: its likelihood, lead and gaps; and what to say of the published layers."""
    order = ranking(plain)
    runs = plain[plain.model == order[0]]
    gaps = runs[["approximation_gap", "amortisation_gap"]].mean()
    return {
        "best": {
            "model": order[0],
            "nll": with_interval(runs.exact_nll),
            "lead": _lead(plain, order),
            "caution": ", though not for certain" if _doubt(plain, *order[:2]) else "",
            "gap": (-runs.elbo - runs.exact_nll).mean(),
            **gaps,
            **_blamed(100 * gaps.approximation_gap / gaps.sum()),
        },
        "published": {"sentence": _published(plain[plain.architecture == PUBLISHED])},
    }


def _blamed(shape: float) -> dict[str, str]:
    """What the gap comes from, if the Gaussian's shape has so many per cent of it: behind a colon, and a comma."""
    if shape < FEW:
        return {
            "whose": "a Gaussian is good enough, but the encoder does not find the best one",
            "why": "nearly all of it because the encoder misses the best Gaussian",
        }
    if shape < MOST:
        return {
            "whose": "the encoder costs more than the Gaussian's shape",
            "why": "most of it because the encoder misses the best Gaussian",
        }
    return {
        "whose": "the Gaussian's shape costs as much as the encoder, or more",
        "why": "most of it because no Gaussian fits the posteriors",
    }


def training(plain: pd.DataFrame) -> dict[str, Any]:
    """Batch sizes, epochs and learning rates of the models that are compared."""

    def span(values: pd.Series) -> str:
        numbers = sorted(set(values))
        return f"{numbers[0]:g}" if len(numbers) == 1 else f"{numbers[0]:g} to {numbers[-1]:g}"

    epochs = span(plain.epochs)
    return {
        "training": {
            "batch": span(plain.batch_size),
            "epochs": f"{epochs} epoch{'' if epochs == '1' else 's'}",
            "rates": _rates(plain),
        }
    }


def _rates(plain: pd.DataFrame) -> str:
    """The learning rates and whose they are; the models of the commonest one are "the others"."""
    models = plain.groupby("learning_rate").model.unique().sort_values(key=lambda group: group.map(len))
    *own, commonest = models.index
    named = [f"{rate:g} ({listed(f'*{model}*' for model in models[rate])})" for rate in own]
    return f"rates of {listed([*named, f'{commonest:g} (the others)'])}" if own else f"a rate of {commonest:g}"


def curves(history: pd.DataFrame, model: str) -> dict[str, Any]:
    """What the validation ELBO gained in the end, as a sentence: whether the training had come to its end."""
    elbo = history[history.phase == "training"].validation_elbo.to_numpy()
    if len(elbo) < 2:
        return {"curves": {"last": ""}}
    last = max(1, len(elbo) // 5)
    period = "the last epoch" if last == 1 else f"the last {last} epochs"
    change = elbo[-1] - elbo[-1 - last]
    return {"curves": {"last": f" In {period} the validation ELBO of *{model}* changed by {change:+.2f} nats."}}


def bound(shown: pd.DataFrame) -> dict[str, Any]:
    """By how many nats the importance-weighted estimate lies below the exact log p(x) of the same images, by model.

    Below 0 it lies above, and `below.chance` says so: only its expectation is a bound.
    """
    below = shown.iwae_nll - shown.gap_exact_nll
    chance = "; a negative number is chance" if below.min() < 0 else ""
    return {"below": {"least": below.min(), "most": below.max(), "chance": chance}}


def checks(vaes: pd.DataFrame, run: str) -> dict[str, Any]:
    """The quadrature's errors over all runs, and the identities between the protocols in the one that is shown.

    Densities of grey values are far narrower than Bernoulli pixels: `quadrature.densities` is a sentence on them.
    """
    shown, dense = vaes.loc[run], vaes.protocol == "C"
    worst = vaes.exact_nll_worst_error
    return {
        "quadrature": {
            "error": vaes.exact_nll_error[~dense].max(),
            "worst": worst[~dense].max(),
            "densities": f" Under protocol C these are {vaes.exact_nll_error[dense].max():.4f} and "
            f"{worst[dense].max():.3f}."
            if dense.any()
            else "",
        },
        "entropy": shown.pixel_entropy,
        "identity": {
            "difference": shown.identity_elbo_difference,
            "error": shown.identity_elbo_standard_error,
            "smallest": vaes.identity_smallest_excess.min(),
            "runs": int(vaes.identity_smallest_excess.count()),
        },
    }


def _published(runs: pd.DataFrame) -> str:
    """What to say of the best of these runs' models, whose layers were published, as sentences."""
    if runs.empty or runs.dataset.iloc[0] != USUAL:
        return ""
    model = ranking(runs)[0]
    return (
        f"*{model}* has the layers of the published N-VAE: importance-weighted, "
        f"{with_interval(importance_weighted(runs[runs.model == model]))} nats against 135.73 ± 0.83. "
        "(That one was trained for longer, in smaller batches, and with a KL warm-up.)"
    )


def _lead(vaes: pd.DataFrame, order: list[str]) -> str:
    """How far before the second of these models the first is on test images, and before the last if that is another.

    The order is that of validation images, so on test images it may also be behind.
    """
    best, second, *others = order
    nll = vaes.groupby("model").exact_nll.mean()

    def ahead(model: str, unit: str = "") -> str:
        lead = nll[model] - nll[best]
        return f"{abs(lead):.1f}{unit} {'before' if lead >= 0 else 'behind'} *{model}*"

    lead = f"{ahead(second, ' nats')}{_caution(vaes, best, second)}"
    return f"{lead} and {ahead(others[-1])}" if others else lead


def _caution(vaes: pd.DataFrame, best: str, second: str) -> str:
    """What to say in brackets of a lead that may be chance."""
    why = _doubt(vaes, best, second)
    return f" ({why}, so not for certain)" if why else ""


def _doubt(vaes: pd.DataFrame, best: str, second: str) -> str:
    """Why the first of these models may come before the second by chance."""
    return doubt(*(vaes[vaes.model == model].exact_nll for model in (best, second)))
