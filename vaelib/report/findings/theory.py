"""The numbers behind the report's three theory answers: log p(x) or the ELBO, a discriminator, a classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vaelib.report import images, names, words
from vaelib.report.classifiers import Classifiers
from vaelib.report.plain import TWIN, doubt, in_usual_precision, plain_runs, ranking
from vaelib.report.summary import FinishedRun
from vaelib.report.words import counted, points, with_interval
from vaelib.synthetic.worth import Difference
from vaelib.training.adversarial import FEATURE_VARIANCE, SLOPE_PENALTY

AS_LONG = list(TWIN)
LENGTH = AS_LONG[1:]  # all but the architecture
NEARLY_LOST = 0.1  # share of the samples that are kept: the rarest digit is then in some hundredth of them
CRITICS = "classified"  # the kind of generator whose labels are the critic's own answers
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
    same = plain[(plain[AS_LONG] == runs[AS_LONG].iloc[0]).all(axis="columns")]
    plain = same if len(same) else plain
    return runs, _best(plain)


def _best(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the best model among these."""
    return runs[runs.model == ranking(runs)[0]]


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
    own, plain = _best(iwae), plain_runs(vaes)
    twin = plain[(plain[AS_LONG] == own[AS_LONG].iloc[0]).all(axis="columns")]
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


def vaegan(compared: pd.DataFrame, records: pd.DataFrame, plain: str) -> dict[str, Any]:
    """The VAE-GAN beside what it is compared with, above all `plain`, a VAE of the same pixels trained for as long."""
    by_model = compared.groupby("model")
    others = by_model.frechet_distance.mean().drop(["vaegan", "training images"])
    sharpness = by_model.sharpness.mean()
    apart = sorted((by_model.get_group(model).frechet_distance for model in ("vaegan", plain)), key=pd.Series.mean)
    return {
        "vaegan": {
            "distance": with_interval(by_model.get_group("vaegan").frechet_distance, digits=0),
            "each": words.listed(f"{one:.0f}" for one in sorted(by_model.get_group("vaegan").frechet_distance)),
            "network": names.network(records.architecture.iloc[0]),
            "distance_told": ", so not for certain" if doubt(*apart) else "",
            "plain": plain,
            "plain_distance": with_interval(by_model.get_group(plain).frechet_distance, digits=0),
            "nearest": others.idxmin(),
            "nearest_distance": with_interval(by_model.get_group(others.idxmin()).frechet_distance, digits=0),
            "sharper": "sharper" if sharpness["vaegan"] > sharpness[plain] else "no sharper",
            "sharpness": with_interval(by_model.get_group("vaegan").sharpness, digits=3),
            "plain_sharpness": with_interval(by_model.get_group(plain).sharpness, digits=3),
            "seeds": len(records),
            "gamma": f"{records.gamma.iloc[0]:g}",
            "variance": FEATURE_VARIANCE,
            "slope": SLOPE_PENALTY,
            "largest_share": 100 * records.largest_class_share.max(),
            "smallest_share": 100 * records.smallest_class_share.min(),
            "modes": words.modes(records.smallest_class_share.min()),
        }
    }


def sweeps(tasks: Sequence[FinishedRun], generators: pd.DataFrame) -> pd.DataFrame:
    """What the runs of `notebooks/task.ipynb` measured: a row a generator, with its `model`, `kind` and `seed`.

    Not every generator has a `kept_share`.
    """
    rows = pd.concat([run.csv("sweep") for run in tasks], ignore_index=True)
    columns = ["model", "generator", "seed", "dataset", "nll_images", "kept_share"]
    own = generators.reindex(columns=columns).loc["synthesis/" + rows.run].reset_index(drop=True)
    return rows.join(own.rename(columns={"generator": "kind"}))


