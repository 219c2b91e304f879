"""The tables that the report shows: architectures, training parameters, and results beside the published ones."""

import fnmatch
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vaelib.models.networks import ARCHITECTURES
from vaelib.report import images, names
from vaelib.report.plain import in_usual_precision, plain_runs, ranking
from vaelib.report.summary import Summary
from vaelib.report.words import counted, listed, with_interval

RESULTS = (
    "protocol", "model", "−ELBO", "imp.-weighted", "exact −log p(x)", "approx. gap", "amort. gap", "training (s)",
    "seeds",
)  # fmt: skip
OBJECTIVES = (
    "decoder", "trained by", "epochs", "exact −log p(x)", "on training images", "gap, looked up", "gap, encoder",
    "training (s)", "seeds",
)  # fmt: skip
MAIN = {  # of each experiment's runs the numbers that come first, by the names in their records
    "vae": ["exact_nll", "elbo", "approximation_gap", "amortisation_gap"],
    "ablation": ["validation_exact_nll", "validation_elbo", "cost_*", "best_learning_rate"],
    "vaegan": ["frechet_distance", "precision", "recall", "sharpness"],
    "latent_space": ["hole_share", "amortisation_share"],
    "exact_training": ["grid_error_*"],
    "classifier": ["validation_accuracy", "test_accuracy"],
    "synthesis": ["label_error", "cas", "exact_nll", "validation_accuracy"],
    "task": ["judge_error_*", "cas_[0-9]*"],
    "augmentation": ["real_images", "test_accuracy_[a-z]*_updates"],
}
MOST_NUMBERS = 6
OTHER_EXPERIMENTS = {  # those that train no plain VAE, and what they train
    "classifier": "digit classifier",
    "synthesis": "generator",
    "vaegan": "VAE-GAN",
    "augmentation": "classifier in an arm",
}


def networks(vaes: pd.DataFrame) -> pd.DataFrame:
    """The architectures among the runs: name, description, number of weights."""
    return pd.DataFrame(
        {
            "name": names.network(name),
            "layers": architecture.description,
            "weights": f"{vaes[vaes.architecture == name].parameters.iloc[0]:,.0f}",
        }
        for name, architecture in ARCHITECTURES.items()
        if name in set(vaes.architecture)
    )


def training(vaes: pd.DataFrame) -> pd.DataFrame:
    """The training parameters of each group of seeds; a KL warm-up that no run had is left out."""
    rows = pd.DataFrame(
        {
            "model": model,
            "images": f"{images.trained_on(group.iloc[0]):,}",
            "protocol": group.protocol.iloc[0],
            "objective": _objective(group.iloc[0]),
            "epochs": group.epochs.iloc[0],
            "batch": group.batch_size.iloc[0],
            "learning rate": f"{group.learning_rate.iloc[0]:g}",
            "KL warm-up": f"{group.kl_warmup_epochs.iloc[0]:g} epochs" if group.kl_warmup_epochs.iloc[0] else "none",
            "seeds": _seeds(group),
            "best epoch": ", ".join(f"{epoch:.0f}" for epoch in group.best_epoch),
        }
        for model, group in vaes.groupby("model", sort=False)
    )
    return rows.drop(columns="KL warm-up") if (rows["KL warm-up"] == "none").all() else rows


def other_training(summary: Summary) -> pd.DataFrame:
    """The training parameters of everything that is no plain VAE, from the records; what is equal stands once."""
    rows = pd.DataFrame(
        _other_training(kind, group, summary.records[group.index[0]]["config"])
        for experiment, kind in OTHER_EXPERIMENTS.items()
        for _, group in summary.frame(experiment).groupby("model", sort=False)
    )
    return rows.drop_duplicates()


