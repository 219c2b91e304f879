"""The notebook on the classifier in the loss: each run is the one that was named, and real images are of its half."""

import json
from pathlib import Path

import nbformat
import pytest
import torch
from safetensors.torch import save_file

from vaelib import data
from vaelib.files import PROJECT_ROOT, UserError
from vaelib.measure import realism
from vaelib.models.classifier import Classifier
from vaelib.runs import schemas
from vaelib.training import checkpoints

CELLS = [cell for cell in nbformat.read(PROJECT_ROOT / "notebooks/task.ipynb", 4).cells if cell.cell_type == "code"]
INK = {0.0: 10, 10.0: 200}  # of every image that a generator made, by its task_weight
MEASURED = ("exact_nll", "exact_nll_validation", "cas", "validation_accuracy")
LIKENESS = dict.fromkeys(("precision", "recall", "frechet_distance"), 0.5)


def write(folder: Path, weight: float, split: str, **changes: object) -> str:
    """A finished run of synthesis.ipynb, whatever its weight with the same `run_dir`: it was moved later."""
    config = schemas.SynthesisParameters(
        run_dir=str(folder.parent / "synthesis"), task_weight=weight, split=split, **changes
    )
    labels = torch.arange(30) % 10
    images = torch.full((30, 1, 28, 28), INK[weight], dtype=torch.uint8)
    for name in ("critic", "judge"):
        checkpoints.save(Classifier(), folder / f"{name}.safetensors")
    save_file({"images": images, "image_labels": labels}, folder / "arrays.safetensors")
    record = {"config": config.model_dump(), "metrics": dict.fromkeys(MEASURED, 1.0), "provenance": {}}
    (folder / "metrics.json").write_text(json.dumps(record))
    return str(folder)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs the notebook on two runs, with and without a classifier in the loss, on halves of the training images.

    Returns its variables, and the splits that it has loaded.
    """
    loaded = []

    def load(_: str, split: str) -> data.Images:
        loaded.append(split)
        return data.Images(torch.zeros(30, 1, 28, 28, dtype=torch.uint8), torch.arange(30) % 10)

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(realism, "measure", lambda *_: LIKENESS)

    def execute(plain: str, weighted: str, **changes: object):
        folders = [write(tmp_path / "synthesis-task", 10.0, weighted)]
        folders += [write(tmp_path / "synthesis", 0.0, plain, **changes)]
        namespace = {"__name__": "__main__"}
        for cell in CELLS[:-1]:  # without the record
            exec(cell.source, namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace |= {"run_dir": str(tmp_path / "task"), "generator_runs": folders, "device": "cpu"}
        return namespace, loaded

    return execute


def test_a_run_that_was_moved_has_its_own_images(execute):
    namespace, _ = execute("first_half", "first_half")
    for weight, ink in INK.items():
        assert set(namespace["run"].arrays[f"samples.{weight:g}"].flat) == {0, ink}
    assert namespace["table"].run.to_dict() == {0.0: "synthesis", 10.0: "synthesis-task"}


@pytest.mark.parametrize("half", data.HALVES)
def test_real_images_are_of_the_half_that_the_generators_saw(execute, half):
    _, loaded = execute(half, half)
    assert loaded == [half]


def test_each_row_of_samples_is_of_one_digit_where_there_are_few(execute):
    namespace, _ = execute("first_half", "first_half")
    rows = namespace["run"].arrays["samples.0"].reshape(10, 12, 784)  # of three images a digit, and empty ones
    assert (rows[:, :3] == INK[0.0]).all() and not rows[:, 3:].any()


@pytest.mark.parametrize(("name", "value"), [("epochs", 3), ("beta", 0.5), ("seed", 1), ("architecture", "mlp")])
def test_generators_that_differ_in_more_than_the_weight_are_not_compared(execute, name, value):
    with pytest.raises(UserError, match=f"synthesis was run with {name} = {value!r}; .* is needed here"):
        execute("first_half", "first_half", **{name: value})


def test_generators_that_leave_no_images_to_choose_by_are_named_before_the_run_begins(execute, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.MEASURED", MEASURED[:-1])
    with pytest.raises(UserError, match="have seen all of the second half, which leaves no images to choose by"):
        execute("second_half", "second_half")
    assert not (tmp_path / "task").exists()


def test_generators_of_different_halves_are_not_compared(execute):
    with pytest.raises(UserError, match="synthesis was run with split = 'second_half'; 'first_half' is needed"):
        execute("second_half", "first_half")
