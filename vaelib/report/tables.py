"""The report's tables of runs: architectures, training parameters, and results beside the published ones."""

import pandas as pd

from vaelib.synthetic import worth
from vaelib.synthetic.arms import CHOICE_FRACTION
from vaelib.measure.metrics import mean_interval
from vaelib.models.networks import ARCHITECTURES
from vaelib.report.summary import Summary, with_interval

UNTOLD = ("exact −log p(x)", "approx. gap", "amort. gap", "weights", "training (s)", "seeds")  # by published rows

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
            "name": f"`{name}`",
            "encoder (the decoder mirrors it)": architecture.description,
            "weights": f"{vaes[vaes.architecture == name].parameters.iloc[0]:,.0f}",
        }
        for name, architecture in ARCHITECTURES.items()
        if name in set(vaes.architecture)
    )


def objective_name(run: pd.Series) -> str:
    """What a run maximised, as the field writes it."""
    return {"elbo": "ELBO", "iwae": f"IWAE, K = {run.importance_samples}", "marginal": "log p(x)"}[run.objective]


def training(vaes: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The training parameters of each group of seeds, from the records; a parameter that no run used is left out."""
    rows = pd.DataFrame(
        {
            "run": f"`{model}`",
            "images": f"{group.train_images.iloc[0] or 55_000:,}",
            "protocol": group.protocol.iloc[0],
            "objective": objective_name(group.iloc[0]),
            "epochs": group.epochs.iloc[0],
            "batch": group.batch_size.iloc[0],
            "learning rate": f"{group.learning_rate.iloc[0]:g}",
            "KL warm-up": f"{group.kl_warmup_epochs.iloc[0]:g} epochs" if group.kl_warmup_epochs.iloc[0] else "none",
            "seeds": ", ".join(str(seed) for seed in sorted(group.seed)),
            "best epoch": ", ".join(f"{epoch:.0f}" for epoch in group.best_epoch),
            "threads": summary.records[group.index[0]]["provenance"]["threads"],
        }
        for model, group in vaes.groupby("model", sort=False)
    )
    return rows if (rows["KL warm-up"] != "none").any() else rows.drop(columns="KL warm-up")


def other_training(summary: Summary) -> pd.DataFrame:
    """The training parameters of everything that is no plain VAE, from the records."""
    rows = []
    for experiment, kind in OTHER_EXPERIMENTS.items():
        for model, group in summary.frame(experiment).groupby("model", sort=False):
            run = group.iloc[0]
            symbols = {"beta": "β", "task_weight": "λ", "gamma": "γ"}
            told = [f"{symbol} = {run[name]:g}" for name, symbol in symbols.items() if name in run]
            half = "generator" in run or str(run.get("split")).endswith("half")
            images = run.get("real_images") or run.train_images or (27_500 if half else 55_000)
            rows.append(
                {
                    "trained": kind,
                    "run": f"`{model}`",
                    "images": f"{images:,.0f}",
                    "length": f"{run.epochs:g} epochs" if "epochs" in run else f"{run.updates:,} updates",
                    "batch": run.batch_size,
                    "learning rate": f"{run.learning_rate:g}",
                    "seeds": ", ".join(str(seed) for seed in sorted(group.seed)),
                    "weights in the cost": ", ".join(told) or "–",
                }
            )
    return pd.DataFrame(rows)


def results(vaes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Test-set likelihoods, best first, a group of rows a protocol, each followed by the published rows under it."""
    rows = []
    for protocol in ("A", "B"):
        own = vaes[vaes.protocol == protocol]
        ranked = own.groupby("model").exact_nll.mean().sort_values().index
        rows += [_own(own[own.model == model], protocol) for model in ranked]
        rows += [
            {
                "protocol": f"Protocol {protocol}, published",
                "model": f"{row.model} [{row.mark}]",
                "ELBO": row.elbo or "–",
                "imp.-weighted": row.nll,
                **dict.fromkeys(UNTOLD, "–"),
            }
            for row in published[published.protocol == protocol].itertuples()
        ]
    return pd.DataFrame(rows)


def importance_weighted(vaes: pd.DataFrame) -> pd.Series:
    """Each run's -log p(x) by the bound with 500 samples, which published values are.

    The bound was computed on the first images only: the exact value of all is corrected by the mean difference there.
    """
    return vaes.exact_nll + vaes.iwae_nll - vaes.gap_exact_nll


def _own(group: pd.DataFrame, protocol: str) -> dict[str, str]:
    return {
        "protocol": f"Protocol {protocol}, this report",
        "model": f"`{group.model.iloc[0]}`",
        "ELBO": with_interval(group.elbo),
        "imp.-weighted": with_interval(importance_weighted(group)),
        "exact −log p(x)": with_interval(group.exact_nll),
        "approx. gap": with_interval(group.approximation_gap),
        "amort. gap": with_interval(group.amortisation_gap),
        "weights": f"{group.parameters.iloc[0]:,.0f}",
        "training (s)": f"{group.train_seconds.mean():.0f}",
        "seeds": str(len(group)),
    }


def generators(synthesis: pd.DataFrame, augmentation: pd.DataFrame) -> pd.DataFrame:
    """Every generator's label error, classification accuracy score, worth at 20 % on validation images, and speed.

    The most useful come first.

    The worth is the difference to the classifiers that `augmentation` trained on the real images alone, seed by seed.
    """
    rows = []
    for model, run in synthesis.set_index("model").iterrows():
        points = gains(run, augmentation)
        rows.append(
            {
                "generator": f"`{model}`",
                "latent": f"{run.latent_dim}",
                "label error (%)": f"{100 * run.label_error:.1f}",
                "CAS (%)": f"{100 * run.cas:.2f}",
                "gain on validation (points)": with_interval(points),
                "images/s": f"{run.images_per_second:,.0f}",
                "worth": mean_interval(points)[0],
            }
        )
    return pd.DataFrame(rows).sort_values("worth", ascending=False).drop(columns="worth").reset_index(drop=True)


def gain(run: pd.Series, augmentation: pd.DataFrame) -> str:
    """Points that a generator's images add at 20 % on validation images, with their interval."""
    return with_interval(gains(run, augmentation))


def gains(run: pd.Series, augmentation: pd.DataFrame) -> list[float]:
    """The same points for each of the seeds run with and without the images."""
    real = worth.by_seed(augmentation, CHOICE_FRACTION, "real", "updates", "validation_accuracy")
    both = {seed: run.get(f"validation_accuracy_seed{seed}") for seed in real.index}
    return [100 * (accuracy - real[seed]) for seed, accuracy in both.items() if pd.notna(accuracy)]


def augmentation(frame: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy without and with synthetic images by fraction and budget, their difference, and the ceiling."""
    titles = {"updates": "Equal updates in all arms", "epochs": "Equal epochs: twice the images, twice the updates"}
    return pd.DataFrame(
        {
            "budget": title,
            "half used": f"{100 * fraction:.0f} %",
            "real images": f"{frame[frame.fraction == fraction].real_images.iloc[0]:,.0f}",
            "real (%)": with_interval(100 * worth.by_seed(frame, fraction, "real", budget)),
            "real + synthetic (%)": with_interval(100 * worth.by_seed(frame, fraction, "synthetic", budget)),
            "change (points)": with_interval(100 * worth.change(frame, fraction, "synthetic", budget)),
            "change by further real": with_interval(100 * worth.change(frame, fraction, "further", budget)),
        }
        for budget, title in titles.items()
        for fraction in sorted(frame.fraction.unique())
    )
