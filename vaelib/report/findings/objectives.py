"""The numbers behind the report's first theory answer: what a decoder is trained by, log p(x) or a bound."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vaelib.report import names
from vaelib.report.plain import TWIN, in_usual_precision, plain_runs, ranking
from vaelib.report.summary import FinishedRun
from vaelib.report.words import counted, with_interval
from vaelib.training.lookup import LookupLoss

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
    model on log p(x) that is better, but has no twin trained for as long. `exact.whose` says in sentences what the
    difference is not and what it is the price of, `exact.advice` what follows, as far as the runs show it.
    """
    runs, other = twins(vaes)
    run, own, twin = runs.iloc[0], runs.mean(numeric_only=True), other.mean(numeric_only=True)
    price = twin.exact_nll - own.exact_nll
    encoders = bool(own.approximation_gap < price / 2) and _is_the_encoders(price, vaes)
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
            "points": f"{run.importance_samples**run.latent_dim:,}",
            "twin": names.network(run.architecture),
            "twin_nll": with_interval(other.exact_nll),
            "by_elbo": ""
            if other.model.iloc[0] == ranking(plain_runs(vaes))[0] and (own[LENGTH] == twin[LENGTH]).all()
            else f", by the ELBO {with_interval(other.exact_nll)}",
            "price": price,
            "whose": _whose(price, own.approximation_gap, encoders),
            "advice": " Its price lies in the encoder. Where the latents can be searched, as in two dimensions, do "
            "without one."
            if encoders
            else "",
        }
    }


def _whose(price: float, approximation_gap: float, encoders: bool) -> str:
    """What the difference between the two objectives is not, and what it is the price of, as sentences.

    It is not the bound's where the decoder trained on log p(x) would have the better ELBO with the best Gaussians.
    """
    if price <= 0:
        return "Here the exact objective brought nothing."
    gap = (
        "With the best Gaussian for each image the ELBO of the decoder trained on $\\log p(x)$ is within "
        f"{approximation_gap:.2f} nats of its $\\log p(x)$"
    )
    if approximation_gap >= price / 2:
        return f"{gap}, so the Gaussian's shape may have a part in it."
    encoder = " Most of the difference is the encoder's price: it must find all posteriors by one function."
    return (
        f"That is not the price of the bound. {gap}, so the ELBO itself prefers that decoder."
        f"{encoder if encoders else ''}"
    )


def _is_the_encoders(price: float, vaes: pd.DataFrame) -> bool:
    """Whether most of a price above 0 goes where q is looked up, without an encoder but by the same bound."""
    looked_up = _looked_up(vaes)
    if price <= 0 or looked_up.empty:
        return False
    _, twin = twins(vaes)
    return bool(twin.exact_nll.mean() - looked_up.exact_nll.mean() > price / 2)


def _looked_up(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs of the best model with q looked up that is like the twin by the ELBO but for that; there may be none."""
    _, twin = twins(vaes)
    like = (vaes[AS_LIKE] == twin[AS_LIKE].iloc[0]).all(axis="columns")
    own = vaes[like & (vaes.objective == "lookup") & (vaes.importance_samples == twin.importance_samples.iloc[0])]
    return own if own.empty else _best(own)


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
    looked_up = _looked_up(vaes)
    if len(looked_up):
        near = (looked_up.gap_exact_nll + looked_up.elbo_lookup).abs().mean()
        parts.append(
            f"Trained with $q$ looked up among {LookupLoss.side**2:,} latents, the exact value changes by "
            f"{looked_up.exact_nll.mean() - nll:+.1f} nats, and the decoder's ELBO is then {near:.2f} nats from its "
            "$\\log p(x)$."
        )
    return {
        "price": {
            "parts": " ".join(parts),
            "iwae": _importance_weighted(vaes),
            "exact_lookup": -(exact.elbo_lookup + exact.gap_exact_nll).mean(),
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
