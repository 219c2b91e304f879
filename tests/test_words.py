"""Numbers and verdicts as the report writes them."""

import math

import pytest

from vaelib.report import words


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


@pytest.mark.parametrize(
    ("change", "half", "said"),
    [
        (1.0, 0.5, "raise"),
        (-1.0, 0.5, "lower"),
        (0.1, 0.5, "do not measurably change"),
        (-2.65, math.nan, "may raise or lower (one seed cannot tell)"),
    ],
)
def test_a_change_is_judged_by_its_interval_and_not_at_all_without_one(change, half, said):
    assert words.verdict(change, half) == said
