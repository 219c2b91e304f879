"""A wrong parameter, a damaged run or an impossible combination stops a notebook before any training, in one line.

The line names the parameter or the file and says what it may be or what to do, and no record is left.
"""

import ast
import json
import shutil
from pathlib import Path

import nbformat
import pytest
import torch
from safetensors.torch import save_file

from vaelib import data
from vaelib.files import PROJECT_ROOT, UserError
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE
from vaelib.runs import schemas
from vaelib.training import checkpoints, loop

SCHEMAS = {schema.notebook: schema for schema in vars(schemas).values()
           if isinstance(schema, type) and isinstance(getattr(schema, "notebook", None), str)}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Finished runs of each notebook, with their files: what a wrong path may lead to."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    for name, notebook, changes in [
        ("vae", "vae", {}),
        ("wide", "vae", {"latent_dim": 3}),
        ("few", "vae", {"test_images": 100}),
        ("fashion", "vae", {"dataset": "FashionMNIST"}),
        ("classifier", "classifier", {}),
        ("first", "classifier", {"split": "first_half"}),
        ("second", "classifier", {"split": "second_half"}),
        ("synthesis", "synthesis", {"latent_dim": 2}),
    ]:
        config = SCHEMAS[notebook](run_dir=str(folder / name), **changes).model_dump()
        model = Classifier() if notebook == "classifier" else VAE("mlp", config["latent_dim"])
        checkpoints.save(model, folder / name / "model.safetensors")
        save_file({"none": torch.zeros(1)}, folder / name / "arrays.safetensors")
        record = {"config": config, "metrics": {}, "provenance": {"notebook": notebook}}
        (folder / name / "metrics.json").write_text(json.dumps(record))
        (folder / name / "parameters.json").write_text(json.dumps({"notebook": notebook, "config": config}))
    return folder


@pytest.fixture
def execute(tmp_path, runs, monkeypatch):
    """Runs the code cells of a notebook with other parameters, and returns the message with which it stops."""

    def trained(*_, **__):
        pytest.fail("it began to train")

    monkeypatch.setattr(loop, "train", trained)

    def execute(name: str, **changes) -> str:
        notebook = nbformat.read(PROJECT_ROOT / "notebooks" / f"{name}.ipynb", 4)
        namespace = {"__name__": "__main__"}
        parameters = {"run_dir": str(tmp_path / "run")} | changes
        with pytest.raises(UserError) as caught:
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    source = cell.source
                    exec(compile(ast.parse(source), name, "exec"), namespace)
                    if "parameters" in cell.metadata.get("tags", []):
                        namespace |= parameters
        assert not (tmp_path / "run" / "metrics.json").exists()
        return str(caught.value)

    return execute


