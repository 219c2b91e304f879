"""The numbers that the report's prose quotes, by the names of their placeholders."""

import math
from typing import Any

import numpy as np
import pandas as pd

from vaelib.synthetic import worth
from vaelib.synthetic.arms import CHOICE_FRACTION
from vaelib.measure.metrics import CLASSES, mean_interval
from vaelib.report.summary import Summary, as_text, with_interval
from vaelib.report.tables import gains, importance_weighted


def ranking(vaes: pd.DataFrame) -> list[str]:
    """The architectures under protocol A, without variations of their training, best first by exact likelihood."""
    plain = vaes[(vaes.protocol == "A") & (vaes.model == vaes.architecture)]
    return list(plain.groupby("model").exact_nll.mean().sort_values().index)


def first_run(model: str) -> str:
    """The run of a model that the report shows in detail."""
    return f"vae/{model}-seed0"


def comparison(vaes: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    """The best, the second and the last architecture: likelihoods, gaps and the parts of the ELBO."""
    means = vaes[vaes.model.isin(order)].groupby("model").mean(numeric_only=True)
    means["gap"] = -means.elbo - means.exact_nll
    means["amortisation_share"] = 100 * means.amortisation_gap / (means.approximation_gap + means.amortisation_gap)
    best, second, last = order[0], order[1], order[-1]
    columns = ["gap", "approximation_gap", "amortisation_gap", "amortisation_share", "kl", "reconstruction"]
    nll = means.exact_nll

    def likelihoods(model: str) -> dict[str, str]:
        runs = vaes[vaes.model == model]
        return {"nll": with_interval(runs.exact_nll), "bound": with_interval(importance_weighted(runs))}

    return {
        "best": {"model": best, **likelihoods(best), **means.loc[best, columns]},
        "mlp": likelihoods("mlp"),
        "second": {"model": second, "behind": nll[second] - nll[best], "caution": _caution(vaes, best, second)},
        "worst": {"model": last, "behind": nll[last] - nll[best], **means.loc[last, columns]},
        "one_in": f"{math.exp(means.kl[best]):,.0f}",
    }


def curves(history: pd.DataFrame) -> dict[str, Any]:
    """What the validation ELBO gained over the last fifth of the epochs: whether the training had come to its end."""
    elbo = history[history.phase == "model"].validation_elbo.to_numpy()
    return {"curves": {"last": f"{elbo[-1] - elbo[-1 - max(1, len(elbo) // 5)]:.2f}" if len(elbo) > 1 else "0"}}


def checks(vaes: pd.DataFrame, best: str) -> dict[str, Any]:
    """The quadrature's errors and the identities between the protocols."""
    shown = vaes.loc[first_run(best)]
    return {
        "quadrature": {"error": vaes.exact_nll_error.max(), "worst": vaes.exact_nll_worst_error.max()},
        "entropy": shown.pixel_entropy,
        "identity": {
            "difference": shown.identity_elbo_difference,
            "error": shown.identity_elbo_standard_error,
            "smallest": vaes.identity_smallest_excess.min(),
            "runs": int(vaes.identity_smallest_excess.count()),
            "excess": shown.identity_grey_nll - shown.identity_dynamic_nll,
        },
    }


def failures(vaes: pd.DataFrame, arrays: dict[str, np.ndarray], best: str) -> dict[str, Any]:
    """What goes wrong with the best model: worst images, confusions, holes, shares of the digits."""
    shown = vaes.loc[first_run(best)]
    amortisation = np.sort(arrays["amortisation_gap"])[::-1]
    wrong = arrays["confusions"] * (1 - np.eye(10))
    pairs = [np.unravel_index(i, wrong.shape) for i in wrong.ravel().argsort()[::-1][:3]]
    shares = arrays["class_shares"]
    return {
        "failure": {
            "lowest": arrays["log_px"].min(),
            "largest_gap": (arrays["approximation_gap"] + arrays["amortisation_gap"]).max(),
            "top_share": 100 * amortisation[: max(1, len(amortisation) // 10)].sum() / amortisation.sum(),
        },
        "confusions": ", ".join(f"{100 * wrong[i, j]:.0f} % of the {i}s (for {j})" for i, j in pairs),
        "hole": 100 * shown.hole_share,
        "share": {
            "most": int(shares.argmax()),
            "most_percent": 100 * shares.max(),
            "fewest": int(shares.argmin()),
            "fewest_percent": 100 * shares.min(),
        },
        "knn": {str(n): 100 * shown[f"knn_accuracy_{n}"] for n in (100, 600, 1000)},
    }


def precision(vaes: pd.DataFrame) -> str:
    """What bfloat16 cost, as a sentence, where a run in float32 tells."""
    plain = "Matrix products in training run in bfloat16 where the processor has it, all measurements in float32."
    twin = vaes[vaes.model.str.endswith("-float32")]
    if twin.empty:
        return plain
    slow, model = twin.iloc[0], twin.model.iloc[0].removesuffix("-float32")
    fast, nll = vaes.loc[f"vae/{model}-seed{slow.seed}"], vaes[vaes.model == model].exact_nll
    longer, gain = slow.train_seconds / fast.train_seconds, fast.exact_nll - slow.exact_nll
    return (
        f"{plain} The same run of `{model}` trained in float32 took {longer:.1f} times as long and came out "
        f"{abs(gain):.2f} nats {'better' if gain > 0 else 'worse'}; seeds differ among themselves by up to "
        f"{nll.max() - nll.min():.2f}."
    )


def provenance(summary: Summary, best: str) -> dict[str, Any]:
    """What the numbers were computed with, and from how many images."""
    record = summary.records[first_run(best)]
    return {
        "provenance": {
            "torch": record["provenance"]["versions"]["torch"],
            "device": record["provenance"]["device"],
            "commit": (record["provenance"]["commit"] or "unknown")[:10],
        },
        "count": {
            "test": len(summary.arrays(first_run(best))["labels"]),
            "gap": int(record["metrics"]["gap_images"]),
        },
    }


def classifiers(frame: pd.DataFrame) -> dict[str, Any]:
    """The digit classifier's accuracy on the test images."""
    accuracy = frame.test_accuracy
    return {
        "classifier": {
            "accuracy": with_interval(100 * accuracy),
            "seeds": len(frame),
            "parameters": f"{frame.parameters.iloc[0]:,.0f}",
            "images": f"{frame.train_images.iloc[0] or 55_000:,}",
        }
    }


def generators(frame: pd.DataFrame, augmentation: pd.DataFrame, chosen: str) -> dict[str, Any]:
    """The judge, the best and the worst of the generators, and what further real images gain on validation images."""
    gain = 100 * worth.change(augmentation, CHOICE_FRACTION, "further", "updates", "validation_accuracy")
    by_name = frame.set_index("model")
    worth = {model: np.mean(gains(run, augmentation)) for model, run in by_name.iterrows()}
    return {
        "judge": {"accuracy": 100 * frame.judge_accuracy.iloc[0], "error": 100 * (1 - frame.judge_accuracy.iloc[0])},
        "generators": {
            "ceiling": with_interval(gain),
            "images": f"{frame['images'].iloc[0] or 30_000:,}",
            "chosen": chosen,
            "chosen_latent": int(by_name.latent_dim[chosen]),
            "chosen_beta": f"{by_name.beta[chosen]:g}",
            "chosen_rank": _ordinal(sorted(worth, key=worth.get, reverse=True).index(chosen) + 1),
            "count": len(worth),
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


def synthetic_worth(frame: pd.DataFrame, fraction: float = 0.2) -> dict[str, Any]:
    """What synthetic images change at one fraction, under both budgets, what further real ones do, and the rates."""
    chosen = frame[np.isclose(frame.fraction, fraction)]
    mean, half = mean_interval(100 * worth.change(frame, fraction, "synthetic", "updates"))
    values = {
        "verdict": _verdict(mean, half),
        "exchange": _exchange(frame, fraction),
        "seeds": int(chosen.seed.nunique()),
        "real_images": f"{chosen.real_images.iloc[0]:,.0f}",
        "updates_made": f"{chosen.updates.iloc[0]:,}",
        "batch": int(chosen.batch_size.iloc[0]),
        "passes": chosen.updates.iloc[0] * chosen.batch_size.iloc[0] / chosen.real_images.iloc[0],
        "fewest_passes": chosen.updates.iloc[0] * chosen.batch_size.iloc[0] / frame.real_images.max() / 2,
        "elsewhere": " and ".join(
            f"{with_interval(100 * worth.change(frame, other, 'synthetic', 'updates'))} at {100 * other:.0f} %"
            for other in sorted(frame.fraction.unique())
            if not np.isclose(other, fraction)
        ),
    }
    for budget in ("updates", "epochs"):
        for arm in ("synthetic", "duplicated", "affine", "further", "synthetic_only"):
            values[f"{budget}.{arm}"] = with_interval(100 * worth.change(frame, fraction, arm, budget))
    synthetic = {b: worth.change(frame, fraction, "synthetic", b) for b in ("updates", "epochs")}
    values["trap"] = with_interval(100 * (synthetic["epochs"] - synthetic["updates"]))
    only = 100 * worth.by_seed(frame, fraction, "synthetic_only", "updates")
    return {"worth": values | {"synthetic_only": with_interval(only)}}


def accuracy_points(frame: pd.DataFrame, arms: list[str], budget: str = "updates") -> pd.DataFrame:
    """Accuracy in per cent by arm, number of real images and seed, of the arms that were trained there."""
    long = frame.melt(["real_images", "seed"], [f"test_accuracy_{arm}_{budget}" for arm in arms], "arm", "accuracy")
    arm = long.arm.str.removeprefix("test_accuracy_").str.removesuffix(f"_{budget}")
    return long.assign(arm=arm, accuracy=100 * long.accuracy).dropna()


def digit_changes(frame: pd.DataFrame, arm: str, fraction: float = 0.2) -> list[tuple[float, float]]:
    """Change of the accuracy on each digit in points, with the half-width of its interval."""
    changes = (worth.change(frame, fraction, arm, "updates", f"test_accuracy_{digit}") for digit in range(CLASSES))
    return [mean_interval(100 * change) for change in changes]


def _exchange(frame: pd.DataFrame, fraction: float) -> str:
    """What synthetic images are worth in further real ones, as a sentence; there is no answer if these change nothing.

    A ratio to a change that is not distinguishable from 0 would be any number at all, and so would one whose interval
    is wider than from 0 to 1 anyway.
    """
    mean, half = mean_interval(worth.change(frame, fraction, "further", "updates"))
    share, uncertainty = worth.recovered(frame, fraction, "updates")
    if not (mean > half and uncertainty < 0.5):
        return "What that is worth in further real images cannot be said from so few seeds."
    recovered = as_text(100 * share, 100 * uncertainty, digits=0)
    rate = as_text(*worth.exchange_rate(frame, fraction, "updates"))
    return (
        f"So they bring {recovered} % of what as many further real images bring, and one synthetic image is worth "
        f"{rate} further real ones (between $N$ and $2N$ images the error is taken to fall as a power of their number; "
        "the intervals are those of the synthetic images' change alone)."
    )


def _caution(vaes: pd.DataFrame, best: str, second: str) -> str:
    """What to say of a lead that is not larger than the 95 % interval over seeds of either model."""
    first, other = (mean_interval(vaes[vaes.model == model].exact_nll) for model in (best, second))
    apart = other[0] - first[0] > np.nanmax([0.0, first[1], other[1]])  # one seed has no interval
    return "" if apart else " (less than the 95 % interval over seeds, so not for certain)"


def _ordinal(place: int) -> str:
    return {1: "the highest", 2: "the second highest", 3: "the third highest"}.get(place, f"the {place}th highest")


def _verdict(change: float, half: float) -> str:
    if math.isnan(half) or abs(change) <= half:
        return "do not measurably change"
    return "raise" if change > 0 else "lower"
