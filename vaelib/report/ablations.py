"""What makes a network better: one thing taken away at a time, other learning rates, all on validation images."""

from collections.abc import Iterable, Mapping

import pandas as pd

from vaelib.measure.intervals import mean_interval
from vaelib.report import names
from vaelib.report.plain import doubt
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


def costs(summary: Summary, network: str) -> dict[str, str]:
    """What this network is worse without for certain, the costliest first: as a sentence, and as the end of one."""
    own = _networks(summary).get(network)
    if own is None:
        return {"costs": "", "needs": ""}
    lesser = {title: mean_interval(group.change) for title, group in own[own.variant != WHOLE].groupby("title")}
    certain = sorted(((mean, title) for title, (mean, half) in lesser.items() if mean > half), reverse=True)
    if not certain:
        return {"costs": "", "needs": ""}
    each = [f"{title} (by {mean:.1f} nats)" for mean, title in certain]
    after = counted(int(own.epochs.iloc[0]), "epoch")
    return {
        "costs": f" After {after} *{network}* is for certain worse {listed(each)}.",
        "needs": f"; it is for certain worse {listed(title for _, title in certain)}",
    }


def rates(summary: Summary, compared: Iterable[str]) -> str:
    """What other learning rates change, as sentences; `compared` names the networks of which some may have had none.

    Empty where no network had one. The networks are compared at their best rates where all had equally many epochs.
    """
    whole = {network: own[own.variant == WHOLE] for network, own in _networks(summary).items()}
    tried = {network: own for network, own in whole.items() if own.learning_rate.nunique() > 1}
    if not tried:
        return ""
    better: dict[tuple[int, int, str], dict[str, float]] = {}
    for network, own in tried.items():
        change = own.groupby("learning_rate").change.mean()
        if change.min() < -TOLD:
            length = int(own.epochs.iloc[0]), int(own.groupby("learning_rate").size().min())
            better.setdefault((*length, _place(change)), {})[network] = -change.min()
    untried = [f"*{network}*" for network in dict.fromkeys(compared) if network not in tried]
    rest = f"; no other rate was tried for {listed(untried)}." if untried else "."
    if not better:
        return f" No other learning rate that was tried makes its network better by {TOLD:g} nats or more{rest}"
    said = "".join(
        f" After {counted(epochs, 'epoch')} ({counted(seeds, 'seed')}) {listed(f'*{network}*' for network in gains)} "
        f"{'is' if len(gains) == 1 else 'are'} better at {place}, by "
        f"{listed(f'{gain:.1f}' for gain in gains.values())} nats."
        for (epochs, seeds, place), gains in better.items()
    )
    return f"{said} {_at_best_rates(tried)}{rest}"


def _place(change: pd.Series) -> str:
    """The best learning rate, and whether it lies at an end of those tried: then a better one may lie beyond."""
    ends = {change.index.min(): ", the smallest rate tried", change.index.max(): ", the largest rate tried"}
    return f"{change.idxmin():g}{ends.get(change.idxmin(), '')}"


def _at_best_rates(tried: Mapping[str, pd.DataFrame]) -> str:
    """Which network leads if each has the best of its rates, or that the rates may be what separates them."""
    if len(tried) < 2 or len({int(own.epochs.iloc[0]) for own in tried.values()}) > 1:
        return "Part of what separates the networks may be the rate"
    rate = {
        network: own.groupby("learning_rate").validation_exact_nll.mean().idxmin() for network, own in tried.items()
    }
    nll = {network: own[own.learning_rate == rate[network]].validation_exact_nll for network, own in tried.items()}
    first, second, *_ = sorted(nll, key=lambda network: nll[network].mean())
    why = doubt(nll[first], nll[second])
    caution = f" ({why}, so not for certain)" if why else ""
    lead = nll[second].mean() - nll[first].mean()
    return f"With the best rate tried for each, *{first}* leads by {lead:.1f} nats{caution}"
