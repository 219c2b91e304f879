"""A long computation says how far it is, a short one nothing."""

import itertools

import pytest

from vaelib import progress


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.1, []),
        (1.0, ["  sums: 40%, 8 s left"]),
        (10.0, ["  sums: 10%, 180 s left", "  sums: 20%, 120 s left"]),
    ],
)
def test_a_line_comes_after_some_silence_and_not_right_before_the_end(monkeypatch, capsys, seconds, said):
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.told(range(10), "sums")) == list(range(10))
    assert capsys.readouterr().out.splitlines()[: len(said) or 1] == said


def test_nothing_is_said_of_nothing(capsys):
    assert list(progress.told([], "sums")) == [] and capsys.readouterr().out == ""
