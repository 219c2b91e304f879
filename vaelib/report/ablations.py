"""What makes a network better: one thing taken away at a time, other learning rates, all on validation images."""

import pandas as pd

from vaelib.report import names
from vaelib.report.summary import Summary
from vaelib.report.words import counted, listed, with_interval
from vaelib.runs.ablation import WHOLE

TOLD = 0.5  # nats: a learning rate that is better by less is not told of


def _networks(summary: Summary) -> dict[str, pd.DataFrame]:
    """By the network's name what its runs of `notebooks/ablation.ipynb` measured, a row a training and seed.

    `change` is against the first training of the same run, which is what the network's runs elsewhere are like.
    """
    networks: dict[str, list[pd.DataFrame]] = {}
    for name, record in summary.records.items():
        if name.startswith("ablation/"):
            measured = summary.run(name).csv("ablation")
            measured["change"] = measured.validation_exact_nll - measured.validation_exact_nll[0]
            measured["epochs"] = record["config"]["epochs"]
            networks.setdefault(names.network(record["config"]["architecture"]), []).append(measured)
    return {network: pd.concat(runs) for network, runs in networks.items()}


def table(summary: Summary) -> pd.DataFrame:
    """The trainings of each network, means over seeds, the change paired by seed; empty without such runs."""
    return pd.DataFrame(
        {
            "network": f"{network}, {counted(int(own.epochs.iloc[0]), 'epoch')}",
            "trained": title.removeprefix(f"{network}, "),
            "weights": f"{group.parameters.iloc[0]:,}",
            "exact −log p(x)": with_interval(group.validation_exact_nll),
            "change": with_interval(group.change) if group.change.any() else "–",
            "−ELBO": with_interval(-group.validation_elbo),
            "seeds": f"{len(group)}",
        }
        for network, own in _networks(summary).items()
        for title, group in own.groupby("title", sort=False)
    )


def rates(summary: Summary) -> str:
    """A sentence on the networks that another learning rate makes better; empty if there is none."""
    better = []
    for network, own in _networks(summary).items():
        change = own[own.variant == WHOLE].groupby("learning_rate").change.mean()
        if change.min() < -TOLD:
            gain = f"{-change.min():.1f} nats after {counted(int(own.epochs.iloc[0]), 'epoch')}"
            better.append(f"*{network}* ({change.idxmin():g}, by {gain})")
    if not better:
        return ""
    return (
        f"Another learning rate is better there for {listed(better)}: part of what separates the networks may be the "
        "rate."
    )
