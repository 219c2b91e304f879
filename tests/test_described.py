"""Numbers are told in words, with the images that they belong to."""

from vaelib.measure.described import in_words


def test_each_number_says_what_it_is_and_of_how_many_images_and_checks_stay_apart():
    numbers = {"exact_nll": 130.1234, "gap_elbo": -140.0, "gap_images": 500.0, "identity_smallest_excess": 0.1}
    table = in_words(numbers, images=10_000)
    assert list(table.index) == ["exact_nll", "gap_elbo"]
    assert table.value["exact_nll"] == 130.123 and "exactly" in table.says["exact_nll"]
    assert table["measured on"].tolist() == ["all 10,000 test images", "the first 500 test images"]
