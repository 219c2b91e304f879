"""A build says which code that it runs is not as git keeps it, and is silent about all else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy as toys
from toy import Toy, write

pytestmark = pytest.mark.slow

SCRIPT = (
    "from build import PROJECT, identity, plans; "
    "print(*identity.not_as_committed(plans.load(PROJECT, 'toy').runs, PROJECT), sep='\\n')"
)


def git(folder: Path, *arguments: str) -> None:
    person = ["-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *person, *arguments], cwd=folder, capture_output=True, check=True)


def said(toy: Toy) -> str:
    """What a build of the toy project would say, by its own copy of the workflow."""
    environment = os.environ | {"PYTHONPATH": str(toy.folder / "workflow")}
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A toy project in a folder of a repository, all of it committed."""
    toy = toys.make(tmp_path / "repository" / "a toy")
    git(toy.folder.parent, "init")
    write(toy.folder / ".gitignore", "__pycache__\n")
    git(toy.folder.parent, "add", "--all")
    git(toy.folder.parent, "commit", "-m", "All of it")
    return toy


def test_committed_code_is_no_news_nor_are_comments_text_pictures_and_what_does_not_run(toy: Toy):
    assert said(toy) == ""
    toy.edit("vaelib/room/own.py", "A docstring", "Another docstring")
    toy.edit("notebooks/beta.ipynb", "# a comment", "# another comment")
    toy.edit("vaelib/plots/charts.py", "CHART = 1", "CHART = 2")
    toy.edit("workflow/scales/toy.yaml", "value: 0.5", "value: 1.5")
    write(toy.folder / "vaelib" / "unused.py", "UNUSED = 1")
    write(toy.folder / "playground" / "alpha.ipynb", "no notebook at all")
    assert said(toy) == ""


def test_edited_and_new_code_is_named_once_until_it_is_committed(toy: Toy):
    toy.edit("vaelib/room/inner/deep.py", "DEEP = 1", "DEEP = 2\nfrom vaelib import added")
    toy.edit("notebooks/alpha.ipynb", "epoch 1/1", "epoch 1 of 1")
    write(toy.folder / "vaelib" / "added.py", "ADDED = 1")
    assert said(toy) == "not as committed: notebooks/alpha.ipynb, vaelib/added.py, vaelib/room/inner/deep.py"
    git(toy.folder, "add", "--all")
    assert said(toy).count("vaelib/added.py") == 1  # added is not yet committed
    git(toy.folder, "commit", "-m", "The rest")
    assert said(toy) == ""


def test_of_many_files_the_rest_is_counted(toy: Toy):
    for name in ("__init__.py", "shared.py", "room/__init__.py", "room/inner/deep.py"):
        path = toy.folder / "vaelib" / name
        path.write_text(f"{path.read_text()}\nEDITED = 1\n")
    listed = "vaelib/__init__.py, vaelib/room/__init__.py, vaelib/room/inner/deep.py"
    assert said(toy) == f"not as committed: {listed} and 1 more"


def test_outside_a_git_checkout_and_without_git_nothing_is_said(toy: Toy, monkeypatch: pytest.MonkeyPatch):
    toy.edit("notebooks/alpha.ipynb", "epoch 1/1", "epoch 1 of 1")
    assert said(toy) == "not as committed: notebooks/alpha.ipynb"
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        assert said(toy) == ""
    shutil.rmtree(toy.folder.parent / ".git")
    assert said(toy) == ""
