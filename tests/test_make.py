"""What make refuses before anything starts, and what it asks of the disk."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from toy import PROJECT, write

# Stands for Python: it installs nothing, and the disk is as full as the test wants it.
PYTHON = """#!/bin/sh
[ "$1" != -c ] || exec python3 -c "import shutil, types
shutil.disk_usage = lambda _: types.SimpleNamespace(free=$FREE * 1e9)
$2"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's Makefile, where nothing is installed."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml", "workflow/scales/a.yaml"):
        write(tmp_path / name, "")
    write(tmp_path / "workflow" / "scales" / "b.yaml", "")
    for name in ("python", ".venv/bin/python"):
        write(tmp_path / name, PYTHON)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, free: float = 100) -> tuple[int, str]:
    command = ["make", f"PYTHON={folder}/python", *arguments]
    answer = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"FREE": str(free), "PIP_EXTRA_INDEX_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout + answer.stderr


@pytest.mark.parametrize("scale", ["c", "a b", "a a", "%", ""])
def test_a_scale_that_is_none_is_refused_in_a_line(folder: Path, scale: str):
    code, said = make(folder, "status", f"SCALE={scale}")
    assert code == 2 and f"SCALE={scale} is not one of: a b.  Stop.\n" in said and said.count("\n") == 1
    assert make(folder, "status", "SCALE=b")[0] == 0


def test_a_first_install_needs_more_of_the_disk_than_a_later_one(folder: Path):
    installed = folder / ".venv" / "installed"
    code, said = make(folder, "install", free=2)
    assert code == 2 and "Installing needs 8 GB, but only 2.0 GB are free on this disk" in said
    assert not installed.exists()
    assert make(folder, "install", free=9)[0] == 0 and installed.exists()
    os.utime(installed, (0, 0))  # older than what it comes from, as after a pull
    code, said = make(folder, "install", free=0.5)
    assert code == 2 and "Installing needs 1 GB, but only 0.5 GB are free on this disk" in said
    code, said = make(folder, "install", free=2)
    assert code == 0 and "what has changed" in said and installed.stat().st_mtime > 0
    assert make(folder, "install", free=0) == (0, "make: Nothing to be done for 'install'.\n")
