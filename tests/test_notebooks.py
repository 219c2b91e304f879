"""The notebooks are committed clean, say what their parameters mean, run by papermill, and refuse a wrong parameter."""

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest
import torch
from safetensors.torch import load_file

from vaelib import data
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.models.vae import VAE
from vaelib.runs import ablation, baselines, schemas
from vaelib.runs.records import read_record
from vaelib.training import checkpoints

PROJECT = Path(__file__).resolve().parent.parent

EXPERIMENTS = {
    "vae": schemas.VAEParameters,
    "ablation": ablation.AblationParameters,
    "baselines": baselines.BaselinesParameters,
    "latent_space": schemas.LatentSpaceParameters,
    "classifier": schemas.ClassifierParameters,
    "synthesis": schemas.SynthesisParameters,
    "augmentation": schemas.AugmentationParameters,
    "exact_training": schemas.ExactTrainingParameters,
    "vaegan": schemas.VAEGANParameters,
    "task": schemas.TaskParameters,
}
NOTEBOOKS = sorted([*PROJECT.glob("notebooks/*.ipynb"), *PROJECT.glob("report/*.ipynb")])
SMALL = {"train_images": 1000, "test_images": 100, "gap_images": 20, "exact_images": 50, "epochs": 1}
SMALL |= {"architecture": "mlp"}


