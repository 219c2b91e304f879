"""A job whose kernel found a port taken is run again; any other failure is told at once, by its reason."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy import PROJECT

STILLBORN = "RuntimeError: Kernel died before replying to kernel_info"


def watched(folder: Path, failures: int, message: str) -> tuple[int, str, int]:
    """The exit code, what was said, and how often a command ran that fails so many times with a message."""
    script = f"""
import pathlib, sys
count = pathlib.Path("count")
tried = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(tried))
if tried <= {failures}:
    print({message!r}, "and a warning", sep="\\n")
    sys.exit({message!r})
print("epoch 1/1  loss 0.5")
"""
    watch = [sys.executable, str(PROJECT / "workflow" / "watch.py"), "a/b", "--log", "a.log"]
    done = subprocess.run(
        [*watch, "--", sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, int((folder / "count").read_text())


@pytest.mark.parametrize("failures", [1, 2])
def test_a_kernel_that_did_not_start_is_started_again_without_a_word(tmp_path: Path, failures: int):
    code, said, ran = watched(tmp_path, failures, STILLBORN)
    assert (code, ran) == (0, failures + 1)
    assert said.splitlines()[:2] == ["[a/b] started", "[a/b] epoch 1/1  loss 0.5"] and "FAILED" not in said
    assert (tmp_path / "a.log").read_text().count(STILLBORN.split(":")[1]) >= failures


def test_a_kernel_that_never_starts_fails(tmp_path: Path):
    code, said, ran = watched(tmp_path, 99, STILLBORN)
    assert (code, ran) == (1, 3) and f": {STILLBORN}" in said


def test_any_other_failure_is_told_at_once(tmp_path: Path):
    code, said, ran = watched(tmp_path, 1, "ValueError: the value is bad")
    assert (code, ran) == (1, 1) and re.search(r"FAILED after \d+ s: ValueError: the value is bad\n", said)


def test_a_killed_command_is_told_as_such_and_not_by_its_last_line(tmp_path: Path):
    watch = [sys.executable, str(PROJECT / "workflow" / "watch.py"), "a/b", "--log", "a.log", "--"]
    script = "import os; print('epoch 1/2  loss 0.5', flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [*watch, sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search(r"FAILED after \d+ s: killed by signal 9 \(out of memory\?\)\n", done.stdout)
