"""The tables of what added images change for a classifier: by fraction, by arm, and by generator."""

import itertools
from collections.abc import Iterable, Iterator

import pandas as pd

from vaelib.report import names
from vaelib.report.classifiers import Classifiers, Of
from vaelib.report.words import as_text, points, with_interval
from vaelib.synthetic.arms import ARMS, UNSURE_POOL

BUDGETS = {"updates": "equal updates", "epochs": "equal epochs, so twice the updates"}
AGAINST = {  # the arms of the second table: what each is compared with, by what they have in common
    "Without a generator": {"duplicated": "real", "affine": "real", "afresh": "real", "further": "real"},
    "With images of: {studied}": {
        name: "real"
        for name in (
            "synthetic_only", "synthetic_quarter", "synthetic_half", "synthetic", "synthetic_double",
            "synthetic_fourfold", "synthetic_unsure",
        )
    },
    "Beside moved copies": {"affine_and_synthetic": "affine", "afresh_synthetic": "afresh"},
}  # fmt: skip

EXPLAINED = {  # arms whose labels do not say all
    "duplicated": "every real image two times",
    "affine": "copies turned, shifted and scaled once and for all",
    "afresh": "all images turned, shifted and scaled anew in every batch",
    "synthetic_unsure": f"of {UNSURE_POOL} times as many, those of which a classifier of the real images is least sure",
}


def by_fraction(classifiers: Classifiers) -> pd.DataFrame:
    """Test accuracy without and with synthetic images, by generator, budget and fraction, and what they change.

    A budget under which a generator's images were not measured is left out.
    """
    rows = []
    for model, (budget, title) in itertools.product(classifiers.tabled, BUDGETS.items()):
        described = classifiers.described[model]
        for fraction in classifiers.fractions:
            of = Of("synthetic", fraction, model, budget)
            if not classifiers.trained(of):
                continue
            rows.append(
                {
                    "images of": f"{described[0].upper()}{described[1:]}; {title}",
                    "half used": f"{100 * fraction:.0f} %",
                    "real images": f"{classifiers.real_images(fraction):,}",
                    "real (%)": _percent(classifiers, of._replace(arm="real")),
                    "real + synthetic (%)": _percent(classifiers, of),
                    "change (points)": points(classifiers.change(of)),
                    "change by further real": points(classifiers.change(of._replace(arm="further"))),
                    "runs": f"{len(classifiers.trained(of))}",
                }
            )
    return pd.DataFrame(rows)


def by_arm(classifiers: Classifiers) -> pd.DataFrame:
    """Test accuracy of every arm at the smallest fraction, equal updates, and its change against a simpler arm.

    Arms of other generators come last, at all fractions they were trained at.
    """
    return pd.DataFrame(_arms(classifiers))


def _arms(classifiers: Classifiers) -> Iterator[dict[str, str]]:
    for title, arms in AGAINST.items():
        kind = title.format(studied=classifiers.described[classifiers.studied])
        for arm, against in arms.items():
            yield from _row(classifiers, kind, ARMS[arm].label, Of(arm), against)
    for model in classifiers.others():
        if model in classifiers.tabled:
            continue
        kind = f"With images of: {classifiers.described[model]}"
        for fraction in classifiers.fractions:
            label = f"real + synthetic, {100 * fraction:.0f} %"
            yield from _row(classifiers, kind, label, Of("synthetic", fraction, model))


def explained(table: pd.DataFrame) -> str:
    """What arms in the table by arm are whose labels do not say all."""
    shown = {name: text for name, text in EXPLAINED.items() if ARMS[name].label in set(table["trained on"])}
    return "; ".join(f"*{ARMS[name].label}*: {text}" for name, text in shown.items())


def _row(classifiers: Classifiers, title: str, label: str, of: Of, against: str = "real") -> Iterator[dict[str, str]]:
    """The row of an arm, where it was trained."""
    if (change := classifiers.change(of, against)) is not None:
        yield {
            "kind": title,
            "trained on": label,
            "accuracy (%)": _percent(classifiers, of),
            "against": ARMS[against].label,
            "change (points)": points(change),
            "runs": f"{change.runs}",
        }


def generators(synthesis: pd.DataFrame, classifiers: Classifiers) -> pd.DataFrame:
    """Every generator's label error, classification accuracy score, gain on validation images, and speed.

    The most useful come first.
    """
    rows = []
    for model, runs in synthesis.groupby("model", sort=False):
        gain = classifiers.gain(model)
        rows.append(
            {
                "generator": names.generator(runs.iloc[0]),
                "label error (%)": with_interval(100 * runs.label_error, digits=1),
                "CAS (%)": with_interval(100 * runs.cas),
                "gain on validation (points)": points(gain),
                "runs": f"{len(runs)}",
                "mean gain": gain.mean if gain else -1.0,
            }
        )
    ranked = pd.DataFrame(rows).sort_values("mean gain", ascending=False, kind="stable")
    return ranked.drop(columns="mean gain").reset_index(drop=True)


def by_images(classifiers: Classifiers, arms: Iterable[str]) -> pd.DataFrame:
    """Test accuracy in per cent by arm, number of real images and seed: the main table's generator, equal updates."""
    return pd.DataFrame(
        {
            "arm": arm,
            "real_images": classifiers.real_images(fraction),
            "seed": own.seed,
            "accuracy": 100 * own.correct.mean(),
        }
        for arm in arms
        for fraction in classifiers.fractions
        for own in classifiers.trained(Of(arm, fraction, classifiers.generator))
    )


def by_updates(classifiers: Classifiers, arms: Iterable[str]) -> pd.DataFrame:
    """Validation accuracy in per cent by arm, number of updates and seed, where generators are chosen."""
    return pd.DataFrame(
        {"arm": arm, "updates": updates, "seed": own.seed, "accuracy": 100 * own.correct.mean()}
        for arm in arms
        for updates in classifiers.lengths()
        for own in classifiers.trained(Of(arm, updates=updates, measured="validation"))
    )


def _percent(classifiers: Classifiers, of: Of) -> str:
    mean, half = classifiers.accuracy(of)
    return as_text(100 * mean, 100 * half)
