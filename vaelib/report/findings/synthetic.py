"""What synthetic images change for a classifier, and which generator makes them."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaelib.models.classifier import ROTATION, SCALE, SHIFT
from vaelib.report import images, names, words
from vaelib.report.classifiers import Classifiers, Of
from vaelib.report.plain import in_usual_precision
from vaelib.report.words import points, told, with_interval
from vaelib.synthetic.arms import CHOICE_FRACTION, choice_images
from vaelib.synthetic.worth import Difference

TOLD = ("afresh", "further")  # arms whose change the prose quotes


def classifiers(frame: pd.DataFrame) -> dict[str, Any]:
    """The digit classifier's accuracy on the test images, and whether it was trained on moved images."""
    moved = f", turned, shifted and scaled at random (by at most {ROTATION:g}°, {SHIFT:g} pixels and {100 * SCALE:g} %)"
    affine = frame.augmentation.iloc[0] == "affine"
    return {"classifier": {"accuracy": with_interval(100 * frame.test_accuracy), "moved": moved if affine else ""}}


def generators(frame: pd.DataFrame, made_with: Classifiers, vaes: pd.DataFrame) -> dict[str, Any]:
    """The judge; how long generators were trained; and how those of the main table were chosen."""
    by_model = frame.groupby("model", sort=False).mean(numeric_only=True)
    described = made_with.described
    return {
        "judge": {"error": 100 * (1 - frame.judge_accuracy.mean())},
        "generators": {
            "images": f"{images.made(frame.iloc[0]):,}",
            "networks": _networks(frame),
            "chosen": described[made_with.generator],
            "choice": _choice(len(made_with.measured), [f"*{described[model]}*" for model in made_with.tabled[::-1]]),
            "shorter": _shorter(frame[frame.model == made_with.tabled[0]], vaes),
            "studied": described[made_with.studied],
            "filled": _filled({f"*{described[model]}*": 100 * share for model, share in _shares(by_model).items()}),
        },
    }


def _networks(frame: pd.DataFrame) -> str:
    """What the generators are, as the name of a thing: their networks and pixels."""
    networks = [f"*{names.network(architecture)}*" for architecture in frame.architecture.unique()]
    return f"a VAE with the network {words.alternatives(networks)} on grey pixels (protocol B)"


def _shares(by_model: pd.DataFrame) -> pd.Series:
    """By model, the share of images that only fill up a digit, where there are any."""
    shares = by_model.get("filled_share", pd.Series(dtype=float))
    return shares[shares > 0]


def _filled(per_cent: dict[str, float]) -> str:
    """Which generators make too few of some digits, as a sentence, or nothing."""
    each = [f"{share:.1f} % of the images of {model}" for model, share in per_cent.items()]
    begin = "Of a digit that comes too rarely, the samples most like it are taken"
    return f" {begin}: {words.listed(each)}." if each else ""


def _choice(measured: int, tabled: Sequence[str]) -> str:
    """How the main table's generators were chosen among so many, as a sentence; the best comes first."""
    if measured == len(tabled):
        only = f"@tbl:augmentation has {words.listed(tabled)}, the only one{'s' if measured > 1 else ''}"
        return f"{only} in two dimensions that {'were' if measured > 1 else 'was'} measured at all sizes."
    best = f"Of those in two dimensions that were measured at all sizes, @tbl:augmentation has the best, {tabled[0]}"
    return f"{best}, and the best that knows no labels, {tabled[1]}." if len(tabled) > 1 else f"{best}."


def _shorter(own: pd.DataFrame, vaes: pd.DataFrame) -> str:
    """A sentence on a generator that made fewer updates than a VAE of its network and pixels, or nothing."""
    like = in_usual_precision(vaes).query("objective == 'elbo' and protocol == 'B'")
    like = like[like.architecture == own.architecture.iloc[0]]
    updates = [_updates(runs.iloc[0]) for runs in (own, like) if len(runs)]
    if len(updates) < 2 or updates[0] >= updates[1]:
        return ""
    return (
        f" For time's sake it makes {updates[0]:,} updates, where the same network in @tbl:results makes "
        f"{updates[1]:,}: longer trained ones might do better."
    )


def _updates(run: pd.Series) -> int:
    """How many updates a run's training has."""
    return math.ceil(images.trained_on(run) / int(run.batch_size)) * int(run.epochs)


def synthetic_worth(frame: pd.DataFrame, generators: pd.DataFrame, trained: Classifiers) -> dict[str, Any]:
    """What arms change at the fraction of all comparisons, under both budgets, and what synthetic ones do elsewhere."""
    values: dict[str, Any] = {
        "percent": f"{100 * CHOICE_FRACTION:.0f}",
        "fractions": words.alternatives(f"{100 * each:.0f}" for each in trained.fractions),
        "real_images": f"{trained.real_images(CHOICE_FRACTION):,}",
        "choice_images": f"{len(choice_images(generators.dataset.iloc[0])[1].labels):,}",
        "updates_made": f"{trained.updates:,}",
        "batch": int(frame.batch_size.iloc[0]),
        "answer": _answer(trained),
        "leads": _leads(trained),
        "beyond": _beyond(trained),
        "synthetic_only": words.as_text(*(100 * number for number in trained.accuracy(Of("synthetic_only")))),
        "moved": points(trained.change(Of("afresh_synthetic"), "afresh")),
        "moved_told": told(trained.change(Of("afresh_synthetic"), "afresh")),
        "useful": f"{100 * words.USEFUL:g}",
        "by_updates": _by_updates(trained),
    }
    for arm in TOLD:
        change = trained.change(Of(arm, generator=trained.generator))
        values |= {arm: points(change), f"{arm}_told": told(change)}
    return {"worth": values}


