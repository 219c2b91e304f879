"""What a build shows of its runs: which of how many, how long it took, how long is left, and which were killed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow"))

import build
import pytest


@pytest.mark.parametrize(
    ("seconds", "first", "second"),
    [((1, 1, 1), "1 min 20 s", "30 s"), ((80, 40, 10), "25 s", "5 s")],
    ids=["of which nothing is known", "longest first"],
)
def test_a_finished_run_says_how_many_are_left_and_for_how_long_at_the_pace_so_far(
    monkeypatch, capsys, seconds, first, second
):
    now = [100.0]
    monkeypatch.setattr(build.time, "monotonic", lambda: now[0])
    names = ["vae/a", "vae/b", "vae/c"]
    screen = build.Screen({*names}, dict(zip(names, seconds, strict=True)))
    screen.show("run          3\n")
    for name, at in (("a", 140.0), ("b", 160.0), ("c", 190.0)):
        screen.show(f"[vae/{name}] started\n")
        now[0] = at
        screen.show(f"[vae/{name}] finished in 20 s\n")
    said = [line for line in capsys.readouterr().out.splitlines() if "finished" in line]
    assert said == [
        f"[vae/a] finished in 20 s; 1 of 3 runs done after 40 s, about {first} left",
        f"[vae/b] finished in 20 s; 2 of 3 runs done after 1 min 0 s, about {second} left",
        "[vae/c] finished in 20 s; 3 of 3 runs done after 1 min 30 s",
    ]


def test_a_job_that_is_killed_is_told_in_one_line_and_no_other(capsys):
    screen = build.Screen({"vae/a", "vae/b", "vae/c", "gather"}, {})
    for said in ("a] started", "b] started", "c] started", "a] finished in 2 s", "b] FAILED: x"):
        screen.show(f"[vae/{said}\n")
    assert screen.failures == ["[vae/b] FAILED: x\n"]
    assert screen.stopped() == ["[vae/c] was stopped from outside; the same command goes on from here\n"]


def test_a_run_that_a_cluster_starts_once_more_keeps_its_number(capsys):
    screen = build.Screen({"vae/a", "vae/b"}, {})
    screen.show("run          2\n")
    for said in ("a] started", "b] started", "a] started", "a] finished in 2 s"):
        screen.show(f"[vae/{said}\n")
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["run 1 of 2: vae/a", "run 2 of 2: vae/b", "run 1 of 2: vae/a, once more"]
    assert "1 of 2 runs done" in said[3] and screen.at_work == {"vae/b"}


def test_a_failure_is_past_when_the_run_starts_once_more_or_finishes(capsys):
    screen = build.Screen({"vae/a", "vae/ab"}, {})
    for said in ("a] started", "ab] started", "a] FAILED: x", "a]        log: y", "ab] FAILED: z"):
        screen.show(f"[vae/{said}\n")
    assert len(screen.failures) == 3
    screen.show("[vae/a] started\n")
    assert screen.failures == ["[vae/ab] FAILED: z\n"]
    screen.show("[vae/a] FAILED: late words of the first attempt\n")
    screen.show("[vae/a] finished in 2 s\n")
    assert screen.failures == ["[vae/ab] FAILED: z\n"]
