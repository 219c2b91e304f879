"""The numbers behind the report's first theory answer: what a decoder is trained by, log p(x) or a bound."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vaelib.report import names
from vaelib.report.plain import TWIN, in_usual_precision, plain_runs, ranking
from vaelib.report.summary import FinishedRun
from vaelib.report.words import counted, with_interval

AS_LONG = list(TWIN)
LENGTH = AS_LONG[1:]  # all but the architecture
AS_LIKE = [*AS_LONG, "protocol", "precision", "kl_warmup_epochs"]  # what else may not differ but an objective


def exact_runs(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs whose decoder was trained on log p(x), under the protocol of those that are compared with them."""
    return in_usual_precision(vaes).query("objective == 'marginal' and protocol == 'A'")


def twins(vaes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of a model trained on log p(x), and those of the same network by the ELBO, trained for as long.

    It is the best such model on validation images. Where the ELBO's are all longer or shorter, it is the best of all,
    beside the best of its network by the ELBO.
    """
    exact, plain = exact_runs(vaes), plain_runs(vaes)
    lengths = set(plain[AS_LONG].itertuples(index=False, name=None))
    paired = exact[[row in lengths for row in exact[AS_LONG].itertuples(index=False, name=None)]]
    exact = paired if len(paired) else exact
    runs = _best(exact)
    plain = plain[plain.architecture == runs.architecture.iloc[0]]
    same = _as_long(plain, runs)
    plain = same if len(same) else plain
    return runs, _best(plain)


def _best(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the best model among these."""
    return runs[runs.model == ranking(runs)[0]]


def _as_long(plain: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Those of the plain runs that share the network and the length of the other model's runs."""
    return plain[(plain[AS_LONG] == runs[AS_LONG].iloc[0]).all(axis="columns")]


def exact_training(vaes: pd.DataFrame) -> dict[str, Any]:
    """A model trained on log p(x), and its twin of the same architecture trained by the ELBO.

    `exact.lengths` says in brackets how long each was trained, where that differs; `exact.beyond` is a sentence on a
    model on log p(x) that is better, but has no twin trained for as long.
    """
    runs, other = twins(vaes)
    run, own, twin = runs.iloc[0], runs.mean(numeric_only=True), other.mean(numeric_only=True)
    best = _best(exact_runs(vaes))
    return {
        "exact": {
            "nll": with_interval(runs.exact_nll),
            "lengths": ""
            if (own[LENGTH] == twin[LENGTH]).all()
            else f" ({_length(run)}, not {_length(other.iloc[0])})",
            "beyond": ""
            if best.model.iloc[0] == run.model
            else f"The best decoder trained so, *{names.network(best.architecture.iloc[0])}*, reaches "
            f"{with_interval(best.exact_nll)} nats in {_length(best.iloc[0])}.",
            "approximation_gap": own.approximation_gap,
            "points": f"{run.importance_samples**run.latent_dim:,}",
            "twin": names.network(run.architecture),
            "twin_nll": with_interval(other.exact_nll),
            "by_elbo": ""
            if other.model.iloc[0] == ranking(plain_runs(vaes))[0] and (own[LENGTH] == twin[LENGTH]).all()
            else f", by the ELBO {with_interval(other.exact_nll)}",
            "price": twin.exact_nll - own.exact_nll,
            "whose": "so the ELBO itself prefers that decoder. Most of the difference is the encoder's price: it must "
            "find all posteriors by one function"
            if own.approximation_gap < (twin.exact_nll - own.exact_nll) / 2
            else "so the Gaussian's shape has a part in the price, beside the encoder",
        }
    }


def fitted(histories: Sequence[pd.DataFrame]) -> str:
    """How an encoder was fitted to a finished decoder, and whether that had come to its end: means over runs.

    It is the end of a sentence; nothing where none was fitted.
    """
    phases = [history[history.phase == "encoder"] for history in histories]
    epochs = len(phases[0])
    if not epochs:
        return ""
    rise = np.mean([own.validation_elbo.diff().iloc[-1] for own in phases]) if epochs > 1 else np.nan
    apart = np.mean([(own.train_elbo - own.validation_elbo).iloc[-1] for own in phases])
    last = "" if np.isnan(rise) else f"the last changed its validation ELBO by {rise:+.1f} nats, and "
    return (
        f"; one is fitted afterwards, for {counted(epochs, 'epoch')} ({last}its ELBO of training images is "
        f"{abs(apart):.1f} nats {'higher' if apart > 0 else 'lower'} than that of validation images)"
    )


def _length(run: pd.Series) -> str:
    return f"{counted(int(run.epochs), 'epoch')} in batches of {run.batch_size:.0f}"


def price_list(vaes: pd.DataFrame) -> dict[str, Any]:
    """What a decoder pays for its training: the network of `exact_training` by other objectives.

    `price.parts` are sentences on what changes against the twin by the ELBO: by other numbers of draws of z, and by q
    that is looked up without an encoder. Of the models trained for as long each is told of the best on validation
    images.
    """
    exact, twin = twins(vaes)
    others = vaes[(vaes[AS_LIKE] == twin[AS_LIKE].iloc[0]).all(axis="columns")]
    nll, draws = twin.exact_nll.mean(), twin.importance_samples.iloc[0]
    parts = [
        f"{number} draws of $z$ instead of {'one' if draws == 1 else draws} change the exact value by "
        f"{_best(runs).exact_nll.mean() - nll:+.1f} nats."
        for number, runs in others[others.objective == "elbo"].groupby("importance_samples")
        if number != draws
    ]
    looked_up = others[(others.objective == "lookup") & (others.importance_samples == draws)]
    if len(looked_up):
        looked_up = _best(looked_up)
        near = (looked_up.gap_exact_nll + looked_up.elbo_lookup).abs().mean()
        parts.append(
            f"Trained with $q$ looked up, the exact value changes by {looked_up.exact_nll.mean() - nll:+.1f} nats, and "
            f"the decoder's ELBO is then {near:.2f} nats from its $\\log p(x)$."
        )
    return {
        "price": {
            "parts": " ".join(parts),
            "iwae": _importance_weighted(vaes),
            "exact_lookup": -(exact.elbo_lookup + exact.gap_exact_nll).mean(),
            "exact_nine": -(exact.elbo_best_of_nine + exact.gap_exact_nll).mean(),
            "exact_encoder": -(exact.gap_elbo + exact.gap_exact_nll).mean(),
            "bias": exact.estimate_bias.mean(),
        }
    }


def _importance_weighted(vaes: pd.DataFrame) -> str:
    """A sentence on the importance-weighted bound with the most samples, beside the ELBO; nothing without both."""
    iwae = in_usual_precision(vaes).query("objective == 'iwae' and protocol == 'A'")
    iwae = iwae[iwae.importance_samples == iwae.importance_samples.max()]
    if iwae.empty:
        return ""
    own = _best(iwae)
    twin = _as_long(plain_runs(vaes), own)
    if twin.empty:
        return ""
    return (
        f" The importance-weighted bound of @eq:iwae is another way: with $K = {own.importance_samples.iloc[0]}$ "
        f"*{names.network(own.architecture.iloc[0])}* reaches {with_interval(own.exact_nll)} nats instead of "
        f"{with_interval(_best(twin).exact_nll)}. Its encoder makes proposals, not posteriors: the ELBO with it is "
        f"{-(own.gap_elbo + own.gap_exact_nll).mean():.1f} nats below $\\log p(x)$."
    )


def brute_force(run: FinishedRun) -> dict[str, Any]:
    """Errors of a grid and of draws of the prior in two and in five dimensions."""
    told = [f"{way}_error_{dimensions}" for way in ("grid", "draws") for dimensions in (2, 5)]
    errors = {name: run.record["metrics"][name] for name in told}
    values = {name: f"{error:.2g}" if error < 10 else f"{error:,.0f}" for name, error in errors.items()}
    return {"brute": {"points": run.config["points"], **values}}