@pytest.mark.parametrize(
    ("notebook", "parameter", "value", "said"),
    [
        ("vae", "epoch", 3, "is not a parameter of this notebook: did you mean 'epochs'?"),
        ("vae", "quality", "high", "is not a parameter of this notebook: known are run_dir"),
        ("vae", "dataset", "mnist", "it must be one of MNIST, FashionMNIST, KMNIST"),
        ("vae", "dataset", "../MNIST", "it must be one of MNIST, FashionMNIST, KMNIST"),
        ("vae", "train_images", -1, "greater than or equal to 0"),
        ("vae", "test_images", "all", "a valid integer"),
        ("vae", "test_images", 1, "it must be 0 for all, or 2 or more"),
        ("vae", "architecture", "transformer", "it must be one of aevb"),
        ("vae", "latent_dim", 0, "greater than 0"),
        ("vae", "latent_dim", 2.0, "a valid integer"),
        ("vae", "likelihood", "poisson", "it must be one of bernoulli, continuous_bernoulli, gaussian"),
        ("vae", "protocol", "D", "it must be 'A', 'B' or 'C'"),
        ("vae", "protocol", "C", "does not fit likelihood = 'bernoulli'"),
        ("vae", "likelihood", "gaussian", "does not fit likelihood = 'gaussian'"),
        ("vae", "objective", "vae", "it must be 'elbo'"),
        ("vae", "objective", "iwae", "needs importance_samples of 2 or more"),
        ("vae", "objective", "marginal", "importance_samples"),
        ("vae", "kl_warmup_epochs", -1.0, "greater than or equal to 0"),
        ("vae", "epochs", 0, "greater than 0"),
        ("vae", "epochs", "3", "a valid integer"),
        ("vae", "epochs", True, "a valid integer"),
        ("vae", "batch_size", 0, "greater than 0"),
        ("vae", "learning_rate", 0.0, "greater than 0"),
        ("vae", "learning_rate", float("nan"), "a finite number"),
        ("vae", "learning_rate", float("inf"), "a finite number"),
        ("vae", "seed", -1, "greater than or equal to 0"),
        ("vae", "seed", 2**64, "less than"),
        ("vae", "precision", "float16", "it must be 'auto', 'float32', 'tf32' or 'bfloat16'"),
        ("vae", "device", "gpu", "auto takes the best there is"),
        ("vae", "device", "meta:x", "auto takes the best there is"),
        ("vae", "gap_images", 0, "greater than 0"),
        ("vae", "run_dir", "", "name one for this run"),
        ("vae", "run_dir", ".", "name one for this run"),
        ("classifier", "split", "test", "it must be one of train, first_half, second_half"),
        ("classifier", "augmentation", "flip", "it must be 'none' or 'affine'"),
        ("synthesis", "generator", "gan", "it must be 'conditional'"),
        ("synthesis", "split", "train", "it must be one of first_half, second_half"),
        ("synthesis", "certainty", 1.0, "less than 1"),
        ("synthesis", "pixels", "binary", "it must be 'mean' or 'sample'"),
        ("augmentation", "fraction", 0.0, "greater than 0"),
        ("augmentation", "fraction", 1.5, "less than or equal to 1"),
        ("augmentation", "arms", ["real", "real"], "it must name none twice"),
        ("augmentation", "arms", ["fake"], "it must be one of "),
        ("augmentation", "budgets", [], "it must name at least one"),
        ("augmentation", "updates", [100, 100], "none twice"),
        ("baselines", "points", 1000, "it must be the sixth power of a whole number"),
        ("baselines", "train_images", 50, "each begins with a training image, and train_images is 50"),
        ("baselines", "components", [], "it must name at least one"),
        ("baselines", "pseudo_counts", [], "it must name at least one"),
        ("baselines", "components", [100, 100], "it must name none twice"),
        ("ablation", "validation_images", 5001, "less than or equal to 5000"),
        ("ablation", "learning_rates", [0.001, 0.001], "it must name none twice"),
        ("vaegan", "compared_runs", [], "it must name at least one"),
        ("vaegan", "images", 10, "greater than or equal to 100"),
        ("vaegan", "gamma", -1.0, "greater than or equal to 0"),
        ("exact_training", "points", 0, "greater than 0"),
        ("exact_training", "points", 2**20, "less than or equal to 131072"),
    ],
)
def test_a_wrong_parameter_is_one_line_that_says_what_it_may_be(execute, notebook, parameter, value, said):
    text = execute(notebook, **{parameter: value})
    lines = text.splitlines()
    assert parameter in lines[-1] and said in lines[-1]
    assert lines[:-1] in ([], ["the parameters were not accepted:"])


def test_more_latents_than_can_be_decoded_together_are_too_many(execute):
    many = {"objective": "marginal", "importance_samples": 64, "latent_dim": 3, "encoder_epochs": 1}
    text = execute("vae", **many)
    assert "64^3, and more than 20,000 are too many" in text and text.count("\n") == 1