def _leads(trained: Classifiers) -> str:
    """That moving the real images certainly helps more than adding any synthetic ones, where it does; else nothing."""
    leads = [trained.change(Of("afresh", generator=model), "synthetic") for model in trained.tabled]
    if any(told(change) != "a gain" for change in [trained.change(Of("afresh")), *leads]):
        return ""
    return f", certainly more than images of {'either of these VAEs' if len(leads) > 1 else 'this VAE'}"


def _by_updates(trained: Classifiers) -> str:
    """What synthetic images change on validation images after the fewest, the usual and the most updates."""
    lengths = trained.lengths()
    of = {n: Of("synthetic", updates=n, measured="validation") for n in (lengths[0], trained.updates, lengths[-1])}
    changes = [(n, change) for n, each in sorted(of.items()) if (change := trained.change(each)) is not None]
    units = [(" points", " updates"), *[("", "")] * len(changes)]
    return words.listed(
        f"{points(change)}{accuracy} ({n:,}{length}{'; 1 run' if change.runs == 1 else ''})"
        for (n, change), (accuracy, length) in zip(changes, units, strict=False)
    )


def _answer(trained: Classifiers) -> str:
    """The accuracies of the real images at all fractions, and what synthetic ones change there, as sentences."""
    sizes = words.listed(f"{100 * at:.0f}" for at in trained.fractions)
    real = words.listed(f"{100 * trained.accuracy(Of('real', at))[0]:.2f}" for at in trained.fractions)
    changes = "; those of ".join(
        _told_of(trained, model, " change it" * (not n)) for n, model in enumerate(trained.tabled)
    )
    sentences = [
        f"With {sizes} % of the half the test accuracy is {real} %.",
        f"In equally many updates as many images of {changes}.",
        _uninformative(trained),
    ]
    if any(_changes(trained, model, "epochs") for model in trained.tabled):
        sentences.append(_longer(trained))
    return " ".join(filter(None, sentences))


def _told_of(trained: Classifiers, model: str, verb: str) -> str:
    """What a generator's images change at all fractions under both budgets, behind whose they are."""
    by_updates, by_epochs = (_changes(trained, model, budget) for budget in ("updates", "epochs"))
    whose = f"*{trained.described[model]}*"
    if model in trained.unlabelled:
        whose = f"a VAE as in @sec:results ({whose})"
    epochs = f"; with equal epochs by {_listed(by_epochs)}: {_verdicts(by_epochs)}" if by_epochs else ""
    return f"{whose}{verb} by {_listed(by_updates)}{' points' if verb else ''}: {_verdicts(by_updates)}{epochs}"


def _listed(changes: dict[float, Difference]) -> str:
    return words.listed(map(points, changes.values() or [None]))


def _longer(trained: Classifiers) -> str:
    """What equal epochs do without any added image: as many updates on the real ones alone, as a sentence."""
    change = trained.longer()
    at = f"at {100 * CHOICE_FRACTION:.0f} %"
    return f"Twice the updates alone, on the real images, change it by {points(change)} {at}." if change else ""


def _uninformative(trained: Classifiers) -> str:
    """Where even further real images bring no certain gain in as many updates, as a sentence; or nothing."""
    changes = {at: trained.change(Of("further", at)) for at in trained.fractions}
    weak = {at: change for at, change in changes.items() if change and change.runs > 1 and told(change) != "a gain"}
    if not weak:
        return ""
    by_epochs = [trained.change(Of("further", at, budget="epochs")) for at in weak]
    epochs = f", with equal epochs by {words.listed(map(points, by_epochs))}" if all(by_epochs) else ""
    return (
        f"At {words.listed(f'{100 * at:.0f}' for at in weak)} % equal updates say little: even further real images "
        f"change it there by {words.listed(map(points, weak.values()))}{epochs}."
    )


def _changes(trained: Classifiers, model: str, budget: str) -> dict[float, Difference]:
    """What a generator's images change, by the fraction."""
    each = {at: trained.change(Of("synthetic", at, model, budget)) for at in trained.fractions}
    return {at: change for at, change in each.items() if change is not None}


def _verdicts(changes: dict[float, Difference]) -> str:
    """What may be said of changes, each verdict once, with the fractions that it holds for where there are several."""
    sizes: dict[str, list[str]] = {}
    for at, change in changes.items():
        sizes.setdefault(told(change), []).append(f"{100 * at:.0f}")
    if len(sizes) == 1:
        return next(iter(sizes))
    return words.listed(f"{verdict} at {words.listed(at)} %" for verdict, at in sizes.items())


def _beyond(trained: Classifiers) -> str:
    """What images of generators outside the main table change at the fraction of all comparisons, as a sentence."""
    outside = [model for model in (trained.studied, *trained.others()) if model not in trained.tabled]
    parts = []
    for model in outside:
        if (change := trained.change(Of("synthetic", generator=model))) is not None:
            parts.append(f"{points(change)} (*{trained.described[model]}*: {told(change)})")
    others = "Images of other generators, added to the real ones as they are, change it by"
    return f" {others} {words.listed(parts)}." if parts else ""
