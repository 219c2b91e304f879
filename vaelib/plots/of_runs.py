"""The figures of each notebook, drawn from what its run keeps: the notebook and the report show the same ones.

`arrays` are those of a run's `arrays.safetensors`, by name.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vaelib.exact.aggregate import EXTENT
from vaelib.measure.plane import PATHS
from vaelib.plots import charts, figures

Arrays = Mapping[str, np.ndarray]

TELLING = ("median\ngap", "largest\napproximation gap", "largest\namortisation gap", "lowest\nlog p(x)")
DIGITS = "0123456789"


def part(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix` and a dot, by the rest of their names."""
    return {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}


# --- vae.ipynb ---------------------------------------------------------------------------------------------------


def reconstructions(arrays: Arrays, name: str) -> Figure:
    """Test images, each beside its reconstruction."""
    return _sheet(arrays["reconstructions"], 8, f"{name}: reconstructions", "Reconstructions of the model.")


def samples(arrays: Arrays, name: str) -> Figure:
    """Decoded draws of the prior."""
    return _sheet(arrays["samples"], 20, f"{name}: samples", "Samples of the model.")


def manifold(arrays: Arrays) -> Figure:
    """Decoded latents on a grid of equal prior probability."""
    return figures.manifold(arrays["manifold"])


def latent_scatter(arrays: Arrays) -> Figure:
    """Posterior means of the test images, by digit."""
    return figures.latent_scatter(arrays["mean"], arrays["labels"])


def confusions(arrays: Arrays) -> Figure:
    """Which digits lie among which in the plane."""
    return charts.confusions(arrays["confusions"])


def misread(arrays: Arrays) -> Figure:
    """Test images, each beside its reconstruction, in which a classifier sees another digit."""
    pairs = np.stack([arrays["misread_images"], arrays["misread_reconstructions"]], 1).reshape(-1, 784)
    digits = zip(arrays["misread_label"], arrays["misread_digit"], strict=True)
    names = [name for label, digit in digits for name in (f"{label}", f"→ {digit}")]
    return figures.captioned_images(pairs, names, columns=20)


# --- latent_space.ipynb ------------------------------------------------------------------------------------------


def gap_histogram(arrays: Arrays) -> Figure:
    """How both gaps of a VAE are spread over images; the arrays are those of the VAE's run."""
    return charts.gap_histogram(arrays["approximation_gap"], arrays["amortisation_gap"])


def gap_map(arrays: Arrays) -> Figure:
    """Where in the plane the gaps of a VAE are; the arrays are those of the VAE's run."""
    gap = arrays["approximation_gap"] + arrays["amortisation_gap"]
    alt = "Test images at their places in the plane, coloured by gap up to its 99th percentile."
    return figures.value_map(arrays["mean"][: len(gap)], gap, "log p(x) - ELBO (nats)", alt)


def posteriors(arrays: Arrays) -> Figure:
    """The exact posteriors of four telling images."""
    names = [title.replace("\n", " ") for title in TELLING]
    gaps = ", ".join(f"{name} {gap:.1f} nats" for name, gap in zip(names, arrays["telling_gaps"], strict=True))
    return figures.posteriors(
        part(arrays, "posteriors"),
        TELLING,
        "Four test images, and below each its exact posterior as a grey density with ellipses of the encoder's "
        f"Gaussian and of the best one. Gaps: {gaps}.",
    )


def bent_posteriors(arrays: Arrays) -> Figure:
    """The exact posteriors with the largest gap to the best Gaussian that was found, close up."""
    return figures.posteriors(
        part(arrays, "bent"),
        [f"{gap:.1f} nats" for gap in arrays["bent_gaps"]],
        "The exact posteriors of the images with the largest gap to the best Gaussian that was found, close up, each "
        "below its image, with the ellipses of that Gaussian.",
    )


def holes(arrays: Arrays) -> Figure:
    """The aggregate posterior, and prior samples where it is thin."""
    return figures.density_map(
        arrays["density"],
        EXTENT,
        arrays["holes"],
        f"{100 * arrays['hole_share'].item():.1f} % of prior samples fall in holes",
        "Map of the aggregate posterior's log density with the prior samples in holes as white dots.",
    )


def hole_samples(arrays: Arrays) -> Figure:
    """What the decoder makes of holes, and of the prior at large."""
    return figures.galleries(
        {"decoded from holes": arrays["hole_samples"], "decoded from the prior": arrays["prior_samples"]},
        10,
        "Two sheets of decoded digits: from holes, and from the prior at large.",
        across=2,
    )


