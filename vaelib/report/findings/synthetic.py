"""What synthetic images change for a classifier, and which generator makes them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vaelib.measure.intervals import mean_interval
from vaelib.report import words
from vaelib.report.summary import FinishedRun
from vaelib.report.tables import gains
from vaelib.report.words import with_interval
from vaelib.synthetic import worth
from vaelib.synthetic.arms import BUDGETS, CHOICE_FRACTION


def classifiers(frame: pd.DataFrame) -> dict[str, Any]:
    """The digit classifier's accuracy on the test images."""
    return {
        "classifier": {
            "accuracy": with_interval(100 * frame.test_accuracy),
            "seeds": len(frame),
            "parameters": f"{frame.parameters.iloc[0]:,.0f}",
            "images": f"{frame.train_images.iloc[0] or 55_000:,}",
        }
    }


def generators(frame: pd.DataFrame, augmentation: pd.DataFrame, chosen: str) -> dict[str, Any]:
    """The judge, the best and the worst of the generators, and what further real images gain on validation images."""
    ceiling = 100 * worth.change(augmentation, CHOICE_FRACTION, "further", "updates", "validation_accuracy")
    by_name = frame.set_index("model")
    gain = {model: np.mean(gains(run, augmentation)) for model, run in by_name.iterrows()}
    return {
        "judge": {"error": 100 * (1 - frame.judge_accuracy.iloc[0])},
        "generators": {
            "ceiling": with_interval(ceiling),
            "images": f"{frame['images'].iloc[0] or 30_000:,}",
            "chosen": chosen,
            "chosen_latent": int(by_name.latent_dim[chosen]),
            "chosen_beta": f"{by_name.beta[chosen]:g}",
            "chosen_rank": words.place(sorted(gain, key=gain.get, reverse=True).index(chosen) + 1),
            "count": len(gain),
            "cleanest": by_name.label_error.idxmin(),
            "cleanest_error": 100 * by_name.label_error.min(),
            "dirtiest": by_name.label_error.idxmax(),
            "dirtiest_error": 100 * by_name.label_error.max(),
            "best_cas_name": by_name.cas.idxmax(),
            "best_cas": 100 * by_name.cas.max(),
            "worst_cas_name": by_name.cas.idxmin(),
            "worst_cas": 100 * by_name.cas.min(),
        },
    }


def chosen(values: Mapping[str, Any], run: FinishedRun) -> dict[str, Any]:
    """How the generator that was chosen for the classifier makes images, and what of the unusual ones it passes on.

    `values` are those of `generators`.
    """
    name, latent = f"`{values['chosen']}`", values["chosen_latent"]
    images = f"decoded draws of the prior, in {latent} latent dimensions"
    passes_on = f"{name} does not start from them: it decodes draws of the prior."
    if run.config["generator"] == "around":
        images = f"noisy reconstructions, from {latent} latent dimensions, of real images which the classifier has not "
        images += "seen"
        passes_on = (
            f"{name} does: it decodes draws from the posteriors of the first half's images themselves "
            f"($\\beta = {values['chosen_beta']}$, {latent} latents), so that its images are real ones seen through "
            "noise."
        )
    return {"chosen": {"images": images, "passes_on": passes_on}}


def synthetic_worth(frame: pd.DataFrame, fraction: float = CHOICE_FRACTION) -> dict[str, Any]:
    """What synthetic images change at one fraction, under both budgets, what further real ones do, and the rates."""
    chosen = frame[np.isclose(frame.fraction, fraction)]
    seen = chosen.updates.iloc[0] * chosen.batch_size.iloc[0]
    synthetic = {budget: worth.change(frame, fraction, "synthetic", budget) for budget in BUDGETS}
    values = {
        "percent": f"{100 * fraction:.0f}",
        "fractions": words.alternatives(f"{100 * each:.0f}" for each in sorted(frame.fraction.unique())),
        "verdict": words.verdict(*mean_interval(100 * synthetic["updates"])),
        "exchange": _exchange(frame, fraction),
        "seeds": int(chosen.seed.nunique()),
        "real_images": f"{chosen.real_images.iloc[0]:,.0f}",
        "updates_made": f"{chosen.updates.iloc[0]:,}",
        "batch": int(chosen.batch_size.iloc[0]),
        "passes": seen / chosen.real_images.iloc[0],
        "fewest_passes": seen / frame.real_images.max() / 2,
        "most_percent": f"{100 * frame.fraction.max():.0f}",
        "elsewhere": _elsewhere(frame, fraction),
        "trap": with_interval(100 * (synthetic["epochs"] - synthetic["updates"])),
        "synthetic_only": with_interval(100 * worth.by_seed(frame, fraction, "synthetic_only", "updates")),
    }
    for budget in BUDGETS:
        for arm in ("synthetic", "duplicated", "affine", "further"):
            values[f"{budget}.{arm}"] = with_interval(100 * worth.change(frame, fraction, arm, budget))
    return {"worth": values}


def _elsewhere(frame: pd.DataFrame, fraction: float) -> str:
    """What synthetic images change at the other fractions, as a sentence; nothing where there is no other."""
    others = [other for other in sorted(frame.fraction.unique()) if not np.isclose(other, fraction)]
    changes = " and ".join(
        f"{with_interval(100 * worth.change(frame, other, 'synthetic', 'updates'))} at {100 * other:.0f} %"
        for other in others
    )
    numbers = "more" if others and min(others) > fraction else "other numbers of"
    return f" With {numbers} real images the change by synthetic ones is {changes}." if others else ""


def _exchange(frame: pd.DataFrame, fraction: float) -> str:
    """What synthetic images are worth in further real ones, as a sentence; there is no answer if these change nothing.

    A ratio to a change that is not distinguishable from 0 would be any number at all, and so would one whose interval
    is wider than from 0 to 1 anyway.
    """
    mean, half = mean_interval(worth.change(frame, fraction, "further", "updates"))
    share, uncertainty = worth.recovered(frame, fraction, "updates")
    if not (mean > half and uncertainty < 0.5):
        return "What that is worth in further real images cannot be said from so few seeds."
    recovered = words.as_text(100 * share, 100 * uncertainty, digits=0)
    rate = words.as_text(*worth.exchange_rate(frame, fraction, "updates"))
    return (
        f"So they bring {recovered} % of what as many further real images bring, and one synthetic image is worth "
        f"{rate} further real ones (between $N$ and $2N$ images the error is taken to fall as a power of their number; "
        "the intervals are those of the synthetic images' change alone)."
    )
