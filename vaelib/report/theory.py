"""The tables and numbers behind the report's three theory answers."""

from typing import Any

import pandas as pd

from vaelib.report.summary import Summary, model_name, with_interval
from vaelib.report.tables import gain, objective_name

AFFORDABLE = 2.0  # nats of exact likelihood that a classifier in the loss may cost


def objectives(vaes: pd.DataFrame) -> pd.DataFrame:
    """What a decoder was trained by and what it is worth, for each architecture that was trained on log p(x) too."""
    exact = vaes[vaes.objective == "marginal"]
    same = vaes[
        vaes.architecture.isin(exact.architecture)
        & (vaes.protocol == "A")
        & ((vaes.model == vaes.architecture) | (vaes.objective != "elbo"))
    ]
    means = same.groupby("model").exact_nll.mean()
    ranked = sorted(means.index, key=lambda model: (same[same.model == model].architecture.iloc[0], means[model]))
    return pd.DataFrame(_trained(same[same.model == model]) for model in ranked)


def _trained(group: pd.DataFrame) -> dict[str, str]:
    run = group.iloc[0]
    return {
        "decoder": f"`{run.architecture}`",
        "trained by": objective_name(run),
        "epochs": f"{run.epochs}",
        "exact −log p(x)": with_interval(group.exact_nll),
        "−ELBO": with_interval(-group.elbo),
        "approx. gap": with_interval(group.approximation_gap),
        "amort. gap": with_interval(group.amortisation_gap),
        "training (s)": f"{group.train_seconds.mean():.0f}",
        "encoder (s)": f"{group.encoder_seconds.mean():.0f}" if run.encoder_seconds else "–",
    }


def exact_training(vaes: pd.DataFrame, summary: Summary) -> dict[str, Any]:
    """The best model trained on log p(x), and its twin of the same architecture trained by the ELBO.

    Of the encoder fitted afterwards also by how much the last of its epochs still raised the validation ELBO.
    """
    means = vaes[vaes.objective == "marginal"].groupby("model").mean(numeric_only=True)
    model = means.exact_nll.idxmin()
    architecture = vaes[vaes.model == model].architecture.iloc[0]
    own, twin = means.loc[model], vaes[vaes.model == architecture].mean(numeric_only=True)
    run = vaes[vaes.model == model].iloc[0]
    fitting = summary.history(run.name).query("phase == 'encoder'").validation_elbo.to_numpy()
    return {
        "exact": {
            "model": model,
            "nll": with_interval(vaes[vaes.model == model].exact_nll),
            "gap": -own.elbo - own.exact_nll,
            **own[["approximation_gap", "amortisation_gap", "train_seconds", "encoder_seconds"]],
            "points": f"{run.importance_samples**run.latent_dim:,}",
            "encoder_epochs": int(run.encoder_epochs),
            "encoder_still": float(fitting[-1] - fitting[-2]) if len(fitting) > 1 else 0.0,
            "twin": architecture,
            "twin_nll": with_interval(vaes[vaes.model == architecture].exact_nll),
            "twin_gap": -twin.elbo - twin.exact_nll,
            "twin_approximation_gap": twin.approximation_gap,
            "twin_seconds": twin.train_seconds,
            "price": twin.exact_nll - own.exact_nll,
        }
    }


def brute_force(summary: Summary, run: str) -> dict[str, Any]:
    """Errors of a grid and of draws of the prior in few and in many dimensions."""
    record = summary.records[run]
    names = [f"{way}_error_{dimensions}" for way in ("grid", "draws") for dimensions in (2, 3, 5, 10, 20)]
    errors = {name: record["metrics"][name] for name in names}
    values = {name: f"{error:.2g}" if error < 10 else f"{error:,.0f}" for name, error in errors.items()}
    return {"brute": {"points": record["config"]["points"], **values}}


def realism(summary: Summary, runs: list[str]) -> pd.DataFrame:
    """The measures of samples by model (a column) and seed: what the runs of `notebooks/vaegan.ipynb` compared."""
    frames = [summary.csv(run, "comparison").assign(run=run) for run in runs]
    everything = pd.concat(frames, ignore_index=True)
    return everything.assign(model=everything.model.map(model_name))


def realism_table(compared: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with intervals, a row a model."""
    return pd.DataFrame(
        {
            "samples of": f"`{model}`" if model != "training images" else model,
            "Fréchet distance": with_interval(group.frechet_distance, digits=1),
            "precision (%)": with_interval(100 * group.precision, digits=1),
            "recall (%)": with_interval(100 * group.recall, digits=1),
            "sharpness": with_interval(group.sharpness, digits=3),
            "exact −log p(x)": "–" if group.exact_nll.isna().all() else with_interval(group.exact_nll),
        }
        for model, group in compared.groupby("model", sort=False)
    )


def vaegan(compared: pd.DataFrame, records: pd.DataFrame) -> dict[str, Any]:
    """The VAE-GAN beside the VAE with the same decoder, whose name is the VAE-GAN's architecture."""
    plain = records.architecture.iloc[0]
    by_model = compared.groupby("model")
    others = by_model.frechet_distance.mean().drop(["vaegan", "training images"])
    values = {
        "distance": with_interval(by_model.get_group("vaegan").frechet_distance, digits=0),
        "plain": plain,
        "plain_distance": with_interval(by_model.get_group(plain).frechet_distance, digits=0),
        "nearest": others.idxmin(),
        "nearest_distance": with_interval(by_model.get_group(others.idxmin()).frechet_distance, digits=0),
        "sharper": by_model.sharpness.mean()["vaegan"] / by_model.sharpness.mean()[plain],
        "seeds": len(records),
        "epochs": int(records.epochs.iloc[0]),
        "gamma": f"{records.gamma.iloc[0]:g}",
        "largest_share": 100 * records.largest_class_share.max(),
        "smallest_share": 100 * records.smallest_class_share.min(),
        "recall": 100 * by_model.recall.mean()["vaegan"],
        "real_recall": 100 * by_model.recall.mean()["training images"],
        "tell_apart": records.train_tell_apart.mean(),
    }
    return {"vaegan": values}


def task(sweep: pd.DataFrame, generators: pd.DataFrame, augmentation: pd.DataFrame) -> dict[str, Any]:
    """The sweep of the classifier's weight: none, the smallest that does its task, the largest; gains at 20 %.

    It does its task when it halves the label error at least and costs at most AFFORDABLE nats; `task.verdict` says so,
    or that no weight does.
    """
    plain, heaviest = sweep.loc[0.0], sweep.index.max()
    does = (sweep.judge_error <= plain.judge_error / 2) & (sweep.exact_nll <= plain.exact_nll + AFFORDABLE)
    fitting = sweep.index[does & (sweep.index > 0)]
    best = min(fitting, default=sweep.index[1])
    task = f"to halve the label error at a cost of at most {AFFORDABLE:g} nats"
    by_weight = generators[generators.model.str.startswith("conditional-2d")].set_index("task_weight")
    values: dict[str, Any] = {"weight": f"{best:g}", "heaviest": f"{heaviest:g}"}
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
            "gain": gain(by_weight.loc[weight], augmentation),
        }
    return {"task": values}
