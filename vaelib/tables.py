"""The report's tables of runs: architectures, training parameters, and results beside the published ones."""

import pandas as pd

from vaelib.networks import ARCHITECTURES
from vaelib.summary import Summary, with_interval

PUBLISHED = ("approx. gap", "amort. gap", "weights", "training (s)", "seeds")  # what published rows do not tell


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


def training(vaes: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The training parameters of each group of seeds, from the records."""
    return pd.DataFrame(
        {
            "run": f"`{model}`",
            "images": f"{group.train_images.iloc[0] or 55_000:,}",
            "protocol": group.protocol.iloc[0],
            "epochs": group.epochs.iloc[0],
            "batch": group.batch_size.iloc[0],
            "step": f"{group.learning_rate.iloc[0]:g}",
            "KL warm-up": f"{group.kl_warmup_epochs.iloc[0]:g} epochs" if group.kl_warmup_epochs.iloc[0] else "none",
            "seeds": ", ".join(str(seed) for seed in sorted(group.seed)),
            "best epoch": ", ".join(f"{epoch:.0f}" for epoch in group.best_epoch),
            "threads": summary.records[group.index[0]]["provenance"]["threads"],
        }
        for model, group in vaes.groupby("model", sort=False)
    )


def results(vaes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Test-set likelihoods, best first, a group of rows a protocol, each followed by the published rows under it."""
    rows = []
    for protocol in ("A", "B"):
        own = vaes[vaes.protocol == protocol]
        ranked = own.groupby("model").exact_nll.mean().sort_values().index
        rows += [_own(own[own.model == model], protocol) for model in ranked]
        rows += [
            {
                "protocol": f"Protocol {protocol}, published (importance-weighted)",
                "model": f"{row.model} [{row.mark}]",
                "ELBO": row.elbo or "–",
                "exact −log p(x)": row.nll,
                **dict.fromkeys(PUBLISHED, "–"),
            }
            for row in published[published.protocol == protocol].itertuples()
        ]
    return pd.DataFrame(rows)


def _own(group: pd.DataFrame, protocol: str) -> dict[str, str]:
    return {
        "protocol": f"Protocol {protocol}, this report",
        "model": f"`{group.model.iloc[0]}`",
        "ELBO": with_interval(group.elbo),
        "exact −log p(x)": with_interval(group.exact_nll),
        "approx. gap": with_interval(group.approximation_gap),
        "amort. gap": with_interval(group.amortisation_gap),
        "weights": f"{group.parameters.iloc[0]:,.0f}",
        "training (s)": f"{group.train_seconds.mean():.0f}",
        "seeds": str(len(group)),
    }
