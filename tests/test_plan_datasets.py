"""A report on other images than MNIST: every run of it is about them, and its results lie apart."""

import contextlib
import importlib.metadata
import json
import sys
from pathlib import Path

import idx
import pytest
from snakemake.cli import parse_config
from toy import PROJECT, Toy, make, write, write_notebook

sys.path.insert(0, str(PROJECT / "workflow"))

import beforehand
import build
import identity
import plan


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A toy of which `alpha` says what its images are, and `beta` takes those of the run that it needs."""
    toy = make(tmp_path)
    write_notebook(toy.folder / "notebooks" / "alpha.ipynb", "run_dir = ''\nvalue = 0\ndataset = 'MNIST'")
    idx.write(tmp_path / "data" / "mine" / "raw", train=12, test=3)
    return toy


def test_all_runs_are_about_the_data_set_asked_for_and_lie_in_a_folder_of_its_name(toy: Toy):
    usual, mine = plan.load(toy.folder, "toy"), plan.load(toy.folder, "toy", "mine")
    assert (usual.name, mine.name) == ("toy", "toy-mine")
    assert {run.dataset for run in usual.runs.values()} == {"MNIST"}
    assert {run.dataset for run in mine.runs.values()} == {"mine"}
    assert list(mine.runs) == list(usual.runs)
    assert usual.runs["alpha/one"].parameters == {"value": 1}
    assert mine.runs["alpha/one"].parameters == {"value": 1, "dataset": "mine"}
    assert mine.runs["beta/one"].parameters == {"value": 0.5}  # which has no parameter of that name
    assert "-r dataset mine" in mine.runs["alpha/one"].arguments("results/toy-mine")


def test_a_run_that_names_its_own_data_set_keeps_it_and_so_does_what_needs_it(toy: Toy):
    toy.edit("workflow/scales/toy.yaml", "{value: 1}", "{dataset: KMNIST}")
    runs = plan.load(toy.folder, "toy", "mine").runs
    assert {name: run.dataset for name, run in runs.items()} == {
        "alpha/one": "KMNIST",
        "beta/one": "KMNIST",
        "alpha/two": "mine",
    }


def test_what_a_run_computes_with_are_the_files_of_its_own_data_set(toy: Toy):
    write(toy.folder / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", "other")

    def files(dataset: str) -> set[str]:
        run = plan.load(toy.folder, "toy", dataset).runs["beta/one"]
        return {name for name in json.loads(identity.of_run(run, toy.folder)) if name.startswith("data/")}

    assert files("mine") == {f"data/mine/raw/{part}" for part in plan.archives.PARTS}
    assert files("MNIST") == {"data/MNIST/raw/t10k-labels-idx1-ubyte"}


def test_another_version_of_a_library_and_a_changed_file_of_the_data_make_all_runs_due_and_are_named(
    toy: Toy, monkeypatch
):
    runs, results = plan.load(toy.folder, "toy", "mine").runs, toy.folder / "results" / "toy-mine"
    for name in sorted(runs):  # what is needed before what needs it
        for file in identity.RESULT:
            write(results / name / file, "")
        write(results / name / identity.IDENTITY, identity.of_run(runs[name], toy.folder))

    def due() -> dict[str, str]:
        identity._of_code.cache_clear()
        identity.sources.digest.cache_clear()
        return identity.why_due(runs, toy.folder, results)

    assert due() == {}
    with monkeypatch.context() as patch:
        known = importlib.metadata.version
        patch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "torch" else known(name))
        assert due() == dict.fromkeys(runs, "torch changed")
    assert due() == {}
    labels = toy.folder / "data/mine/raw/train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x07")
    assert due() == dict.fromkeys(runs, "data/mine/raw/train-labels-idx1-ubyte changed")


@pytest.mark.parametrize("name", ["2024", "True", "1e5"])
def test_a_data_set_may_be_called_like_a_number(toy: Toy, name: str):
    (toy.folder / "data" / "mine").rename(toy.folder / "data" / name)
    own = plan.load(toy.folder, "toy", name)
    assert f"-r dataset {name}" in own.runs["alpha/one"].arguments("results")
    config = build.snakemake_command(own)
    assert parse_config(config[config.index("--config") + 1 :]) == {"scale": "toy", "dataset": name}


@pytest.mark.parametrize("dataset", ["Fashion", "../mine", ""])
def test_a_data_set_that_there_is_not_is_refused_with_those_there_are(toy: Toy, dataset: str):
    with pytest.raises(plan.PlanError, match=f"no data set '{dataset}'; there are: MNIST, FashionMNIST, KMNIST, mine"):
        plan.load(toy.folder, "toy", dataset)


def test_a_scale_that_asks_too_much_of_a_small_data_set_is_refused_before_any_run(tmp_path: Path):
    (tmp_path / "notebooks").symlink_to(PROJECT / "notebooks")
    idx.write(tmp_path / "data" / "mine" / "raw", train=600)
    for train_images in (60, 61):
        own = {"split": "second_half", "train_images": train_images}
        runs = {"synthesis/own": plan.Run("synthesis", "own", own, {}, None, "mine")}
        with pytest.raises(plan.PlanError) if train_images > 60 else contextlib.nullcontext() as refused:
            beforehand.check_data(plan.Plan("any", "mine", runs, ""), tmp_path)
    assert str(refused.value).startswith("the report about mine needs train_images from 1 to 60 in synthesis/own")


@pytest.mark.slow
def test_data_that_cannot_be_used_stop_a_build_before_any_run(toy: Toy):
    toy.command += ["--dataset", "mine"]
    code, output, jobs = toy.build()
    assert code == 1 and jobs == set()
    assert output.strip().endswith("has 12 training images: 120 are the least.") and output.count("\n") == 1
