"""Numbers are told in words, with the images that they belong to."""

import string

import pytest

from vaelib.measure import described
from vaelib.measure.described import in_words

COUNTS = {"validation": 5000, "train": 2000, "made": 30_000, "left_over": 10_000}
COUNTS |= {"exact_nll_images": 1000, "exact_nll_validation_images": 900}
MEANINGS = [value for name, value in vars(described).items() if name.startswith("OF_")]


def test_each_number_says_what_it_is_and_of_how_many_images_and_checks_stay_apart():
    numbers = {"exact_nll": 130.12344, "gap_elbo": -140.0, "gap_images": 500.0, "identity_smallest_excess": 0.1}
    table = in_words(numbers, images=10_000)
    assert list(table.index) == ["exact_nll", "gap_elbo"]
    assert table.value["exact_nll"] == 130.1234 and "exactly" in table.says["exact_nll"]
    assert table["measured on"].tolist() == ["all 10,000 test images", "the first 500 test images"]


@pytest.mark.parametrize(("exact", "images"), [({"exact_nll": 130.0}, "all 10,000"), ({}, "the first 500")])
def test_an_elbo_by_draws_is_one_of_the_first_images(exact, images):
    numbers = exact | {"elbo": -140.0, "reconstruction": -133.0, "kl": 7.0, "gap_images": 500.0}
    table = in_words(numbers, images=10_000)
    assert set(table["measured on"].drop("exact_nll", errors="ignore")) == {f"{images} test images"}


def test_the_images_of_training_and_validation_are_counted():
    table = in_words({"exact_nll_train": 120.0, "exact_nll_validation": 130.0}, 100, train=1000, validation=2000)
    assert table["measured on"]["exact_nll_train"] == "the first 1,000 training images"
    assert table["measured on"]["exact_nll_validation"] == "the first 2,000 validation images"


@pytest.mark.parametrize("meanings", MEANINGS, ids=lambda meanings: next(iter(meanings)))
def test_every_meaning_has_words_and_asks_for_counts_that_a_notebook_gives(meanings):
    table = in_words(dict.fromkeys(meanings, 0.5), 10_000, meanings, gap_images=500, **COUNTS)
    assert list(table.index) == list(meanings)
    asked = {field for _, where in meanings.values() for _, field, _, _ in string.Formatter().parse(where)}
    assert asked <= {None, "images", "gap_images", *COUNTS}


def test_a_table_shows_the_digits_that_its_values_have():
    table = in_words({"test_accuracy": 0.9938, "test_errors": 1062}, 10_000, described.OF_A_CLASSIFIER)
    text = described.shown(table).to_html()
    assert ">0.9938<" in text and ">1,062<" in text and "text-align: left" in text
