"""A record says of which commit its code is, and whether that code had changes."""

import subprocess
from pathlib import Path

import pytest
from toy import write

from vaelib.runs import provenance


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the project's own."""
    monkeypatch.setattr(provenance, "PROJECT_ROOT", tmp_path)
    for name in ("vaelib/a.py", "notebooks/a.ipynb", "README.md"):
        write(tmp_path / name, "as it was")
    return tmp_path


def git(project: Path, *arguments: str) -> str:
    person = ["-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "commit.gpgsign=false"]
    answer = subprocess.run(["git", *person, *arguments], cwd=project, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_a_commit_has_a_plus_where_package_or_notebooks_had_changes_and_nowhere_else(project: Path):
    git(project, "init")
    git(project, "add", "--all")
    git(project, "commit", "-m", "All of it")
    commit = git(project, "rev-parse", "HEAD")
    assert len(commit) == 40 and provenance.environment()["commit"] == commit
    write(project / "README.md", "other words")
    assert provenance.environment()["commit"] == commit
    for name in ("vaelib/a.py", "notebooks/a.ipynb"):
        write(project / name, "edited")
        assert provenance.environment()["commit"] == f"{commit}+"
        git(project, "checkout", "--", name)
    write(project / "notebooks/new.ipynb", "not yet known to git")
    assert provenance.environment()["commit"] == f"{commit}+"


def test_outside_a_checkout_there_is_no_commit(project: Path):
    assert provenance.environment()["commit"] is None
