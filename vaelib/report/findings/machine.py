"""What the numbers were computed with, and what that cost, as the records tell."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from vaelib.report.summary import FinishedRun, Summary

PRECISIONS = {
    "bfloat16": "Matrix products in training ran in bfloat16, all measurements in float32.",
    "tf32": "Matrix products in training ran in TF32 (float32 with 10 bits of mantissa), all measurements in float32.",
    "float32": "All matrix products, in training and in measurements, ran in float32.",
}


def machine(summary: Summary, best: FinishedRun) -> dict[str, Any]:
    """Devices, commit and version, and in a half-sentence what lay behind the seconds of training."""
    timed = [run.record["provenance"] for run in summary.runs("vae")]
    threads = _each(record["threads"] for record in timed)
    together = max(record["runs_side_by_side"] for record in timed)
    devices = _each(record["provenance"]["device"] for record in summary.records.values())
    return {
        "provenance": {
            "torch": best.record["provenance"]["versions"]["torch"],
            "device": devices,
            **_commit(summary, best),
        },
        "timing": f"measured on {_each(record['device'] for record in timed)}, "
        f"{'one processor thread' if threads == '1' else f'{threads} processor threads'} a run, "
        f"{'one run at a time' if together == 1 else f'up to {together} runs side by side'}",
    }


def precision(vaes: pd.DataFrame, summary: Summary, best: FinishedRun) -> str:
    """In what precision the networks were trained, as a sentence; what that cost where a run in float32 tells."""
    usual = best.record["provenance"]["precision"]
    sentence = PRECISIONS[usual]
    pairs = [] if usual == "float32" else _pairs(summary.runs("vae"), usual)
    if not pairs:
        return sentence
    fast, slow = (vaes.loc[run.name] for run in pairs[0])
    nll = vaes[vaes.model == fast.model].exact_nll
    longer, gain = slow.train_seconds / fast.train_seconds, fast.exact_nll - slow.exact_nll
    return (
        f"{sentence} The same run of `{fast.model}` trained in float32 took {longer:.1f} times as long and came out "
        f"{abs(gain):.2f} nats {'better' if gain > 0 else 'worse'}; seeds differ among themselves by up to "
        f"{nll.max() - nll.min():.2f}."
    )


def _pairs(runs: list[FinishedRun], usual: str) -> list[tuple[FinishedRun, FinishedRun]]:
    """Runs in the usual precision, each with its twin in float32, which differs in nothing else."""

    def rest(run: FinishedRun) -> dict[str, Any]:
        return {name: value for name, value in run.config.items() if name not in ("run_dir", "precision")}

    fast, slow = ([run for run in runs if run.record["provenance"]["precision"] == p] for p in (usual, "float32"))
    return [(one, twin) for twin in slow for one in fast if rest(one) == rest(twin)]


def _commit(summary: Summary, best: FinishedRun) -> dict[str, str]:
    """The best run's commit, and a half-sentence where the code of any run was not what its commit holds."""
    changed = any(str(record["provenance"]["commit"]).endswith("+") for record in summary.records.values())
    return {
        "commit": (best.record["provenance"]["commit"] or "unknown")[:10],
        "changes": ", with changes that are not committed" if changed else "",
    }


def _each(values: Iterable[Any]) -> str:
    """Every value once, in the order in which they come."""
    return " and ".join(dict.fromkeys(str(value) for value in values))