def run_notebook(experiment: str, folder: Path, **values: object) -> subprocess.CompletedProcess:
    """Run a notebook as a person would at the command line, into `folder`."""
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", f"notebooks/{experiment}.ipynb"]
    command += [str(folder.parent / f"{folder.name}.ipynb")]
    for name, value in {"run_dir": folder, "device": "cpu", **values}.items():
        command += ["-y", f"{name}: {json.dumps(value)}"] if isinstance(value, list) else ["-p", name, str(value)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def judge_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of classifier.ipynb on the second half."""
    folder = tmp_path_factory.mktemp("runs") / "judge"
    ended = run_notebook("classifier", folder, split="second_half", train_images=2000, epochs=1, batch_size=20)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def vae_run(judge_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of vae.ipynb."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    ended = run_notebook("vae", folder, classifier_run=judge_run, **SMALL)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def generator_run(judge_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of synthesis.ipynb: one VAE a digit."""
    folder = tmp_path_factory.mktemp("runs") / "synthesis"
    small = {"generator": "per_digit", "architecture": "mlp", "train_images": 2000, "images": 1000, "epochs": 1}
    ended = run_notebook("synthesis", folder, judge_run=judge_run, updates=20, **small)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def sweep_runs(judge_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of small runs of synthesis.ipynb without and with the classifier in the loss."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"architecture": "mlp", "train_images": 1000, "images": 300, "epochs": 1, "updates": 20, "nll_images": 2}
    for weight in (0, 50):
        ended = run_notebook("synthesis", folder / f"weight{weight}", judge_run=judge_run, task_weight=weight, **small)
        assert ended.returncode == 0, ended.stderr[-3000:]
    return [folder / "weight0", folder / "weight50"]


def images_without_alternative_text(notebook: Path) -> list[str]:
    return [
        cell.id
        for cell in nbformat.read(notebook, as_version=4).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
        and not output.metadata.get("image/png", {}).get("alt")
        and not any("vaelib" in mime for mime in output.data)
    ]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_cell_gives_a_parameter_another_value(experiment):
    """A run notices parameters that are changed after their check; a loop's variable must not look like one."""
    notebook = nbformat.read(PROJECT / "notebooks" / f"{experiment}.ipynb", as_version=4)
    sources = [c.source for c in notebook.cells if c.cell_type == "code" and not c.metadata.get("tags")]
    stored = {n.id for n in ast.walk(ast.parse("\n".join(sources))) if isinstance(n, ast.Name) and _stores(n)}
    assert not stored & set(EXPERIMENTS[experiment].model_fields)


def _stores(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def test_every_experiment_is_tested_here():
    assert {path.stem for path in PROJECT.glob("notebooks/*.ipynb")} == set(EXPERIMENTS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_committed_without_results(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert "papermill" not in notebook.metadata and all("papermill" not in cell.metadata for cell in notebook.cells)
    assert "widgets" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_parameter_has_a_type_a_default_and_a_comment(path: Path):
    notebook = nbformat.read(path, as_version=4)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    inspected = papermill.inspect_notebook(path)
    assert inspected
    for name, parameter in inspected.items():
        assert parameter["inferred_type_name"] != "None" and parameter["default"] and parameter["help"], name


@pytest.mark.parametrize(("experiment", "schema"), EXPERIMENTS.items())
def test_parameters_are_those_of_the_schema_and_their_defaults_are_accepted(experiment, schema):
    inspected = papermill.inspect_notebook(PROJECT / "notebooks" / f"{experiment}.ipynb")
    assert set(inspected) == set(schema.model_fields)
    defaults = {name: json.loads(parameter["default"]) for name, parameter in inspected.items()}
    for name, parameter in inspected.items():
        assert type(defaults[name]).__name__ == parameter["inferred_type_name"]
    assert schema().model_dump() == defaults  # the cell shows the defaults, the schema has them


@pytest.mark.slow
def test_vae_leaves_a_whole_record(vae_run: Path):
    record = read_record(vae_run)
    assert record["config"] | SMALL == record["config"]
    names = {path.relative_to(vae_run).as_posix() for path in vae_run.rglob("*") if path.is_file()}
    assert {"metrics.json", "history.csv", "model.safetensors", "arrays.safetensors"} <= names
    assert not [name for name in names if name.endswith((".png", ".tmp"))]
    metrics = record["metrics"]
    assert metrics["parameters"] == 469_268 and metrics["epochs"] == 1
    # What must hold of any model: the bounds are below log p(x), and there are gaps.
    assert metrics["elbo"] <= metrics["iwae_5_bound"] + 1 and metrics["elbo"] < -metrics["exact_nll"]
    assert metrics["approximation_gap"] > 0 and metrics["amortisation_gap"] > 0
    assert metrics["exact_nll"] > metrics["pixel_entropy"]
    arrays = load_file(vae_run / "arrays.safetensors")
    assert arrays["class_shares"].sum().item() == pytest.approx(1) == arrays["class_shares_training"].sum().item()
    assert len(arrays["misread_label"]) == min(30, round(100 * metrics["misread_reconstructions"]))
    assert (arrays["misread_label"] != arrays["misread_digit"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "continuous_bernoulli"])
def test_vae_measures_densities_of_grey_pixels_as_exactly(judge_run: Path, tmp_path: Path, likelihood):
    small = SMALL | {"likelihood": likelihood, "protocol": "C", "classifier_run": judge_run, "batch_size": 50}
    ended = run_notebook("vae", tmp_path / "run", **small)
    assert ended.returncode == 0, ended.stderr[-3000:]
    metrics = read_record(tmp_path / "run")["metrics"]
    assert metrics["gap_elbo"] < -metrics["gap_exact_nll"] and metrics["amortisation_gap"] > 0
    # An encoder at its beginning puts images of a thousand nats beyond the box, and the error must say so.
    assert metrics["elbo"] < -metrics["exact_nll"] + metrics["exact_nll_error"] < 784 * 3
    assert 0 <= metrics["unsure_samples"] <= 1 and "pixel_entropy" not in metrics
    # The densities are bounded by the floor of the deviation, and by the largest logit.
    most = {"gaussian": 3 - 0.5 * math.log(2 * math.pi), "continuous_bernoulli": math.log(20)}[likelihood]
    assert -metrics["exact_nll"] < 784 * most
    sheet = load_file(tmp_path / "run/arrays.safetensors")["samples"]
    assert sheet.shape == (100, 784) and sheet.float().std() > 10
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_ablation_measures_each_variant_on_validation_images_alone(tmp_path: Path):
    small = {"train_images": 500, "validation_images": 20, "epochs": 1, "batch_size": 50, "run_dir": tmp_path / "run"}
    lists = {"without": ["skip"], "learning_rates": [0.002, 0.004]}
    ended = run_notebook("ablation", tmp_path / "run", **small, **lists)
    assert ended.returncode == 0, ended.stderr[-3000:]
    table = pd.read_csv(tmp_path / "run/ablation.csv")
    assert table.variant.tolist() == ["whole", "whole", "skip"] and table.learning_rate.tolist() == [2e-3, 4e-3, 2e-3]
    assert (table.validation_exact_nll < -table.validation_elbo).all() and table.parameters.nunique() == 1
    metrics = read_record(tmp_path / "run")["metrics"]
    skip, whole = table.iloc[2], table.iloc[0]
    assert metrics["cost_skip"] == pytest.approx(skip.validation_exact_nll - whole.validation_exact_nll)
    assert metrics["best_learning_rate"] == table.learning_rate[table.validation_exact_nll[:2].idxmin()]
    # Independently: the saved weights on the images held out.
    model = checkpoints.load(VAE, tmp_path / "run/skip-0.002.safetensors", torch.device("cpu"))
    x = data.evaluation_pixels(data.load("MNIST", "validation").take(20).images, "A")
    assert skip.validation_exact_nll == pytest.approx(-exact_log_likelihood(model, x).log_px.mean().item(), abs=1e-3)
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_baselines_are_measured_on_the_same_images(tmp_path: Path):
    small = {"passes": 2, "points": 729, "epochs": 1, "lattice_epochs": 1, "train_images": 500, "batch_size": 50}
    small |= {"test_images": 4, "exact_train_images": 2, "grid": 64, "components": [10, 40]}
    ended = run_notebook("baselines", tmp_path / "run", **small)
    assert ended.returncode == 0, ended.stderr[-3000:]
    table = pd.read_csv(tmp_path / "run/baselines.csv", index_col="key")
    assert list(table.index) == ["mixture_10", "mixture_40", "decoder_1d", "decoder_2d", "decoder_3d", "qlvm"]
    metrics = read_record(tmp_path / "run")["metrics"]
    for key, row in table.iterrows():
        assert metrics[f"{key}_nll"] == row.test_exact_nll and metrics[f"{key}_nll_train"] == row.train_exact_nll
        assert 50 < row.test_exact_nll < 784 and row.error < 0.05
    # Independently: the saved decoder of two latents, on the test images.
    model = checkpoints.load(VAE, tmp_path / "run/decoder_2d.safetensors", torch.device("cpu"))
    x = data.evaluation_pixels(data.load("MNIST", "test").take(4).images, "A")
    assert metrics["decoder_2d_nll"] == pytest.approx(-exact_log_likelihood(model, x).log_px.mean().item(), abs=1e-3)
    assert all(abs(metrics[f"decoder_{d}d_estimate_bias"]) < 3 for d in (1, 2, 3))
    assert metrics["qlvm_estimate_nll"] == pytest.approx(metrics["qlvm_nll"], abs=1)
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_latent_space_runs_on_a_finished_vae(vae_run: Path, tmp_path: Path):
    ended = run_notebook("latent_space", tmp_path / "run", vae_run=vae_run)
    assert ended.returncode == 0, ended.stderr[-3000:]
    metrics = read_record(tmp_path / "run")["metrics"]
    assert metrics["hole_share"] == read_record(vae_run)["metrics"]["hole_share"]
    assert 0 <= metrics["amortisation_share"] <= 1
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_exact_training_compares_runs_and_measures_brute_force(vae_run: Path, tmp_path: Path):
    ended = run_notebook("exact_training", tmp_path / "run", vae_runs=[str(vae_run)], images=20, points=256)
    assert ended.returncode == 0, ended.stderr[-3000:]
    metrics = read_record(tmp_path / "run")["metrics"]
    assert metrics["grid_error_2"] < metrics["grid_error_10"] and metrics["draws_error_2"] < metrics["draws_error_20"]
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_vaegan_trains_and_is_measured_beside_a_vae_and_real_images(vae_run: Path, judge_run: Path, tmp_path: Path):
    small = {"architecture": "mlp", "train_images": 500, "images": 300, "epochs": 1, "batch_size": 50}
    ended = run_notebook("vaegan", tmp_path / "run", compared_runs=[str(vae_run)], classifier_run=judge_run, **small)
    assert ended.returncode == 0, ended.stderr[-3000:]
    table = pd.read_csv(tmp_path / "run/comparison.csv", index_col="model")
    assert list(table.index) == ["vaegan", "vae", "training images"]
    assert table.frechet_distance.idxmin() == "training images" and table.recall["training images"] > 0.5
    assert table.exact_nll.notna().tolist() == [False, True, False]
    metrics = read_record(tmp_path / "run")["metrics"]
    assert metrics["frechet_distance"] == pytest.approx(table.frechet_distance["vaegan"])
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_task_sets_the_runs_of_a_sweep_beside_each_other(sweep_runs: list[Path], tmp_path: Path):
    folders = [str(folder) for folder in sweep_runs[::-1]]
    ended = run_notebook("task", tmp_path / "run", generator_runs=folders)
    assert ended.returncode == 0, ended.stderr[-3000:]
    sweep = pd.read_csv(tmp_path / "run/sweep.csv", index_col="task_weight")
    assert list(sweep.index) == [0, 50]
    for folder, (_, row) in zip(sweep_runs, sweep.iterrows(), strict=True):
        metrics = read_record(folder)["metrics"]
        assert row.judge_error == pytest.approx(metrics["label_error"]) and 0 <= row.critic_error <= 1
        assert row.exact_nll == pytest.approx(metrics["exact_nll"]) and row.exact_nll > 50
    assert images_without_alternative_text(tmp_path / "run.ipynb") == []


@pytest.mark.slow
def test_classifier_leaves_a_whole_record(judge_run: Path):
    metrics = read_record(judge_run)["metrics"]
    assert metrics["test_accuracy"] == pytest.approx(1 - metrics["test_errors"] / 10_000)
    shares = load_file(judge_run / "arrays.safetensors")["confusions"]
    for digit in range(10):
        assert shares[digit, digit] == pytest.approx(metrics[f"test_accuracy_{digit}"])


@pytest.mark.slow
def test_synthesis_makes_as_many_images_as_asked_for_with_the_labels_of_the_first_half(generator_run: Path):
    made = load_file(generator_run / "arrays.safetensors")
    assert made["images"].shape == (1000, 1, 28, 28) and made["images"].dtype == torch.uint8
    assert torch.equal(made["image_labels"], data.load("MNIST", "first_half").labels[:1000])
    metrics = read_record(generator_run)["metrics"]
    row = pd.read_csv(generator_run / "accuracies.csv").iloc[0]
    assert metrics["validation_accuracy"] == row.validation_accuracy and 0 < metrics["cas_validation"] < 1
    assert (row.updates, row.batch_size, row.learning_rate, row.images) == (20, 128, 0.004, 7_000)
    errors = [metrics[f"label_error_{digit}"] for digit in range(10)]
    weights = made["image_labels"].bincount() / 1000
    assert metrics["label_error"] == pytest.approx(sum(e * w for e, w in zip(errors, weights.tolist(), strict=True)))


@pytest.mark.slow
def test_augmentation_trains_each_arm_under_both_budgets_with_each_number_of_updates(
    generator_run: Path, tmp_path: Path
):
    arms = ["real", "synthetic", "synthetic_only"]
    few = {"generator_run": generator_run, "fraction": 0.02, "updates": [20, 10], "arms": arms}
    ended = run_notebook("augmentation", tmp_path / "run", **few)
    assert ended.returncode == 0, ended.stderr[-3000:]
    table = pd.read_csv(tmp_path / "run/accuracies.csv").set_index(["arm", "budget"])
    assert len(table) == 12
    for arm, images in zip(arms, (600, 1200, 600), strict=True):
        assert (table.images[arm] == images).all()
    by_updates, by_epochs = (table.xs(budget, level="budget") for budget in ("updates", "epochs"))
    assert (by_updates.updates == by_updates.baseline_updates).all()
    assert (by_epochs.updates * 600 == by_epochs.baseline_updates * by_epochs.images).all()
    metrics, arrays = read_record(tmp_path / "run")["metrics"], load_file(tmp_path / "run/arrays.safetensors")
    assert metrics["updates"] == 20  # the metrics are those of the most updates
    for (arm, budget), row in table[table.baseline_updates == 20].iterrows():
        assert metrics[f"test_accuracy_{arm}_{budget}"] == pytest.approx(row.test_accuracy)
        for measured in ("test", "validation"):
            correct = arrays[f"{measured}_correct.{arm}.{row.updates}.seed0"]
            assert correct.dtype == torch.bool and len(correct) == 10_000
            assert correct.double().mean().item() == pytest.approx(row[f"{measured}_accuracy"])


@pytest.mark.slow
def test_augmentation_stops_when_the_generator_made_too_few_images(generator_run: Path, tmp_path: Path):
    ended = run_notebook("augmentation", tmp_path / "run", generator_run=generator_run, fraction=0.5)
    assert ended.returncode != 0 and not (tmp_path / "run").exists()
    assert "made 1000 images, 15000 are needed" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("run", ["vae_run", "judge_run", "generator_run"])
def test_executed_images_have_alternative_text(run: str, request: pytest.FixtureRequest):
    assert images_without_alternative_text(request.getfixturevalue(run).with_suffix(".ipynb")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "values", "said"),
    [
        ("vae", {"epohcs": 3, "batch_size": -1}, ["did you mean 'epochs'?", "batch_size = -1: it must be"]),
        ("latent_space", {"vae_run": "results/no-such-run"}, ["there is no run at", "Run its notebook first"]),
    ],
)
def test_a_wrong_parameter_stops_a_notebook_at_once_with_one_message(experiment, values, said, tmp_path: Path):
    ended = run_notebook(experiment, tmp_path / "run", **values)
    assert ended.returncode != 0 and not (tmp_path / "run").exists()
    last_words = ended.stderr.split("Exception encountered")[-1]
    for part in said:
        assert part in last_words
    assert "site-packages/pydantic" not in last_words and "epoch 1/" not in ended.stdout + ended.stderr
