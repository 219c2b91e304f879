"""The numbers behind the report's three theory answers: log p(x) or the ELBO, a discriminator, a classifier."""

import re
from typing import Any

import pandas as pd

from vaelib.report.plain import plain_runs, ranking
from vaelib.report.summary import FinishedRun, Summary
from vaelib.report.tables import gains
from vaelib.report.words import with_interval
from vaelib.training.adversarial import FEATURE_VARIANCE, SLOPE_PENALTY

AFFORDABLE = 2.0  # nats of exact likelihood that a classifier in the loss may cost


def exact_runs(vaes: pd.DataFrame) -> pd.DataFrame:
    """The runs whose decoder was trained on log p(x), under the protocol of those that are compared with them."""
    return vaes[(vaes.objective == "marginal") & (vaes.protocol == "A")]


def exact_training(vaes: pd.DataFrame, summary: Summary) -> dict[str, Any]:
    """The best model trained on log p(x), and its twin of the same architecture trained by the ELBO.

    Of the encoder fitted afterwards also by how much the last of its epochs still raised the validation ELBO.
    """
    exact = exact_runs(vaes)
    model = ranking(exact)[0]
    runs = exact[exact.model == model]
    run, own = runs.iloc[0], runs.mean(numeric_only=True)
    plain = plain_runs(vaes)
    plain = plain[plain.architecture == run.architecture]
    twins = plain[plain.model == ranking(plain)[0]]
    twin = twins.mean(numeric_only=True)
    fitting = summary.run(run.name).history.query("phase == 'encoder'").validation_elbo.to_numpy()
    return {
        "exact": {
            "model": model,
            "nll": with_interval(runs.exact_nll),
            "gap": -own.elbo - own.exact_nll,
            **own[["approximation_gap", "train_seconds", "encoder_seconds"]],
            "points": f"{run.importance_samples**run.latent_dim:,}",
            "encoder_epochs": int(run.encoder_epochs),
            "encoder_still": float(fitting[-1] - fitting[-2]) if len(fitting) > 1 else 0.0,
            "twin": run.architecture,
            "twin_nll": with_interval(twins.exact_nll),
            "twin_gap": -twin.elbo - twin.exact_nll,
            "twin_approximation_gap": twin.approximation_gap,
            "twin_seconds": twin.train_seconds,
            "price": twin.exact_nll - own.exact_nll,
        }
    }


def brute_force(run: FinishedRun) -> dict[str, Any]:
    """Errors of a grid and of draws of the prior in few and in many dimensions."""
    errors = {name: e for name, e in run.record["metrics"].items() if re.fullmatch(r"(grid|draws)_error_\d+", name)}
    values = {name: f"{error:.2g}" if error < 10 else f"{error:,.0f}" for name, error in errors.items()}
    return {"brute": {"points": run.config["points"], **values}}


def vaegan(compared: pd.DataFrame, records: pd.DataFrame, plain: str) -> dict[str, Any]:
    """The VAE-GAN beside what it is compared with, above all `plain`, the VAE with the same decoder."""
    by_model = compared.groupby("model")
    others = by_model.frechet_distance.mean().drop(["vaegan", "training images"])
    sharpness, recall = by_model.sharpness.mean(), 100 * by_model.recall.mean()
    return {
        "vaegan": {
            "distance": with_interval(by_model.get_group("vaegan").frechet_distance, digits=0),
            "plain": plain,
            "plain_distance": with_interval(by_model.get_group(plain).frechet_distance, digits=0),
            "nearest": others.idxmin(),
            "nearest_distance": with_interval(by_model.get_group(others.idxmin()).frechet_distance, digits=0),
            "sharper": sharpness["vaegan"] / sharpness[plain],
            "seeds": len(records),
            "epochs": int(records.epochs.iloc[0]),
            "gamma": f"{records.gamma.iloc[0]:g}",
            "variance": FEATURE_VARIANCE,
            "slope": SLOPE_PENALTY,
            "largest_share": 100 * records.largest_class_share.max(),
            "smallest_share": 100 * records.smallest_class_share.min(),
            "recall": recall["vaegan"],
            "real_recall": recall["training images"],
        }
    }


def task(sweep: pd.DataFrame, generators: pd.DataFrame, augmentation: pd.DataFrame) -> dict[str, Any]:
    """The sweep of the classifier's weight: none, the smallest that does its task, the largest; gains at 20 %.

    `generators` are those of the sweep. A weight does its task when it halves the label error at least and costs at
    most AFFORDABLE nats, on validation images; `task.verdict` says so, or that no weight does.
    """
    plain, heaviest = sweep.loc[0.0], sweep.index.max()
    cost = sweep.exact_nll_validation - plain.exact_nll_validation
    fitting = sweep.index[(sweep.judge_error <= plain.judge_error / 2) & (cost <= AFFORDABLE) & (sweep.index > 0)]
    best = min(fitting, default=sweep.index[1])
    task = f"to halve the label error at a cost of at most {AFFORDABLE:g} nats"
    by_weight = generators.set_index("task_weight")
    images = by_weight.nll_images.iloc[0] or 10_000
    values: dict[str, Any] = {"weight": f"{best:g}", "heaviest": f"{heaviest:g}", "images": f"{images:,}"}
    values["verdict"] = f"is the smallest tried {task}" if len(fitting) else f"does not do what was asked of it, {task}"
    for name, weight in (("plain", 0.0), ("best", best), ("heavy", heaviest)):
        row = sweep.loc[weight]
        values[name] = {
            "judge": f"{100 * row.judge_error:.2f}",
            "critic": f"{100 * row.critic_error:.2f}",
            "cas": 100 * row.cas,
            "cost": row.exact_nll - plain.exact_nll,
            "distance": row.frechet_distance,
            "precision": 100 * row.precision,
            "recall": 100 * row.recall,
            "gain": with_interval(gains(by_weight.loc[weight], augmentation)),
        }
    return {"task": values}