def task_table(sweep: pd.DataFrame, classifiers: Classifiers) -> pd.DataFrame:
    """The weights of a classifier in the loss: means over seeds, a group of rows for each kind of generator.

    The critic has no error of its own answers, which are the labels of one kind.
    """
    return pd.DataFrame(
        {
            "generator": names.KINDS[kind][0].upper() + names.KINDS[kind][1:],
            "λ": f"{weight:g}",
            "label error (%)": with_interval(100 * runs.judge_error),
            "by the critic (%)": "–" if kind == CRITICS else with_interval(100 * runs.critic_error),
            "CAS (%)": with_interval(100 * runs.cas),
            "−log p (nats)": with_interval(runs.exact_nll),
            "gain on validation (points)": points(classifiers.gain(runs.model.iloc[0], seeds=runs.seed)),
            "runs": f"{len(runs)}",
        }
        for (kind, weight), runs in sweep.groupby(["kind", "task_weight"], sort=False)
    )


def task(sweep: pd.DataFrame, classifiers: Classifiers) -> dict[str, Any]:
    """A classifier in the loss of the generator that needs it most: without it, and with the best of its weights.

    That is the one with the highest label error without it. The best of the weights is that with whose images beside
    the real ones a classifier does best on validation images; `task.gained` sets it beside no weight at all.
    `task.critic_told` is a sentence on the largest weight, or where the critic's answers are the labels on its samples.
    """
    needy = sweep[sweep.task_weight == 0].groupby("kind").judge_error.mean().idxmax()
    own = sweep[sweep.kind == needy]
    by_weight, model_of = own.groupby("task_weight").mean(numeric_only=True), own.groupby("task_weight").model.first()
    gains = {weight: classifiers.gain(model, seeds=own.seed).mean for weight, model in model_of.items() if weight > 0}
    weight, *worse = sorted(gains, key=gains.__getitem__, reverse=True)
    gained = classifiers.gain(model_of[weight], model_of[0.0])
    plain, best = by_weight.loc[0.0], by_weight.loc[weight]
    return {
        "task": {
            "kind": names.KINDS[needy],
            "weights": words.listed(f"{each:g}" for each in by_weight.index),
            "weight": f"{weight:g}",
            "caution": _caution(classifiers.gain(model_of[weight], model_of[worse[0]]), worse[0]) if worse else "",
            "images": f"{images.at_most(int(own.nll_images.iloc[0]), images.count(own.dataset.iloc[0], 'test')):,}",
            "gained": points(gained),
            "told": words.told(gained),
            "runs": words.counted(gained.runs, "run"),
            "plain": {"judge": f"{100 * plain.judge_error:.2f}", "cas": 100 * plain.cas},
            "best": {
                "judge": f"{100 * best.judge_error:.2f}",
                "cas": 100 * best.cas,
                "cost": best.exact_nll - plain.exact_nll,
            },
            "critic_told": _critic(needy, by_weight.iloc[-1]),
            "kept_told": _kept(by_weight.kept_share[[0.0, weight]]),
        }
    }


def _critic(kind: str, heaviest: pd.Series) -> str:
    """What the critic and the judge say of the largest weight, with a pointer to its samples, as sentences."""
    weight = f"$\\lambda = {heaviest.name:g}$"
    if kind == CRITICS:
        return f" @fig:task-samples has samples for {weight}."
    return (
        f" With {weight} (@fig:task-samples) the critic finds {100 * heaviest.critic_error:.2f} % of the labels wrong "
        f"and the judge {100 * heaviest.judge_error:.2f} %. Where the first falls and the second does not, the "
        "generator has learnt to please the critic alone."
    )


def _caution(lead: Difference | None, second: float) -> str:
    """What to say of the best weight where its lead before the second one may be chance, or nothing."""
    certain = lead is not None and lead.runs > 1 and abs(lead.mean) > lead.half
    return "" if certain else f", though not for certain before {second:g}"


def _kept(shares: pd.Series) -> str:
    """How many samples are kept for the labels asked for, without and with the best weight, or nothing.

    A sample of a digit that has enough is not kept, so the share is small where one digit is rare.
    """
    if shares.isna().any():
        return ""
    plain, best = (f"{100 * share:.{0 if share >= 0.1 else 1}f}" for share in shares)
    told = f" Of the samples {plain} % are kept without it and {best} % with it"
    if shares.iloc[1] >= shares.iloc[0]:
        return f"{told}."
    lost = "; some digit is hardly made any more" if shares.iloc[1] < NEARLY_LOST else ""
    return f"{told}{lost}: the entropy asks for clear digits, not for all of them."
