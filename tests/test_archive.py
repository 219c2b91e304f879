"""A report is built again from an archive of its results, which has no weights, and without running anything else."""

import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save_file
from toy import Toy, make, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    """A toy in a folder with a difficult name, whose runs have results, and weights beside them."""
    toy = make(tmp_path_factory.mktemp("toy") / "my próject's copy")
    for run in ("alpha/one", "alpha/two", "beta/one"):
        for name in ("metrics.json", "history.csv", "model.safetensors", "notebook.ipynb"):
            write(toy.results / run / name, f"{run} {name}")
        save_file({"shown": np.arange(3), "images": np.zeros(7)}, toy.results / run / "arrays.safetensors")
        write(toy.results / run / "trainings" / "model.safetensors", "weights")
    return toy


def archive(toy: Toy, *arguments: str) -> tuple[int, str]:
    command = [toy.python, str(toy.folder / "workflow" / "archive.py"), *arguments]
    answer = subprocess.run(command, cwd=toy.folder, capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def packed(toy: Toy) -> Path:
    code, said = archive(toy, "pack", "toy")
    assert code == 0 and "make report ARCHIVE=results/toy.tar.gz" in said
    return toy.folder / "results" / "toy.tar.gz"


@pytest.fixture
def fresh(tmp_path: Path) -> Toy:
    return make(tmp_path / "a fresh clone")


def test_it_holds_all_but_weights_notebooks_and_images_to_train_on(packed: Path):
    with tarfile.open(packed) as file:
        names = set(file.getnames())
        arrays = load(file.extractfile("beta/one/arrays.safetensors").read())
    assert list(arrays) == ["shown"] and arrays["shown"].tolist() == [0, 1, 2]
    kept = {f"{run}/{name}" for run in ("alpha/one", "alpha/two", "beta/one")
            for name in ("metrics.json", "history.csv", "arrays.safetensors")}  # fmt: skip
    assert names == {"archive.json", *kept}


def test_the_report_is_built_of_it_with_its_banner_and_twice(packed: Path, fresh: Toy):
    for _ in range(2):
        code, said = archive(fresh, "report", str(packed))
        assert code == 0, said
        assert {line.split("]")[0][1:] for line in said.splitlines() if "started" in line} == {
            "gather", "report", "publish",
        }  # fmt: skip
        assert (fresh.folder / "report" / "build" / "toy" / "report.html").read_text() == "only a toy"
    assert (fresh.results / "beta" / "one" / "history.csv").read_text() == "beta/one history.csv"
    assert fresh.due() == ["3 runs: without a result so far"]  # for a build, these are none
    assert not list((fresh.folder / "results").glob(".archive-*"))


def test_runs_of_ones_own_are_not_replaced(packed: Path, fresh: Toy):
    write(fresh.results / "alpha" / "two" / "notebook.ipynb", "mine")
    code, said = archive(fresh, "report", str(packed))
    assert code == 1 and "No report: results/toy/alpha/two is a run of its own" in said and said.count("\n") == 1
    assert (fresh.results / "alpha" / "two" / "notebook.ipynb").read_text() == "mine"


def test_a_scale_without_all_its_results_is_not_packed(fresh: Toy):
    code, said = archive(fresh, "pack", "toy")
    assert (code, said) == (1, "No archive: 3 runs have no result, such as beta/one: run make report first\n")


def _without_a_record(content: bytes) -> bytes:
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=(new := io.BytesIO()), mode="w") as file,
    ):
        for member in old.getmembers():
            if member.name != "alpha/two/metrics.json":
                file.addfile(member, old.extractfile(member))
    return new.getvalue()


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: b"no archive", lambda content: content[:-60], _without_a_record]
)
def test_what_is_no_archive_is_refused_in_a_line_and_nothing_is_left(packed: Path, fresh: Toy, damage):
    file = fresh.folder / "some file"
    file.write_bytes(damage(packed.read_bytes()))
    code, said = archive(fresh, "report", str(file))
    assert code == 1 and "is no archive that make archive wrote, or it is damaged" in said and said.count("\n") == 1
    assert not list((fresh.folder / "results").iterdir())
