"""A report is built again from an archive of its results, which has no weights, and without running anything else."""

import io
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save_file
from toy import PROJECT, Toy, make, write

sys.path.insert(0, str(PROJECT / "workflow"))

import archive as workflow
import build

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


def held_up(toy: Toy, file: str, before: str, *arguments: str) -> subprocess.Popen:
    """The command, which has come to a line of a file of the workflow, and stays there."""
    indent = before[: -len(before.lstrip())]
    toy.edit(f"workflow/{file}", before, f'{indent}import time; print("here", flush=True); time.sleep(60)\n{before}')
    command = [toy.python, str(toy.folder / "workflow" / "archive.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_of_a_build_is_no_traceback_and_leaves_nothing(packed: Path, fresh: Toy, number: signal.Signals):
    with held_up(fresh, "archive.py", "            _build(plan)\n", "report", str(packed)) as process:
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (130, "Interrupted: the same command begins anew.\n")
    assert not list(fresh.folder.glob("results/.archive-*"))


def test_it_is_packed_of_no_results_that_a_build_is_at_work_on(toy: Toy, fresh: Toy):
    shutil.copytree(toy.results, fresh.results)
    with held_up(fresh, "archive.py", "    results, file =", "pack", "toy") as process:
        code, said = archive(fresh, "pack", "toy")
        process.terminate()
    assert code == 1 and said.startswith("No archive: another build of results/toy is at work")
    assert said.endswith(f"(process {process.pid}); wait for it or stop it\n")


def test_results_that_are_not_up_to_date_are_packed_and_told_but_not_what_an_archive_brought(packed: Path, fresh: Toy):
    assert archive(fresh, "report", str(packed))[0] == 0
    code, said = archive(fresh, "pack", "toy")
    assert code == 0 and said.startswith("results/toy.tar.gz: ") and said.count("\n") == 1
    for name in ("one", "two"):
        write(fresh.results / "alpha" / name / "metrics.json", "measured again")
    code, said = archive(fresh, "pack", "toy")
    assert code == 0 and said.splitlines()[:2] == [
        "Packed as they are, though make report would run some again:",
        "  2 runs: without a result so far",
    ]


def test_a_damaged_run_is_named_and_an_earlier_archive_stays(toy: Toy, fresh: Toy):
    shutil.copytree(toy.results, fresh.results)
    for path in ("results/toy.tar.gz", "results/toy/alpha/two/arrays.safetensors"):
        write(fresh.folder / path, "as it was")
    code, said = archive(fresh, "pack", "toy")
    assert code == 1 and said.splitlines()[-1].startswith(
        "No archive: results/toy/alpha/two/arrays.safetensors cannot be read (Error while deserializing header"
    )
    assert said.endswith("): delete metrics.json beside it, and make report computes it again\n")
    assert (fresh.folder / "results" / "toy.tar.gz").read_text() == "as it was"
    (fresh.results / "alpha/two/metrics.json").unlink()
    assert "1 run: without a result so far" in fresh.due()


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
    assert code == 1 and said.startswith("No report: results/toy/alpha/two/notebook.ipynb is of a run of its own")
    assert said.count("\n") == 1
    assert (fresh.results / "alpha" / "two" / "notebook.ipynb").read_text() == "mine"


INTERRUPTED, BY_HAND = "alpha/two/trainings/model.safetensors", "alpha/two/metrics.json"  # its notebook is elsewhere


@pytest.mark.parametrize("file", [INTERRUPTED, BY_HAND, "alpha/two.ipynb", "alpha/other/history.csv"])
@pytest.mark.parametrize("archives", [0, 2])
def test_nothing_of_a_run_is_replaced_wherever_it_began(packed: Path, fresh: Toy, monkeypatch, file, archives):
    monkeypatch.setattr(workflow, "_build", lambda plan: None)
    for module in (workflow, build):
        monkeypatch.setattr(module, "PROJECT", fresh.folder)
    for _ in range(archives):  # what an archive brought may be replaced
        workflow.report(packed)
    write(fresh.results / file, "mine")
    with pytest.raises(build.BuildError, match=f"results/toy/{file} is of a run .* rename or delete results/toy first"):
        workflow.report(packed)
    assert (fresh.results / file).read_text() == "mine"


def test_it_is_unpacked_by_the_first_python_3_11_too(packed: Path, tmp_path: Path, monkeypatch):
    def extractall(self, path=".", members=None, *, numeric_owner=False):
        raise AssertionError("before 3.11.4 there is no filter, and without one it writes wherever an archive says")

    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    assert set(workflow.unpack(packed, tmp_path).runs) == {"alpha/one", "alpha/two", "beta/one"}
    assert (tmp_path / "beta" / "one" / "history.csv").read_text() == "beta/one history.csv"


def test_a_scale_without_all_its_results_is_not_packed(fresh: Toy):
    code, said = archive(fresh, "pack", "toy")
    assert (code, said) == (1, "No archive: 3 runs have no result, such as beta/one: run make report first\n")


def _with(content: bytes, changed: str, **attributes: object) -> bytes:
    """An archive with other attributes of one of its files."""
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=(new := io.BytesIO()), mode="w") as file,
    ):
        for member in old.getmembers():
            data = old.extractfile(member)
            for name, value in attributes.items() if member.name == changed else ():
                setattr(member, name, value)
            file.addfile(member, data)
    return new.getvalue()


def _without_a_record(content: bytes) -> bytes:
    return _with(content, "alpha/two/metrics.json", name="alpha/two/other.json")


def _with_a_file_outside(content: bytes) -> bytes:
    return _with(content, "alpha/two/history.csv", name="../outside.csv")


def _with_a_link(content: bytes) -> bytes:
    return _with(content, "alpha/two/history.csv", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)


def _with_an_unreadable_middle(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes(200) + content[half + 200 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no archive",
        lambda content: content[:-60],
        _without_a_record,
        _with_a_file_outside,
        _with_a_link,
        _with_an_unreadable_middle,
        lambda content: content[:-8] + bytes(4) + content[-4:],  # another checksum
    ],
)
def test_what_is_no_archive_is_refused_in_a_line_and_nothing_is_left(packed: Path, tmp_path: Path, monkeypatch, damage):
    monkeypatch.setattr(workflow, "PROJECT", tmp_path)
    file = tmp_path / "some file"
    file.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(build.BuildError) as caught:
        workflow.report(file)
    assert re.fullmatch(
        r".*/some file is no archive that make archive wrote, or it is damaged \(.+\)", str(caught.value)
    )
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "results", file]


def test_the_command_says_in_a_line_that_a_file_is_no_archive_and_fails(fresh: Toy):
    code, said = archive(fresh, "report", "no such file")
    assert code == 1 and said.startswith("No report: no such file is no archive") and said.count("\n") == 1
