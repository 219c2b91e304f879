"""The numbers behind the report's other theory answers: a discriminator behind a VAE, a classifier in its loss."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaelib.report import images, names, words
from vaelib.report.classifiers import Classifiers
from vaelib.report.plain import doubt
from vaelib.report.summary import FinishedRun
from vaelib.report.words import points, with_interval
from vaelib.synthetic.worth import Difference
from vaelib.training.adversarial import FEATURE_VARIANCE, SLOPE_PENALTY

NEARLY_LOST = 0.1  # share of the samples that are kept: the rarest digit is then in some hundredth of them
CRITICS = "classified"  # the kind of generator whose labels are the critic's own answers


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
    lead = classifiers.gain(model_of[weight], model_of[worse[0]]) if worse else None
    gained = classifiers.gain(model_of[weight], model_of[0.0])
    plain, best = by_weight.loc[0.0], by_weight.loc[weight]
    return {
        "task": {
            "kind": names.KINDS[needy],
            "weights": words.listed(f"{each:g}" for each in by_weight.index),
            "weight": f"{weight:g}",
            "choice": _choice(weight, lead, worse),
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


def _choice(best: float, lead: Difference | None, worse: Sequence[float]) -> str:
    """What to say of the best of several weights above 0: also where its lead before the next may be chance."""
    if not worse:
        return ""
    certain = lead is not None and lead.runs > 1 and abs(lead.mean) > lead.half
    caution = "" if certain else f", though not for certain before {worse[0]:g}"
    return f"; above 0, {best:g} is best on validation images{caution}"


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