DAMAGES = {
    "missing": lambda run: shutil.rmtree(run),
    "a file": lambda run: (shutil.rmtree(run), run.write_text("")),
    "unfinished": lambda run: (run / "metrics.json").unlink(),
    "cut record": lambda run: (run / "metrics.json").write_text('{"config"'),
    "empty record": lambda run: (run / "metrics.json").write_text(""),
    "record of parts": lambda run: (run / "metrics.json").write_text('{"config": {}}'),
    "no weights": lambda run: (run / "model.safetensors").unlink(),
    "cut weights": lambda run: (run / "model.safetensors").write_bytes(b"1234"),
    "other weights": lambda run: checkpoints.save(Classifier(), run / "model.safetensors"),
    "no arrays": lambda run: (run / "arrays.safetensors").unlink(),
    "cut arrays": lambda run: (run / "arrays.safetensors").write_bytes(b"1234"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_one_line_that_names_its_folder(execute, runs, tmp_path, damage):
    run = tmp_path / "there"
    shutil.copytree(runs / "vae", run)
    DAMAGES[damage](run)
    text = execute("latent_space", vae_run=str(run))
    assert "\n" not in text and str(run) in text


@pytest.mark.parametrize(
    ("notebook", "parameter", "names", "said"),
    [
        ("latent_space", "vae_run", "wide", "latent_dim = 3; 2 is needed"),
        ("latent_space", "vae_run", "classifier", "it is a run of another notebook"),
        ("exact_training", "vae_runs", ["vae", "wide"], "latent_dim = 3; 2 is needed"),
        ("exact_training", "vae_runs", ["vae", "few"], "test_images = 100; 0 is needed"),
        ("exact_training", "vae_runs", ["vae", "fashion"], "dataset = 'FashionMNIST'; 'MNIST' is needed"),
        ("synthesis", "judge_run", "first", "split = 'first_half'; 'second_half' is needed"),
        ("synthesis", "judge_run", "vae", "it is a run of another notebook"),
        ("vaegan", "compared_runs", ["fashion"], "dataset = 'FashionMNIST'; 'MNIST' is needed"),
        ("vaegan", "compared_runs", ["classifier"], "notebook = 'classifier'; 'vae' is needed"),
        ("vae", "classifier_run", "vae", "notebook = 'vae'; 'classifier' is needed"),
        ("vae", "classifier_run", "synthesis", "notebook = 'synthesis'; 'classifier' is needed"),
        ("augmentation", "generator_run", "vae", "it is a run of another notebook"),
        ("augmentation", "generator_run", "missing", "there is no run at"),
        ("task", "generator_runs", ["synthesis"], "generator_runs has no run with a task_weight above 0"),
        ("task", "generator_runs", ["vae", "synthesis"], "it is a run of another notebook"),
    ],
)
def test_a_run_that_does_not_fit_is_one_line_that_says_why(execute, runs, notebook, parameter, names, said):
    folders = str(runs / names) if isinstance(names, str) else [str(runs / name) for name in names]
    text = execute(notebook, **{parameter: folders})
    assert "\n" not in text and said in text


@pytest.mark.parametrize(
    ("notebook", "parameter", "kind", "fitting"),
    [
        ("vae", "classifier_run", "classifier", {}),
        ("vaegan", "classifier_run", "classifier", {"compared_runs": ["vae"]}),
        ("vaegan", "compared_runs", "vae", {}),
        ("synthesis", "judge_run", "second", {}),
    ],
)
def test_damaged_weights_stop_a_notebook_before_it_trains(execute, runs, tmp_path, notebook, parameter, kind, fitting):
    run = tmp_path / "there"
    shutil.copytree(runs / kind, run)
    DAMAGES["cut weights"](run)
    others = {name: [str(runs / folder) for folder in folders] for name, folders in fitting.items()}
    text = execute(notebook, **others, **{parameter: [str(run)] if parameter.endswith("s") else str(run)})
    assert "\n" not in text and str(run) in text


def test_a_data_set_that_lacks_a_digit_is_named_and_not_a_number_of_images_that_nobody_chose(execute, monkeypatch):
    without_nine = data.Images(torch.zeros(24, 1, 28, 28, dtype=torch.uint8), torch.arange(24) % 9)
    monkeypatch.setattr(data, "load", lambda *_: without_nine)
    text = execute("synthesis", device="cpu")
    assert "\n" not in text and "MNIST" in text and "22 images to train on and 2" in text and "a digit lacks" in text


def test_a_fraction_of_fewer_images_than_digits_trains_no_arm(execute, runs):
    text = execute("augmentation", generator_run=str(runs / "synthesis"), fraction=0.0001)
    assert text == "fraction = 0.0001 takes 3 images of the second half, and 10 are the fewest."


@pytest.mark.parametrize("notebook", ["vae", "classifier"])
def test_a_run_does_not_fill_the_folder_of_another_notebooks_run(execute, runs, notebook):
    text = execute(notebook, run_dir=str(runs / "synthesis"))
    assert "run_dir" in text and "holds a run of synthesis.ipynb" in text and "\n" not in text
    assert (runs / "synthesis" / "metrics.json").exists()
