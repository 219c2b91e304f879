"""A long computation says how far it is, a short one nothing."""

import pytest

from vaelib import progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time in seconds, which a test moves on; the last word was said at 0."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "_spoken", 0.0)
    return now


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.1, []),
        (1.0, ["  sums: 30%, 7 s left", "  sums: 60%, 4 s left"]),
        (10.0, [f"  sums: {share}0%, {100 - 10 * share} s left" for share in range(1, 10)]),
    ],
)
def test_a_line_comes_after_some_silence_and_not_right_before_the_end(clock, capsys, seconds, said):
    for _ in progress.told(range(10), "sums"):
        clock[0] += seconds
    assert capsys.readouterr().out.splitlines() == said


def test_many_short_computations_in_a_row_are_not_silent_together(clock, capsys):
    for _ in range(3):
        for _ in progress.told(range(4), "sums"):
            clock[0] += 0.8
    assert capsys.readouterr().out.splitlines() == 2 * ["  sums: 25%, 2 s left"]


def test_nothing_is_said_of_nothing(capsys):
    assert list(progress.told([], "sums")) == [] and capsys.readouterr().out == ""