def _other_training(kind: str, group: pd.DataFrame, config: Mapping[str, Any]) -> dict[str, object]:
    """A row: a length in updates is the one that was asked for, since a run's metrics may have the last of several."""
    run = group.iloc[0]
    symbols = {"beta": "β", "task_weight": "λ", "gamma": "γ"}
    weights = [f"{symbol} = {run[name]:g}" for name, symbol in symbols.items() if name in run]
    return {
        "trained": kind,
        "model": names.other(run),
        "images": f"{run.get('real_images') or images.trained_on(run):,.0f}",
        "length": counted(int(run.epochs), "epoch") if "epochs" in run else _updates(config["updates"]),
        "batch": run.batch_size,
        "learning rate": f"{run.learning_rate:g}",
        "seeds": _seeds(group),
        "weights in the cost": ", ".join(weights) or "–",
    }


def _updates(updates: int | list[int]) -> str:
    """A number of updates, or several of them."""
    several = updates if isinstance(updates, list) else [updates]
    return counted(several[0], "update") if len(several) == 1 else f"{listed(f'{n:,}' for n in several)} updates"


def results(vaes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Test-set likelihoods, a group of rows a protocol, each followed by the published rows under it.

    Those of models trained by the ELBO, best first on validation images: `objectives` has the others. Under protocol A
    the plain runs come first, and the best of them is what the report calls the best; variations of their training are
    a group of their own. A run in another precision than the usual one is none of them: see `in_usual_precision`.
    """
    rows = []
    trained, plain = in_usual_precision(vaes).query("objective == 'elbo'"), plain_runs(vaes)
    varied = trained[(trained.protocol == "A") & ~trained.index.isin(plain.index)]
    groups = {"A": {"this report": plain, "variations of the training": varied},
              "B": {"this report": trained[trained.protocol == "B"]},
              "C": {"densities, this report": trained[trained.protocol == "C"]}}  # fmt: skip
    for protocol, parts in groups.items():
        for part, own in parts.items():
            title = {"protocol": f"Protocol {protocol}, {part}"}
            rows += [title | _measured(own[own.model == model]) for model in ranking(own)]
        rows += [
            {
                "protocol": f"Protocol {protocol}, published",
                "model": row.model,
                "−ELBO": row.elbo.removeprefix("-") or "–",
                "imp.-weighted": row.nll,
            }
            for row in published[published.protocol == protocol].itertuples()
        ]
    return pd.DataFrame(rows, columns=RESULTS).fillna("–")


def fewer_images(vaes: pd.DataFrame, best: Mapping[str, int]) -> str:
    """What stands below `results`: models measured on other numbers of test images than the best one; or nothing."""
    trained = in_usual_precision(vaes).query("objective == 'elbo'")
    told = []
    for (asked, gaps), own in trained.groupby(["test_images", "gap_images"]):
        if (asked, gaps) != (best["test_images"], best["gap_images"]):
            number = images.at_most(int(asked), images.count(own.dataset.iloc[0], "test"))
            models = listed(f"*{model}*" for model in own.model.unique())
            told.append(f" On the first {number:,} test images, with gaps on the first {gaps:,.0f}: {models}.")
    return "".join(told)


def objectives(vaes: pd.DataFrame) -> pd.DataFrame:
    """What a decoder was trained by and what it is worth, for each architecture that was trained on log p(x) too."""
    others = in_usual_precision(vaes).query("objective != 'elbo' and protocol == 'A'")
    exact = others[others.objective == "marginal"].architecture
    same = pd.concat([plain_runs(vaes), others])
    same = same[same.architecture.isin(exact)]
    of = same.groupby("model").architecture.first()
    ranked = sorted(ranking(same), key=lambda model: of[model])
    return pd.DataFrame([_measured(same[same.model == model]) for model in ranked], columns=OBJECTIVES)


def importance_weighted(vaes: pd.DataFrame) -> pd.Series:
    """Each run's -log p(x) by the bound with 500 samples, which published values are.

    The bound was computed on the first images only: the exact value of all is corrected by the mean difference there.
    """
    return vaes.exact_nll + vaes.iwae_nll - vaes.gap_exact_nll


def _measured(group: pd.DataFrame) -> dict[str, str]:
    """A model and its measurements, means over its seeds: the columns of both tables of likelihoods."""
    run = group.iloc[0]
    return {
        "model": run.model,
        "decoder": names.network(run.architecture),
        "trained by": _objective(run),
        "epochs": f"{run.epochs}",
        "−ELBO": with_interval(-group.elbo),
        "imp.-weighted": with_interval(importance_weighted(group)),
        "exact −log p(x)": with_interval(group.exact_nll),
        "on training images": with_interval(group.exact_nll_train),
        "gap, looked up": with_interval(-group.elbo_lookup - group.gap_exact_nll),
        "gap, encoder": with_interval(-group.gap_elbo - group.gap_exact_nll),
        "approx. gap": with_interval(group.approximation_gap),
        "amort. gap": with_interval(group.amortisation_gap),
        "training (s)": f"{group.train_seconds.mean():.0f}",
        "seeds": str(len(group)),
    }


def _objective(run: pd.Series) -> str:
    """What a run maximised, as the field writes it, and in what precision if it names one."""
    draws = f", {run.importance_samples} draws" if run.importance_samples > 1 else ""
    bounds = {"elbo": f"ELBO{draws}", "iwae": f"IWAE, K = {run.importance_samples}", "marginal": "log p(x)"}
    bounds["lookup"] = f"ELBO, q looked up{draws}"
    return bounds[run.objective] + ("" if run.precision == "auto" else f", {run.precision}")


def _seeds(group: pd.DataFrame) -> str:
    return ", ".join(str(seed) for seed in sorted(group.seed))


def failures(plain: pd.DataFrame) -> pd.DataFrame:
    """Where each network fails, in per cent: means over seeds, in the order of the ranking."""
    columns = {
        "reconstructions misread": "misread_reconstructions",
        "samples unsure": "unsure_samples",
        "prior in holes": "hole_share",
    }
    groups = {model: plain[plain.model == model] for model in ranking(plain)}
    return pd.DataFrame(
        {"model": model}
        | {name: with_interval(100 * group[metric], digits=1) for name, metric in columns.items()}
        | {"seeds": f"{len(group)}"}
        for model, group in groups.items()
    )


def runs(summary: Summary) -> pd.DataFrame:
    """Every run of the scale with its main numbers as its record calls them: a row each, by experiment."""
    return pd.DataFrame(
        {
            "experiment": experiment,
            "run": run,
            "main numbers": ", ".join(
                f"{name} {_number(value)}" for name, value in _main(experiment, record["metrics"])
            ),
            "minutes": f"{record['provenance']['wall_seconds'] / 60:.1f}",
        }
        for (experiment, run), record in ((name.split("/"), record) for name, record in summary.records.items())
    ).sort_values("experiment", kind="stable", ignore_index=True)


def _main(experiment: str, metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """The main numbers of a run: those named in `MAIN`, of another experiment the first ones."""
    patterns = MAIN.get(experiment, ["*"])
    return [(name, metrics[name]) for pattern in patterns for name in fnmatch.filter(metrics, pattern)][:MOST_NUMBERS]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}".replace("-", "−")


def realism(compared: pd.DataFrame) -> pd.DataFrame:
    """Samples of models against real images: means over seeds with intervals, a row a model."""
    return pd.DataFrame(
        {
            "samples of": OTHER_EXPERIMENTS.get(model, model),
            "Fréchet distance": with_interval(group.frechet_distance, digits=1),
            "precision (%)": with_interval(100 * group.precision, digits=1),
            "sharpness": with_interval(group.sharpness, digits=3),
            "exact −log p(x)": "–" if group.exact_nll.isna().all() else with_interval(group.exact_nll),
        }
        for model, group in compared.groupby("model", sort=False)
    )
