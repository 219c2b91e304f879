"""`make lab` opens copies: what a person does to one stays, and never reaches the original."""

import json
import re
import sys
from pathlib import Path

import pytest
from toy import PROJECT, write, write_notebook

from vaelib.runs import ablation, baselines, schemas

sys.path.insert(0, str(PROJECT / "workflow"))

import lab

ORDER = [
    "vae",
    "latent_space",
    "exact_training",
    "baselines",
    "ablation",
    "vaegan",
    "classifier",
    "synthesis",
    "augmentation",
    "task",
]


class Notebooks:
    """Originals and their copies in a folder of the test's own."""

    def __init__(self, folder: Path):
        self.originals, self.playground = folder / "notebooks", folder / "playground"
        write(self.originals / "README.md", "Start here")
        for name in ("one", "two"):
            write_notebook(self.originals / f"{name}.ipynb", "epochs = 1", "train()")

    def copy(self) -> list[str]:
        return lab.copy(self.originals, self.playground)

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def original(self, name: str) -> Path:
        return self.originals / f"{name}.ipynb"

    def played(self, name: str) -> Path:
        return self.playground / f"{name}.ipynb"

    def run(self, name: str) -> None:
        """Leaves outputs in a copy, as a person who runs it and saves."""
        self.edit(self.played(name), '"outputs": []', '"outputs": [{"output_type": "stream"}]')


@pytest.fixture
def notebooks(tmp_path: Path) -> Notebooks:
    notebooks = Notebooks(tmp_path)
    assert notebooks.copy() == []
    return notebooks


def test_every_notebook_and_the_start_page_are_copied(notebooks: Notebooks):
    for original in notebooks.originals.iterdir():
        assert (notebooks.playground / original.name).read_bytes() == original.read_bytes()


def test_a_copy_that_was_only_run_keeps_its_outputs(notebooks: Notebooks):
    notebooks.run("one")
    before = notebooks.played("one").read_bytes()
    assert notebooks.copy() == [] and notebooks.played("one").read_bytes() == before


def test_a_copy_whose_cells_are_as_copied_follows_its_original(notebooks: Notebooks):
    notebooks.run("one")
    for change in (("train()", "train(1)"), ("train(1)", "train(2)")):
        notebooks.edit(notebooks.original("one"), *change)
        notebooks.edit(notebooks.originals / "README.md", "here", "here, now")
        assert notebooks.copy() == []
        for name in ("one.ipynb", "README.md"):
            assert (notebooks.playground / name).read_bytes() == (notebooks.originals / name).read_bytes()


def test_a_persons_edits_stay_and_a_line_says_so(notebooks: Notebooks):
    original = notebooks.original("one").read_bytes()
    notebooks.edit(notebooks.played("one"), "epochs = 1", "epochs = 9")
    for _ in range(2):
        assert notebooks.copy() == [
            "With your own changes: one.ipynb. To begin afresh, rename or delete yours in playground/ and start again."
        ]
        assert "epochs = 9" in notebooks.played("one").read_text()
    assert notebooks.original("one").read_bytes() == original


def test_a_persons_edits_stay_where_the_original_is_newer_until_the_copy_is_put_away(notebooks: Notebooks):
    notebooks.edit(notebooks.played("one"), "epochs = 1", "epochs = 9")
    notebooks.edit(notebooks.original("one"), "train()", "train(1)")
    for _ in range(2):
        lines = notebooks.copy()
        assert len(lines) == 1 and "the originals are newer: one.ipynb. For the new ones, rename" in lines[0]
        assert "epochs = 9" in notebooks.played("one").read_text()
    notebooks.played("one").rename(notebooks.played("mine"))
    assert notebooks.copy() == [] and "train(1)" in notebooks.played("one").read_text()
    assert "epochs = 9" in notebooks.played("mine").read_text()


def test_a_copy_edited_like_its_original_follows_it_again(notebooks: Notebooks):
    notebooks.edit(notebooks.played("one"), "train()", "train(1)")
    notebooks.edit(notebooks.original("one"), "train()", "train(1)")
    assert notebooks.copy() == []
    notebooks.edit(notebooks.original("one"), "train(1)", "train(2)")
    assert notebooks.copy() == [] and "train(2)" in notebooks.played("one").read_text()


@pytest.mark.parametrize("memory", [None, "", "[1]", "no JSON"])
def test_without_a_memory_of_what_was_copied_nothing_that_differs_is_overwritten(notebooks: Notebooks, memory):
    notebooks.edit(notebooks.played("one"), "epochs = 1", "epochs = 9")
    (notebooks.playground / lab.COPIED).unlink()
    if memory is not None:
        write(notebooks.playground / lab.COPIED, memory)
    assert len(notebooks.copy()) == 1 and "epochs = 9" in notebooks.played("one").read_text()
    assert set(json.loads((notebooks.playground / lab.COPIED).read_text())) == {"README.md", "two.ipynb"}


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]"])
def test_a_copy_that_is_no_notebook_any_more_stays(notebooks: Notebooks, damage: str):
    notebooks.played("one").write_text(damage)
    assert len(notebooks.copy()) == 1 and notebooks.played("one").read_text() == damage


def test_git_does_not_see_the_playground():
    assert "/playground/" in (PROJECT / ".gitignore").read_text().splitlines()


def test_the_start_page_names_every_notebook_and_three_things_to_try_in_each():
    page = (PROJECT / "notebooks" / "README.md").read_text()
    assert re.findall(r"^\| \[\w+\]\((\w+)\.ipynb\)", page, re.MULTILINE) == ORDER
    assert {path.stem for path in PROJECT.glob("notebooks/*.ipynb")} == set(ORDER)
    sections = re.findall(r"^\*\*(\w+)\*\*\n((?:[* ] .*\n)+)", page, re.MULTILINE)
    assert [(name, len(re.findall(r"^\* ", text, re.MULTILINE))) for name, text in sections] == [(n, 3) for n in ORDER]


def test_what_the_start_page_sets_are_parameters():
    page = (PROJECT / "notebooks" / "README.md").read_text()
    modules = (ablation, baselines, schemas)
    known = {name for m in modules for schema in vars(m).values() for name in getattr(schema, "model_fields", {})}
    assert set(re.findall(r"`(\w+) = ", page)) <= known


def test_jupyterlab_opens_on_the_start_page_in_the_playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_notebook(tmp_path / "notebooks" / "one.ipynb", "epochs = 1")
    write(tmp_path / "notebooks" / "README.md", "Start here")
    started = []
    monkeypatch.setattr(lab, "PROJECT", tmp_path)
    monkeypatch.setattr(lab.os, "execv", lambda _, command: started.extend(command))
    monkeypatch.setattr(lab.os, "environ", {"JUPYTER_CONFIG_PATH": "a person's"})
    monkeypatch.setattr(sys, "argv", ["lab.py", "--no-browser"])
    lab.main()
    assert f"--ServerApp.root_dir={tmp_path / 'playground'}" in started and started[-1] == "--no-browser"
    assert "--LabApp.default_url=/lab/tree/README.md" in started and (tmp_path / "playground/one.ipynb").is_file()
    folder, _, own = lab.os.environ["JUPYTER_CONFIG_PATH"].partition(":")
    assert own == "a person's"
    [overrides] = Path(folder).glob("labconfig/default_setting_overrides.json")
    assert json.loads(overrides.read_text())["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
