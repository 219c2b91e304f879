"""The numbers behind the report's other theory answers: a discriminator behind a VAE, a classifier in its loss."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaelib.report import images, names, words
from vaelib.report.classifiers import Classifiers
from vaelib.report.plain import doubt
from vaelib.report.summary import FinishedRun
from vaelib.report.words import points, with_interval
from vaelib.training.adversarial import FEATURE_VARIANCE, SLOPE_PENALTY

CRITICS = "classified"  # the kind of generator whose labels are the critic's own answers
TOLD = "conditional"  # the kind that is told the label
EQUAL = 0.1  # share of each digit among the samples that are kept: they are drawn until the rarest has as many


def vaegan(compared: pd.DataFrame, records: pd.DataFrame, plain: str, likeliest: str) -> dict[str, Any]:
    """The VAE-GAN beside what it is compared with, above all `plain`, a VAE of the same pixels trained for as long.

    `likeliest` is another one of these models: no distance from test images chooses it.
    """
    by_model = compared.groupby("model")
    sharpness = by_model.sharpness
    apart = sorted((by_model.get_group(model).frechet_distance for model in ("vaegan", plain)), key=pd.Series.mean)
    return {
        "vaegan": {
            "distance": with_interval(by_model.get_group("vaegan").frechet_distance, digits=0),
            "each": words.listed(f"{one:.0f}" for one in sorted(by_model.get_group("vaegan").frechet_distance)),
            "network": names.network(records.architecture.iloc[0]),
            "distance_told": ", so not for certain" if doubt(*apart) else "",
            "plain": plain,
            "plain_distance": with_interval(by_model.get_group(plain).frechet_distance, digits=0),
            "likeliest": likeliest,
            "likeliest_distance": with_interval(by_model.get_group(likeliest).frechet_distance, digits=0),
            "sharper": _sharper(sharpness.get_group("vaegan"), sharpness.get_group(plain)),
            "sharpness": with_interval(sharpness.get_group("vaegan"), digits=3),
            "plain_sharpness": with_interval(sharpness.get_group(plain), digits=3),
            "real_sharpness": f"{sharpness.get_group('training images').mean():.3f}",
            "seeds": len(records),
            "gamma": f"{records.gamma.iloc[0]:g}",
            "variance": FEATURE_VARIANCE,
            "slope": SLOPE_PENALTY,
            "largest_share": 100 * records.largest_class_share.max(),
            "smallest_share": 100 * records.smallest_class_share.min(),
            "modes": words.modes(records.smallest_class_share.min()),
        }
    }


def _sharper(own: pd.Series, plain: pd.Series) -> str:
    """How samples are beside those of the VAE without a discriminator."""
    if own.mean() <= plain.mean():
        return "no sharper"
    return f"sharper{', though not for certain' if doubt(plain, own) else ''}"


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


def task(sweep: pd.DataFrame, classifiers: Classifiers, generators: pd.DataFrame) -> dict[str, Any]:
    """A classifier in the loss of the generator that needs it most: without it, and with one of its weights.

    That is the one with the highest label error without it. The weight is the smallest that is not certainly worse than
    the best: that with whose images beside the real ones a classifier does best on validation images. `task.gained`
    sets it beside no weight at all. `task.critic_told` is a sentence on the largest weight, or where the critic's
    answers are the labels on these. `generators` are all runs, for what a VAE does that is told the label.
    """
    needy = sweep[sweep.task_weight == 0].groupby("kind").judge_error.mean().idxmax()
    own = sweep[sweep.kind == needy]
    of_weight, model_of = own.groupby("task_weight"), own.groupby("task_weight").model.first()
    by_weight, runs = of_weight.mean(numeric_only=True), of_weight.size().to_dict()
    weight, choice = _chosen(own, model_of, classifiers)
    gained = classifiers.gain(model_of[weight], model_of[0.0])
    plain, best = by_weight.loc[0.0], by_weight.loc[weight]
    rarest = EQUAL * by_weight.kept_share
    return {
        "task": {
            "kind": names.KINDS[needy],
            "weights": words.listed(f"{each:g}" for each in by_weight.index),
            "weight": f"{weight:g}",
            "choice": choice,
            "images": f"{images.at_most(int(own.nll_images.iloc[0]), images.count(own.dataset.iloc[0], 'test')):,}",
            "gained": points(gained),
            "told": words.told(gained),
            "runs": _runs(runs[0.0], runs[weight]),
            "plain": {"judge": f"{100 * plain.judge_error:.2f}", "cas": 100 * plain.cas},
            "best": {
                "judge": f"{100 * best.judge_error:.2f}",
                "cas": 100 * best.cas,
                "cost": best.exact_nll - plain.exact_nll,
            },
            "critic_told": _critic(needy, by_weight.iloc[-1]),
            "rarest_told": _rarest(rarest),
            "too_weak": _too_weak(rarest),
            "remedy": _remedy(sweep, generators, of_weight.get_group(weight).judge_error),
        }
    }


def _chosen(own: pd.DataFrame, model_of: pd.Series, classifiers: Classifiers) -> tuple[float, str]:
    """The weight above 0 that is told of, and how it was chosen where there are several."""
    gains = {weight: classifiers.gain(model, seeds=own.seed).mean for weight, model in model_of.items() if weight > 0}
    best, *worse = sorted(gains, key=gains.__getitem__, reverse=True)
    leads = {each: words.told(classifiers.gain(model_of[best], model_of[each])) for each in worse}
    doubtful = [each for each, lead in leads.items() if lead != "a gain"]
    smaller = [each for each in doubtful if each < best]
    if not worse:
        return best, ""
    told = f"; above 0, {best:g} is best on validation images"
    if smaller:
        return min(smaller), f"{told}, but not for certain before {min(smaller):g}: the smaller one is taken"
    caution = f", though not for certain before {words.listed(f'{each:g}' for each in doubtful)}" if doubtful else ""
    return best, told + caution


def _runs(plain: int, weighted: int) -> str:
    """How many runs there are without a critic and with the weight that is told of."""
    if plain == weighted:
        return words.counted(plain, "run")
    return f"{words.counted(plain, 'run')} without it, {weighted:,} with it"


def _critic(kind: str, heaviest: pd.Series) -> str:
    """What the critic and the judge say of the largest weight, as sentences."""
    if kind == CRITICS:
        return " Here the labels are the critic's own answers: wrong are those with which the judge disagrees."
    return (
        f" With $\\lambda = {heaviest.name:g}$ the critic finds {100 * heaviest.critic_error:.2f} % of the labels "
        f"wrong and the judge {100 * heaviest.judge_error:.2f} %. Where the first falls and the second does not, the "
        "generator has learnt to please the critic alone."
    )


def _rarest(shares: pd.Series) -> str:
    """How much of the samples the rarest digit is, by weight, as a sentence; nothing where it is not known."""
    if shares.isna().any():
        return ""
    plain, *others = (f"{100 * share:.1f} %" for share in shares)
    weighted = words.listed(
        f"{share} with $\\lambda = {weight:g}$" for share, weight in zip(others, shares.index[1:], strict=True)
    )
    told = f" The rarest digit makes up about {plain} of the samples without the critic, {weighted}"
    fewer = ": the entropy asks for clear digits, not for all of them" if shares.iloc[1:].max() < shares.iloc[0] else ""
    return f"{told}{fewer}."


def _too_weak(shares: pd.Series) -> str:
    """Where the ELBO did not keep all digits, at which weights; nothing where it did."""
    lost = shares.index[(shares < words.HARDLY) & (shares.index > 0)]
    if lost.empty or shares[0.0] < words.HARDLY:
        return ""
    weights = words.listed(f"{weight:g}" for weight in lost)
    return f", but at $\\lambda$ = {weights} it was too weak for that: a digit nearly vanished"


def _remedy(sweep: pd.DataFrame, generators: pd.DataFrame, with_critic: pd.Series) -> str:
    """A sentence where a VAE that is told the label certainly has fewer wrong ones, without a critic; or nothing."""
    told = sweep[(sweep.kind == TOLD) & (sweep.task_weight == 0)]
    errors = generators[generators.model.isin(told.model)].label_error
    if errors.empty or doubt(errors, with_critic):
        return ""
    wrong = f"{100 * errors.mean():.2f} % of its labels are wrong"
    return f" Telling the VAE the label mends more: {wrong} without any critic."
