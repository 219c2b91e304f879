"""Numbers and verdicts as the report writes them."""

import pytest

from vaelib.report import words
from vaelib.synthetic.worth import Difference


def test_a_count_has_its_noun_in_the_right_number():
    assert [words.counted(count, "epoch") for count in (0, 1, 12, 1000)] == [
        "0 epochs",
        "1 epoch",
        "12 epochs",
        "1,000 epochs",
    ]
    assert words.counted(2, "pass", "passes") == "2 passes"


def test_items_are_listed_as_in_a_sentence():
    assert words.listed(["epochs"]) == "epochs"
    assert words.listed(["epochs", "batch size", "learning rate"]) == "epochs, batch size and learning rate"
    assert words.alternatives(["20", "50", "100"]) == "20, 50 or 100"


@pytest.mark.parametrize(("share", "said"), [(0.0, "hardly ever made"), (0.0099, "hardly"), (0.01, "none is missing")])
def test_a_mode_is_called_dropped_where_a_digit_is_hardly_ever_made(share, said):
    assert said in words.modes(share) and ("*mode dropping*" in words.modes(share)) == (share < 0.01)


@pytest.mark.parametrize(
    ("change", "said", "told"),
    [
        (Difference(0.01, 0.005, 3), "+1.00 ± 0.50", "a gain"),
        (Difference(-0.01, 0.005, 3), "-1.00 ± 0.50", "a loss"),
        (Difference(0.0002, 0.0005, 3), "+0.02 ± 0.05", "no gain of 0.1 points or more"),
        (Difference(0.001, 0.005, 3), "+0.10 ± 0.50", "undecided"),
        (Difference(0.01, 0.005, 1), "+1.00 ± 0.50", "one run decides nothing"),
        (None, "–", "not measured"),
    ],
)
def test_a_change_is_in_points_and_told_no_stronger_than_its_interval(change, said, told):
    assert (words.points(change), words.told(change)) == (said, told)