def paths(arrays: Arrays) -> Figure:
    """Straight paths in the plane from one digit to another."""
    alt = "Five rows of digits, each turning step by step from one test image's reconstruction into another's: "
    pairs = ", ".join(f"{a} to {b}" for a, b in PATHS)
    names = [f"{a} to {b}" for a, b in PATHS]
    columns = len(arrays["paths"]) // len(PATHS)
    return figures.galleries({"": arrays["paths"]}, columns, f"{alt}{pairs}.", across=1, row_names=names)


# --- classifier.ipynb, synthesis.ipynb ---------------------------------------------------------------------------


def classifier_confusions(arrays: Arrays) -> Figure:
    """Which digits the classifier takes for which."""
    return charts.confusions(arrays["confusions"], predicted=True)


def wrong(arrays: Arrays) -> Figure:
    """Test images that the classifier gets wrong."""
    return _mistaken(arrays["wrong"], arrays["wrong_label"], arrays["wrong_predicted"])


def synthetic_images(arrays: Arrays) -> Figure:
    """Synthetic images, a row a digit."""
    alt = "Synthetic images, a row for each digit from 0 to 9."
    return figures.galleries({"": arrays["shown"]}, 15, alt, across=1, row_names=DIGITS)


def mislabelled(arrays: Arrays) -> Figure:
    """Synthetic images whose label the judge does not see."""
    return _mistaken(arrays["mislabelled"], arrays["mislabelled_label"], arrays["mislabelled_judged"])


# --- exact_training.ipynb ----------------------------------------------------------------------------------------


def objective_gaps(vaes: pd.DataFrame) -> Figure:
    """Where the nats of decoders trained by different objectives go; `vaes` has a row a run (`records.table`)."""
    ordered = vaes.sort_values(["architecture", "exact_nll"]).rename(lambda run: run.split("/")[-1])
    return charts.gap_bars(ordered.assign(exact_nll=ordered.gap_exact_nll))


# --- vaegan.ipynb, task.ipynb ------------------------------------------------------------------------------------


def vaegan_losses(history: pd.DataFrame) -> Figure:
    """The parts of the VAE-GAN's loss."""
    return charts.loss_curves(history, ["feature", "kl", "mislead", "tell_apart"])


def vaegan_samples(arrays: Arrays, names: Mapping[str, str] | None = None) -> Figure:
    """Samples of the VAE-GAN and of what it is compared with; `names` are other ones than those of the runs."""
    sheets = {name: images[:50] for name, images in _vaegan_first(part(arrays, "samples"), names).items()}
    alt = f"Sheets of 50 samples, a sheet a model: {', '.join(sheets)}."
    return figures.galleries(sheets, 10, alt, across=3)


def vaegan_shares(arrays: Arrays, names: Mapping[str, str] | None = None) -> Figure:
    """How often each digit comes among the samples of each model; `names` are other ones than those of the runs."""
    return charts.class_shares(_vaegan_first(part(arrays, "shares"), names))


def vaegan_reconstructions(arrays: Arrays) -> Figure:
    """Test images beside what the VAE-GAN makes of them."""
    alt = "Test images, each beside its reconstruction by the VAE-GAN."
    return _sheet(arrays["reconstructions"], 20, "", alt)


def task_samples(arrays: Arrays) -> Figure:
    """The first images with each label, without a classifier in the loss and with the largest weight."""
    sheets = {f"weight {weight}": sheet for weight, sheet in part(arrays, "samples").items()}
    alt = "Sheets of synthetic digits, a row for each label, without and with the classifier in the loss."
    return figures.galleries(sheets, 12, alt, across=2, row_names=DIGITS)


def pleasing(arrays: Arrays) -> Figure:
    """Images that please the critic in the loss alone."""
    return _mistaken(arrays["pleasing"], arrays["pleasing_label"], arrays["pleasing_judged"])


def _vaegan_first(by_model: dict[str, np.ndarray], names: Mapping[str, str] | None) -> dict[str, np.ndarray]:
    """The same by their names and in one order, whether as computed or from a file, which sorts by name."""
    ordered = sorted(by_model.items(), key=lambda item: (item[0] != "vaegan", item[0]))
    return {(names or {}).get(model, model): values for model, values in ordered}


def _sheet(images: np.ndarray, columns: int, title: str, alt: str) -> Figure:
    return figures.galleries({title: images}, columns, alt, across=1)


def _mistaken(images: np.ndarray, labels: np.ndarray, taken_for: np.ndarray) -> Figure:
    return figures.captioned_images(images, [f"{a}: {b}" for a, b in zip(labels, taken_for, strict=True)])
