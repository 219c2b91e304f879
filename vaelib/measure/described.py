"""The numbers of a run in words: what each says, and of which images."""

from collections.abc import Mapping

import pandas as pd
from pandas.io.formats.style import Styler

ALL, FIRST = "all {images:,} test images", "the first {gap_images:,} test images"
MADE, LEFT_OVER = "all {made:,} synthetic images", "{left_over:,} images of the second half"
DRAWN = "2,000 samples"
BY_DRAWS = ("elbo", "reconstruction", "kl")  # of a VAE without an exact log p(x): means over draws, on the first images

Meanings = Mapping[str, tuple[str, str]]

# The names of a record, what they say, and what they were measured on. Internal checks are left out.
OF_A_VAE: Meanings = {
    "exact_nll": ("−log p(x), exactly: what the model needs to describe an image", ALL),
    "exact_nll_error": ("the numerical error of exact_nll, as halving the step and widening the box show it", ALL),
    "exact_nll_validation": (
        "the same as exact_nll of held-out images, to choose a network by",
        "the first {validation:,} validation images",
    ),
    "exact_nll_train": ("the same of images that it was trained on", "the first {train:,} training images"),
    "estimate_bias": ("by how much the estimate that training on log p(x) maximises is below log p(x)", ALL),
    "elbo": ("the ELBO, with the encoder's Gaussian", ALL),
    "reconstruction": ("its first part: log p(x | z) for z from the encoder", ALL),
    "kl": ("its second part: what the encoder says of an image beyond the prior", ALL),
    "gap_exact_nll": ("−log p(x) again, to compare with the rows below", FIRST),
    "gap_elbo": ("the ELBO again", FIRST),
    "approximation_gap": ("what is lost because no diagonal Gaussian fits the posterior", FIRST),
    "amortisation_gap": ("what is lost because the encoder misses the best one", FIRST),
    "elbo_best_of_nine": ("the ELBO with the best of the encoder's answers to an image and its eight shifts", FIRST),
    "elbo_lookup": ("the ELBO with a Gaussian looked up among the decoder's images, without an encoder", FIRST),
    "elbo_best_gaussian": ("the ELBO with the best diagonal Gaussian", FIRST),
    "iwae_5_bound": ("the importance-weighted bound with 5 draws", FIRST),
    "iwae_50_bound": ("the same with 50", FIRST),
    "iwae_500_bound": ("the same with 500, the usual stand-in for log p(x)", FIRST),
    "knn_accuracy_100": ("share of digits right by 5 neighbours among the means, with 100 labels", ALL),
    "knn_accuracy_1000": ("the same with 1,000 labels", ALL),
    "hole_share": ("share of prior samples where the encoder puts hardly any of the training images", DRAWN),
    "hole_share_1000": ("the same, if only the first 1,000 training images are asked for", DRAWN),
    "hole_share_5000": ("of the first 5,000", DRAWN),
    "hole_share_20000": ("of the first 20,000", DRAWN),
    "unsure_samples": ("share of prior samples of whose digit a classifier is not sure to 90 %", DRAWN),
    "misread_reconstructions": ("share that a classifier reads rightly, and wrongly once reconstructed", ALL),
}
OF_A_PLANE: Meanings = {
    "amortisation_share": ("the amortisation gap's share of both gaps together", FIRST),
    "largest_approximation_gap": ("the largest approximation gap of an image", FIRST),
    "largest_amortisation_gap": ("the largest amortisation gap of an image", FIRST),
    "lowest_log_px": ("the lowest log p(x) of an image", ALL),
}
OF_A_CLASSIFIER: Meanings = {
    "test_accuracy": ("share of images of which it says the right digit", ALL),
    "test_errors": ("number of images of which it does not", ALL),
    "validation_accuracy": (
        "the same share of the images that chose the epoch",
        "all {validation:,} validation images",
    ),
}
OF_SYNTHETIC_IMAGES: Meanings = {
    "kept_share": ("share of the samples that became images", "all samples drawn"),
    "filled_share": ("share that fills up digits which hardly ever come", MADE),
    "label_error": ("share that the judge takes for another digit than the label says", MADE),
    "judge_accuracy": ("share of real images of which the judge says the right digit", ALL),
    "judge_accuracy_validation": ("the same", "all {validation:,} validation images"),
    "cas": ("accuracy on real images of a classifier trained on the synthetic ones alone", ALL),
    "cas_validation": ("the same", LEFT_OVER),
    "validation_accuracy": (
        "what generators are chosen by: that of 20 % of the second half and up to as many synthetic images",
        LEFT_OVER,
    ),
    "exact_nll": (
        "−log p(x), exactly; of a conditional VAE −log p(x | y)",
        "the first {exact_nll_images:,} test images",
    ),
    "exact_nll_validation": ("the same", "the first {exact_nll_validation_images:,} validation images"),
}


def in_words(numbers: Mapping[str, float], images: int, meanings: Meanings = OF_A_VAE, **counts: int) -> pd.DataFrame:
    """A row for each number that has a meaning here: its name, value, what it says, and what it was measured on.

    `images` is the number of test images, `counts` are those of the other images that the meanings name. `numbers` may
    have `gap_images`, on how many of them the gaps were split.
    """
    counts = {"images": images, "gap_images": int(numbers.get("gap_images", images))} | counts
    drawn = BY_DRAWS if "exact_nll" not in numbers else ()
    rows = {
        name: {
            "value": round(numbers[name], 4),
            "says": says,
            "measured on": (FIRST if name in drawn else where).format(**counts),
        }
        for name, (says, where) in meanings.items()
        if name in numbers
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")


def shown(table: pd.DataFrame) -> Styler:
    """Such a table as a notebook shows it: text at the left, and of each value the digits that it has."""
    return table.style.format("{:,.7g}", subset="value").set_properties(**{"text-align": "left"})
