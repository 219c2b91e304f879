"""What synthetic images change for a classifier, and which generator makes them."""

from typing import Any

import pandas as pd

from vaelib.report import images, names, words
from vaelib.report.classifiers import Classifiers, Of
from vaelib.report.words import points, told, with_interval
from vaelib.synthetic.arms import CHOICE_FRACTION, choice_images

TOLD = ("synthetic", "afresh", "further")  # arms whose change the prose quotes


def classifiers(frame: pd.DataFrame) -> dict[str, Any]:
    """The digit classifier's accuracy on the test images."""
    return {"classifier": {"accuracy": with_interval(100 * frame.test_accuracy)}}


def generators(frame: pd.DataFrame, made_with: Classifiers) -> dict[str, Any]:
    """The judge; and how the main table's generator was chosen."""
    by_model = frame.groupby("model", sort=False).mean(numeric_only=True)
    described = {model: names.generator(runs.iloc[0]) for model, runs in frame.groupby("model", sort=False)}
    gains = {model: gain.mean for model in by_model.index if (gain := made_with.gain(model)) is not None}
    in_plane = {model: gain for model, gain in gains.items() if by_model.latent_dim[model] == 2}
    ranked = sorted(in_plane, key=in_plane.get, reverse=True)
    return {
        "judge": {"error": 100 * (1 - frame.judge_accuracy.mean())},
        "generators": {
            "images": f"{images.made(frame.iloc[0]):,}",
            "networks": _networks(frame),
            "chosen": described[made_with.generator],
            "chosen_place": f"place {ranked.index(made_with.generator) + 1} of {len(ranked)}",
            "choice": _choice([f"*{described[model]}*" for model in made_with.measured]),
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


def _choice(measured: list[str]) -> str:
    """How the main table's generator was chosen, as a sentence; the first of those it could be is the chosen one."""
    if len(measured) == 1:
        return f"@tbl:augmentation has {measured[0]}, the only one in two dimensions that was measured at all sizes."
    several = f"In two dimensions {words.listed(measured)} were measured at all sizes"
    return f"{several}; @tbl:augmentation has the first of them by this gain, {measured[0]}."


def synthetic_worth(frame: pd.DataFrame, generators: pd.DataFrame, trained: Classifiers) -> dict[str, Any]:
    """What arms change at the fraction of all comparisons, under both budgets, and what synthetic ones do elsewhere."""
    values: dict[str, Any] = {
        "percent": f"{100 * CHOICE_FRACTION:.0f}",
        "fractions": words.alternatives(f"{100 * each:.0f}" for each in trained.fractions),
        "real_images": f"{trained.real_images(CHOICE_FRACTION):,}",
        "choice_images": f"{len(choice_images(generators.dataset.iloc[0])[1].labels):,}",
        "updates_made": f"{trained.updates:,}",
        "batch": int(frame.batch_size.iloc[0]),
        "plain": _plain(trained),
        "elsewhere": _elsewhere(trained),
        "beyond": _beyond(generators, trained),
        "synthetic_only": words.as_text(*(100 * number for number in trained.accuracy(Of("synthetic_only")))),
        "moved": points(trained.change(Of("afresh_synthetic"), "afresh")),
        "moved_told": told(trained.change(Of("afresh_synthetic"), "afresh")),
        "epochs": _equal_epochs(trained),
        "longer": points(trained.longer()),
    }
    for arm in TOLD:
        change = trained.change(Of(arm, generator=trained.generator))
        values |= {arm: points(change), f"{arm}_told": told(change)}
    return {"worth": values}


def _plain(trained: Classifiers) -> str:
    """The plain answer as a sentence, where moving the real images helps and adding synthetic ones does not."""
    of = Of("real", generator=trained.generator)
    helps = {arm: told(trained.change(of._replace(arm=arm))) == "a gain" for arm in ("afresh", "synthetic")}
    real = f"{trained.real_images(CHOICE_FRACTION):,} real digits"
    sentence = f"With {real} it is better to move them than to add images of a two-dimensional VAE. "
    return sentence if helps["afresh"] and not helps["synthetic"] else ""


def _elsewhere(trained: Classifiers) -> str:
    """What synthetic images change at the other fractions, as a sentence; nothing where there is no other."""
    others = [fraction for fraction in trained.fractions if fraction != CHOICE_FRACTION]
    changes = {fraction: trained.change(Of("synthetic", fraction, trained.generator)) for fraction in others}
    each = [f"{points(change)} points at {100 * at:.0f} % ({told(change)})" for at, change in changes.items()]
    return f" The change is {words.listed(each)}." if each else ""


def _equal_epochs(trained: Classifiers) -> str:
    """What the images of the main table change under equal epochs, as the end of a sentence, or nothing."""
    change = trained.change(Of("synthetic", generator=trained.generator, budget="epochs"))
    return f"; the synthetic images with equal epochs change it by {points(change)}" if change else ""


def _beyond(generators: pd.DataFrame, trained: Classifiers) -> str:
    """What images of generators outside the main table change at the fraction of all comparisons, as a sentence."""
    outside = [model for model in (trained.studied, *trained.others()) if model != trained.generator]
    parts = []
    for model in outside:
        if (change := trained.change(Of("synthetic", generator=model))) is not None:
            described = names.generator(generators[generators.model == model].iloc[0])
            parts.append(f"{points(change)} (*{described}*: {told(change)})")
    others = "Images of other generators, added to the real ones as they are, change it by"
    return f" {others} {words.listed(parts)}." if parts else ""
