"""What the numbers were computed with, and what that cost, as the records tell."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from vaelib.measure.intervals import mean_interval
from vaelib.report import names
from vaelib.report.plain import in_usual_precision
from vaelib.report.summary import FinishedRun, Summary
from vaelib.report.words import as_text, counted, listed

PRECISIONS = {
    "bfloat16": "Matrix products in training ran in bfloat16, all measurements in float32.",
    "tf32": "Matrix products in training ran in TF32 (float32 with 10 bits of mantissa), all measurements in float32.",
    "float32": "Matrix products ran in float32, in training and in measurements.",
}
SLOWER = 1.05  # times as long: what is less is not told


class Compared(NamedTuple):
    """A kind of training that is compared between precisions, by what, and what a run of it is called."""

    experiment: str
    metric: str
    scale: float
    unit: str
    name: Callable[[Mapping[str, Any]], str]


COMPARED = (
    Compared("vae/", "exact_nll", 1, "nats", lambda config: f"*{names.vae(pd.Series(config))}*"),
    Compared("classifier/", "test_accuracy", 100, "points of accuracy", lambda c: f"the classifier {names.other(c)}"),
)


def machine(summary: Summary, best: FinishedRun) -> dict[str, Any]:
    """Devices, commits and version, and in a half-sentence what lay behind the seconds of training."""
    shown = in_usual_precision(summary.frame("vae")).index  # the seconds of the others stand nowhere
    timed = [summary.records[run]["provenance"] for run in shown]
    threads = _each(record["threads"] for record in timed)
    together = max(record["runs_side_by_side"] for record in timed)
    devices = _each(record["provenance"]["device"] for record in summary.records.values())
    return {
        "provenance": {
            "torch": best.record["provenance"]["versions"]["torch"],
            "device": devices,
            "date": _date(max(_finished(record) for record in summary.records.values())),
            "runs": len(summary.records),
            "cost": listed(_cost_by_device(summary.records.values())),
            **_commit(summary, best),
        },
        "timing": f"measured on {_each(record['device'] for record in timed)}, "
        f"{'one processor thread' if threads == '1' else f'{threads} processor threads'} a run, "
        f"{'one run at a time' if together == 1 else f'up to {together} runs side by side'}",
    }


def _cost_by_device(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """How many runs each device computed, and the time that they took on it."""
    of_device = defaultdict(list)
    for record in records:
        of_device[record["provenance"]["device"]].append(record)
    for device, own in of_device.items():
        yield f"{counted(len(own), 'run')} in {_duration(_busy(own))} on {device}"


def precision(summary: Summary, best: FinishedRun) -> str:
    """In what precision the networks were trained, as sentences; what each costs for which there are runs in float32.

    The best run's precision comes first; a scale may name another one for some runs, so that its cost is told too.
    """
    usual = best.record["provenance"]["precision"]
    trained = tuple(kind.experiment for kind in COMPARED)
    runs = [summary.run(name) for name in summary.records if name.startswith(trained)]
    costs = []
    for name in dict.fromkeys([usual, *(run.record["provenance"]["precision"] for run in runs)]):
        if told := [cost for kind in COMPARED for cost in _costs(kind, runs, name)]:
            called = "TF32" if name == "tf32" else name
            costs.append(f"{called}{_emulated(name, runs)} minus float32: {'; '.join(told)}.")
    if not costs:
        return PRECISIONS[usual]
    return (
        f"{PRECISIONS[usual]} What less precision changes is told by the same runs in float32. {' '.join(costs)} "
        "(Means over pairs of equal seeds, with 95 % intervals where there are several.)"
    )


def _costs(kind: Compared, runs: list[FinishedRun], precision: str) -> Iterator[str]:
    """Of each training of a kind the mean difference with its interval, and how much longer float32 took, if it did."""
    of_kind = [run for run in runs if run.name.startswith(kind.experiment) and kind.metric in run.record["metrics"]]
    pairs = defaultdict(list)
    for pair in _pairs(of_kind, precision):
        pairs[_but_for(pair[0], "seed")].append(pair)
    for own in pairs.values():
        fast, slow = (pd.DataFrame([run.record["metrics"] for run in side]) for side in zip(*own, strict=True))
        mean, half = mean_interval(kind.scale * (fast[kind.metric] - slow[kind.metric]))
        longer = (slow.train_seconds / fast.train_seconds).mean()
        slower = f" (float32 took {longer:.1f} times as long)" if longer > SLOWER else ""
        called = kind.name(own[0][0].config | {"precision": "auto"})
        yield f"{called} {as_text(mean, half)} {kind.unit}{slower}"


def _emulated(precision: str, runs: list[FinishedRun]) -> str:
    """A remark in brackets where runs in this precision had its rounding without its instructions."""
    provenances = [run.record["provenance"] for run in runs]
    devices = [p["device"] for p in provenances if p["precision"] == precision and p.get("emulated", False)]
    return f" (emulated on {_each(devices)}: products summed in float32, then rounded)" if devices else ""


def _pairs(runs: list[FinishedRun], precision: str) -> list[tuple[FinishedRun, FinishedRun]]:
    """Runs in this precision, each with its twin in float32 on the same device, which differs in nothing else.

    Where "auto" is this precision, a run that names it besides is the same once more, and makes no second pair.
    """
    if precision == "float32":
        return []

    def trained(precision: str) -> dict[str, FinishedRun]:
        like = [run for run in runs if run.record["provenance"]["precision"] == precision]
        return {_but_for(run): run for run in like}

    fast, slow = trained(precision), trained("float32")
    return [(fast[config], slow[config]) for config in slow if config in fast]


def _but_for(run: FinishedRun, *others: str) -> str:
    """What a run shares with its twin in another precision, but for `others`: its parameters and its device."""
    left_out = dict.fromkeys(("run_dir", "precision", *others))
    return json.dumps(run.config | left_out | {"computed on": run.record["provenance"]["device"]}, sort_keys=True)


def _commit(summary: Summary, best: FinishedRun) -> dict[str, str]:
    """The best run's commit, those of the others, and a half-sentence where the code was not what a commit holds."""
    provenances = [record["provenance"] for record in summary.records.values()]
    changed = any(str(provenance["commit"]).endswith("+") for provenance in provenances)
    first, *commits = (
        (provenance["commit"] or "unknown").rstrip("+")[:10] for provenance in (best.record["provenance"], *provenances)
    )
    others = Counter(commit for commit in commits if commit != first)
    told = "".join(f", {counted(number, 'run')} from `{commit}`" for commit, number in others.items())
    return {
        "commit": first,
        "other_commits": told,
        "changes": ", with changes that are not committed" if changed else "",
    }


def _finished(record: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(record["provenance"]["finished"])


def _busy(records: Iterable[Mapping[str, Any]]) -> float:
    """The seconds during which any of the runs was at work: those side by side count once, pauses not at all."""
    spans = sorted((datetime.fromisoformat(record["provenance"]["started"]), _finished(record)) for record in records)
    seconds, last = 0.0, spans[0][0]
    for started, finished in spans:
        seconds += max(0.0, (finished - max(started, last)).total_seconds())
        last = max(last, finished)
    return seconds


def _duration(seconds: float) -> str:
    """Hours and minutes: "2 h 31 min"."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _each(values: Iterable[Any]) -> str:
    """Every value once, in the order in which they come."""
    return " and ".join(dict.fromkeys(str(value) for value in values))
