"""The numbers of a trained VAE in words: what each says, and of which images."""

from collections.abc import Mapping

import pandas as pd

ALL, FIRST = "all {images:,} test images", "the first {gap_images:,} test images"
# The names of a record, what they say, and what they were measured on. Internal checks are left out.
MEANINGS = {
    "exact_nll": ("−log p(x), exactly: what the model needs to describe an image", ALL),
    "exact_nll_validation": ("the same of held-out images, to choose a network by", "the first validation images"),
    "exact_nll_train": ("the same of images that it was trained on", "the first training images"),
    "estimate_bias": ("what the estimate that training on log p(x) maximises lacks of log p(x)", ALL),
    "exact_nll_error": ("the error of that, as halving the step and widening the box show it", ALL),
    "elbo": ("the bound that was trained on, with the encoder's Gaussian", ALL),
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
    "knn_accuracy_100": ("share of digits right by 5 neighbours in the plane, with 100 labels", "all test images"),
    "knn_accuracy_1000": ("the same with 1,000 labels", "all test images"),
    "hole_share": ("share of prior samples where the encoder puts hardly any of the training images", "2,000 samples"),
    "hole_share_1000": ("the same, if only the first 1,000 training images are asked for", "2,000 samples"),
    "hole_share_5000": ("of the first 5,000", "2,000 samples"),
    "hole_share_20000": ("of the first 20,000", "2,000 samples"),
    "unsure_samples": ("share of prior samples of whose digit a classifier is not sure to 90 %", "2,000 samples"),
    "misread_reconstructions": ("share that a classifier reads rightly, and wrongly once reconstructed", ALL),
}


def in_words(numbers: Mapping[str, float], images: int) -> pd.DataFrame:
    """A row for each number that has a meaning here: its name, value, what it says, and what it was measured on.

    `images` is the number of test images; `numbers` may have `gap_images`, on how many of them the gaps were split.
    """
    counts = {"images": images, "gap_images": int(numbers.get("gap_images", images))}
    rows = {
        name: {"value": round(numbers[name], 3), "says": says, "measured on": where.format(**counts)}
        for name, (says, where) in MEANINGS.items()
        if name in numbers
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")
