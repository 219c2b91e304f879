"""Parameters are refused in words, records are written whole or not at all, and what is missing is said."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vaelib import data
from vaelib.files import RunError, atomic, resolve
from vaelib.models.networks import ARCHITECTURES
from vaelib.models.vae import VAE
from vaelib.runs import records
from vaelib.runs.ablation import AblationParameters
from vaelib.runs.parameters import ParameterError, check
from vaelib.runs.provenance import LIBRARIES, SIDE_BY_SIDE
from vaelib.runs.records import gather, read_record, read_records
from vaelib.runs.run import Run
from vaelib.runs.schemas import SynthesisParameters, VAEParameters
from vaelib.training.elbo import VAELoss

GOOD = {
    "run_dir": "results/x", "dataset": "MNIST", "train_images": 0, "test_images": 0, "architecture": "mlp",
    "latent_dim": 2, "likelihood": "bernoulli", "protocol": "A", "objective": "elbo", "importance_samples": 1,
    "kl_warmup_epochs": 0.0, "epochs": 1, "encoder_epochs": 0, "batch_size": 250, "learning_rate": 1e-3, "seed": 0,
    "precision": "auto", "device": "auto", "gap_images": 20, "exact_images": 30,
    "classifier_run": "",
}  # fmt: skip


def refusal(**changes) -> str:
    with pytest.raises(ParameterError) as caught:
        check(VAEParameters, GOOD | changes)
    return str(caught.value)


@pytest.fixture
def config() -> VAEParameters:
    return check(VAEParameters, GOOD)


@pytest.fixture
def begin(tmp_path):
    """Begin a run in a folder of this name."""
    return lambda name="run", **changes: Run(check(VAEParameters, GOOD | {"run_dir": str(tmp_path / name)} | changes))


@pytest.fixture
def finished(begin, images):
    """Make a finished run in a folder of this name."""

    def finished(name, **metrics):
        return finish(begin(name), images, {"elbo": -140.5} | metrics)

    return finished


def finish(run, images, numbers=None, arrays=None):
    """Finish a run whose only part holds these."""
    run.add("All", numbers or {}, arrays or {})
    run.finish(images, ["All"])
    return run.folder


@pytest.fixture
def images(mnist) -> data.Images:
    return mnist["train"].take(100)


# --- parameters --------------------------------------------------------------------------------------------------


def test_good_parameters_come_back_checked_and_read_only(config):
    assert config.model_dump() == GOOD
    with pytest.raises(ValueError, match="frozen"):
        config.epochs = 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epohcs": 3}, "'epohcs' is not a parameter of this notebook: did you mean 'epochs'?"),
        ({"qqq": 3}, "'qqq' is not a parameter of this notebook: known are run_dir, dataset"),
        ({"epochs": 2.5}, "epochs = 2.5: it must be a valid integer"),
        ({"epochs": None}, "epochs = None: it must be a valid integer"),
        ({"latent_dim": -1}, "latent_dim = -1: it must be greater than 0"),
        ({"learning_rate": "1e-3"}, "learning_rate = '1e-3': it must be a valid number"),
        ({"kl_warmup_epochs": float("inf")}, "kl_warmup_epochs = inf: it must be"),
        ({"architecture": "vgg"}, f"architecture = 'vgg': it must be one of {', '.join(ARCHITECTURES)}."),
        (
            {"dataset": "CIFAR10"},
            "dataset = 'CIFAR10': it must be one of MNIST, FashionMNIST, KMNIST, or a folder data/NAME/raw with",
        ),
        ({"device": "tpu9"}, "device = 'tpu9': it cannot be used here"),
        ({"device": "meta"}, "device = 'meta': it cannot be used here"),  # it holds no data
        ({"objective": "lookup"}, "objective = 'lookup' leaves the encoder untrained: it needs encoder_epochs"),
        ({"objective": "lookup", "encoder_epochs": 1, "latent_dim": 3}, "needs latent_dim = 2, not 3"),
        (
            {"objective": "lookup", "encoder_epochs": 1, "kl_warmup_epochs": 2.0},
            "kl_warmup_epochs is for objective = 'elbo' or 'iwae', not for 'lookup'.",
        ),
        (
            {"objective": "marginal", "importance_samples": 64, "encoder_epochs": 1, "kl_warmup_epochs": 2.0},
            "kl_warmup_epochs is for objective = 'elbo' or 'iwae', not for 'marginal'.",
        ),
        ({"objective": "marginal", "encoder_epochs": 1}, "needs importance_samples of 10 or more along each axis"),
        ({"run_dir": Path("results")}, "it must be a valid string"),
        ({"device": "cuda:77"}, "device = 'cuda:77': it cannot be used here"),
        (
            {"objective": "marginal", "importance_samples": 20},
            "objective = 'marginal' leaves the encoder untrained: it needs encoder_epochs",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_what_it_may_be(change, said):
    text = refusal(**change)
    assert said in text and "pydantic" not in text and text.count("\n  ") == 1


@pytest.mark.parametrize(
    ("schema", "change", "said"),
    [
        (
            AblationParameters,
            {"without": ["head"]},
            "there is no such part; known for resmlp are skip, normalisation, gelu",
        ),
        (SynthesisParameters, {"generator": "regions", "latent_dim": 3}, "generator = 'regions' needs latent_dim = 2"),
    ],
)
def test_a_rule_of_another_notebook_is_told_in_the_same_way(schema, change, said):
    with pytest.raises(ParameterError) as caught:
        check(schema, change)
    assert said in str(caught.value) and str(caught.value).count("\n  ") == 1


def test_all_wrong_parameters_are_named_in_one_message():
    text = refusal(epohcs=3, epochs=-1, architecture="vgg", seed="x")
    assert text.startswith("the parameters were not accepted:")
    assert all(part in text for part in ("'epohcs'", "epochs = -1", "architecture = 'vgg'", "seed = 'x'"))


def test_a_parameter_that_is_not_set_has_the_default_of_the_schema():
    config = check(VAEParameters, {name: value for name, value in GOOD.items() if name != "gap_images"})
    assert config.gap_images == VAEParameters().gap_images != GOOD["gap_images"]


def cells(*sources: str) -> dict:
    """The variables of a session after these cells, as IPython keeps them, with the cell that checks as the last."""
    namespace = {}
    for source in sources:
        exec(source, namespace)
    return namespace | {"In": ["", *sources, "check"], "Out": {}}


PARAMETERS = "\n".join(f"{name}: object = {value!r}" for name, value in GOOD.items())


def test_what_a_notebook_holds_besides_parameters_is_no_parameter(config):
    for sources in (["import math\nname = 'x'", PARAMETERS], [PARAMETERS, "numbers = {}\nprint()", PARAMETERS]):
        assert check(VAEParameters, cells(*sources)).model_dump() == config.model_dump()


@pytest.mark.parametrize("before", [[], ["numbers = dict()\nshown = 3"]])
def test_a_misspelt_name_is_found_in_a_fresh_kernel_and_in_a_live_session_and_gone_when_corrected(before):
    namespace = cells(*before, PARAMETERS + "\nlearnig_rate = 0.5")
    with pytest.raises(ParameterError, match="did you mean 'learning_rate'") as caught:
        check(VAEParameters, namespace)
    assert str(caught.value).count("\n  ") == 1 and "learnig_rate" not in namespace
    namespace["In"] = [*namespace["In"], PARAMETERS, "check"]
    assert check(VAEParameters, namespace).learning_rate == 1e-3


def test_a_misspelt_name_is_named_again_when_the_cell_that_checks_runs_again():
    namespace = cells(PARAMETERS + "\nlearnig_rate = 0.5")
    for _ in range(2):
        with pytest.raises(ParameterError, match="did you mean 'learning_rate'"):
            check(VAEParameters, namespace)
        namespace["In"] = [*namespace["In"], "check"]


def test_what_papermill_injects_is_checked_too():
    with pytest.raises(ParameterError, match="'epohcs' is not a parameter of this notebook: did you mean 'epochs'"):
        check(VAEParameters, cells("import math", PARAMETERS, "# Parameters\nepohcs = 3"))


def test_a_refused_configuration_leaves_nothing_of_an_earlier_one_in_the_session(begin):
    run = begin()
    namespace = cells(PARAMETERS + "\nepochs = -1") | {"config": run.config, "run": run, "model": VAE("mlp"), "n": 3}
    with pytest.raises(ParameterError):
        check(VAEParameters, namespace)
    assert not {"config", "run", "model"} & set(namespace) and namespace["n"] == 3


# --- atomic writes -----------------------------------------------------------------------------------------------


def test_a_write_that_ends_well_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("first", "second"):
        with atomic(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_untouched(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_a_run_error_and_leaves_the_old_file_untouched(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RunError, match=r"file\.txt could not be written: No space left on device"), atomic(path) as t:
        t.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_an_array_file_that_cannot_be_written_is_a_run_error_and_a_written_one_others_may_read(begin, images):
    folder = finish(begin(), images, arrays={"a": np.zeros(3)})
    assert (folder / "arrays.safetensors").stat().st_mode & 0o777 == 0o644
    with pytest.raises(RunError, match="could not be written"), atomic(folder / "more.safetensors") as path:
        save_file({"a": np.zeros(3)}, path.parent / "missing" / path.name)


def test_a_record_must_be_of_a_run_with_the_wanted_parameters(finished):
    folder = finished("run")
    assert read_record(folder, dataset="MNIST")["config"]["dataset"] == "MNIST"
    with pytest.raises(RunError, match="was run with dataset = 'MNIST'; 'other' is needed here"):
        read_record(folder, dataset="other")
    with pytest.raises(RunError, match="has no parameter split: it is a run of another notebook"):
        read_record(folder, split="train")


def test_a_number_that_a_record_lacks_is_a_run_error_that_names_the_run(finished):
    with pytest.raises(RunError, match="run has no number validation_accuracy"):
        read_record(finished("run"))["metrics"]["validation_accuracy"]


def test_several_records_go_by_the_names_of_their_folders_of_which_no_two_are_alike(finished):
    folders = [finished("a/mlp"), finished("a/conv"), finished("b/mlp")]
    assert list(read_records(folders[:2], dataset="MNIST")) == ["mlp", "conv"]
    with pytest.raises(RunError, match="two have folders of the same name"):
        read_records(folders)


def test_a_folder_that_cannot_be_made_is_a_run_error(tmp_path, begin):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        begin("file")
    with pytest.raises(RunError, match="could not be written"), atomic(tmp_path / "file" / "x"):
        pass


# --- runs and records --------------------------------------------------------------------------------------------


def test_a_record_holds_configuration_metrics_and_provenance(begin, images, monkeypatch):
    monkeypatch.setenv(SIDE_BY_SIDE, "3")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    run = begin(precision="bfloat16", device="cpu")
    finish(run, images, {"elbo": np.float64(-1.5), "kl": 2.0, "epochs": 3})
    record = json.loads((run.folder / "metrics.json").read_text())
    assert record == read_record(run.folder)
    assert record["config"] | GOOD == record["config"] | {"precision": "auto", "device": "auto", "run_dir": "results/x"}
    assert record["metrics"] == {"elbo": -1.5, "kl": 2.0, "epochs": 3}
    provenance = record["provenance"]
    assert provenance["dataset_checksum"] == data.checksum(images) and provenance["device"] != ""
    assert provenance["precision"] == "bfloat16" and provenance["emulated"] is True
    assert provenance["runs_side_by_side"] == 3 and set(provenance["versions"]) == {"vaelib", *LIBRARIES}
    assert {"commit", "python", "machine", "threads", "started", "finished", "wall_seconds"} <= set(provenance)
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["arrays.safetensors", "metrics.json", "parameters.json"]  # nothing temporary


def test_a_finished_training_stays_with_the_run_and_is_not_done_again(begin, images, monkeypatch):
    def trained():
        run = begin()
        model = run.model(VAE, "mlp")
        history = run.train(VAELoss(model), images, images, run.settings())
        finish(run, images)
        return model, history

    model, history = trained()
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: pytest.fail("it trains again"))
    again, same = trained()
    assert same.equals(history)  # the seconds of the training, too
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_the_settings_of_a_training_are_the_parameters_with_what_differs(begin):
    settings = begin(precision="float32", epochs=7).settings(batch_size=10)
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (7, 10, 1e-3)
    assert (settings.seed, settings.precision, settings.epoch_images) == (0, "float32", 0)


def test_starting_a_run_removes_the_record_of_the_earlier_one(finished, begin):
    folder = finished("run")
    (folder / "history.csv").write_text("kept")
    begin("run")
    assert not (folder / "metrics.json").exists() and (folder / "history.csv").exists()


def test_a_run_that_fails_leaves_no_record(begin, images, monkeypatch):
    run = begin()
    run.add("All", {"elbo": 1.0})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left"):
        run.finish(images, ["All"])
    assert [path.name for path in run.folder.iterdir()] == ["parameters.json"]


@pytest.mark.parametrize("number", [float("nan"), torch.tensor(float("inf")), np.float32("-inf")])
def test_a_number_that_is_not_finite_is_no_result(begin, images, number):
    run = begin()
    with pytest.raises(RunError, match=r"All: elbo came out as no finite number.*a smaller learning_rate"):
        finish(run, images, {"kl": 1.0, "elbo": number})
    with pytest.raises(RunError, match="All: missing"):
        run.finish(images, ["All"])
    assert not (run.folder / "metrics.json").exists()


def test_arrays_come_back_as_they_were(begin, images):
    arrays = {"a": np.arange(6).reshape(2, 3).T, "b": np.array([1.5], dtype=np.float32)}
    for name, array in records.arrays(finish(begin(), images, arrays=arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_relative_folders_are_the_projects_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("results/x") == Path(__file__).parent.parent / "results" / "x"
    assert resolve(tmp_path / "x") == tmp_path / "x"
    assert resolve("~/x") == Path("~/x").expanduser()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no metrics.json: its run failed or is not finished"),
        ("", "is damaged"),
        ('{"config": {}, "metr', "is damaged"),
        ('{"config": {}}', "is damaged"),
        ("[1, 2]", "is damaged"),
        ("\x00\x01", "is damaged"),
    ],
)
def test_a_missing_or_damaged_record_is_told_with_its_folder(tmp_path, content, said):
    folder = tmp_path / "run"
    with pytest.raises(RunError, match=f"there is no run at {folder}"):
        read_record(folder)
    folder.mkdir()
    if content is not None:
        (folder / "metrics.json").write_text(content)
    with pytest.raises(RunError) as caught:
        read_record(folder)
    assert said in str(caught.value) and str(folder) in str(caught.value) and "again" in str(caught.value)


def test_a_record_that_is_not_text_is_told_as_damaged(tmp_path):
    (tmp_path / "metrics.json").write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(RunError, match="is damaged"):
        read_record(tmp_path)


# --- many runs ---------------------------------------------------------------------------------------------------


def test_gathered_records_are_keyed_by_experiment_and_run_and_make_a_table(finished, tmp_path):
    folders = [finished("vae/mlp-seed0"), finished("vae/mlp-seed1", elbo=-139.0)]
    gather(folders, tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == ["vae/mlp-seed0", "vae/mlp-seed1"]
    assert summary["vae/mlp-seed1"] == read_record(folders[1])
    table = records.table(summary)
    assert table.loc["vae/mlp-seed1", "elbo"] == -139.0 and table.loc["vae/mlp-seed0", "architecture"] == "mlp"


def test_all_finished_runs_below_a_folder_are_one_table(finished, tmp_path):
    finished("batch/mlp/seed1", elbo=-139.0)
    finished("batch/conv")
    unfinished = finished("batch/failed")
    (unfinished / "metrics.json").unlink()
    table = records.gather_table(tmp_path / "batch")
    assert table.index.tolist() == ["conv", "mlp/seed1"]
    assert table.loc["mlp/seed1", "elbo"] == -139.0 and table.loc["conv", "architecture"] == "mlp"
    with pytest.raises(RunError, match=r"there is no finished run below .*/failed\. Run a notebook there"):
        records.gather_table(unfinished)


def test_the_command_gathers_and_returns_0(finished, tmp_path):
    out = tmp_path / "summary.json"
    assert records.main(["gather", "--out", str(out), str(finished("vae/a"))]) == 0
    assert list(json.loads(out.read_text())) == ["vae/a"]


def test_the_command_names_an_unfinished_run_and_returns_1_with_the_old_summary_untouched(finished, tmp_path, capsys):
    out = tmp_path / "summary.json"
    out.write_text("old")
    (tmp_path / "vae" / "b").mkdir(parents=True)
    assert records.main(["gather", "--out", str(out), str(finished("vae/a")), str(tmp_path / "vae/b")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "vae/b holds no metrics.json" in said and out.read_text() == "old"


def test_the_command_without_runs_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        records.main(["gather", "--out", str(tmp_path / "summary.json")])
    assert caught.value.code == 2 and "run_dir" in capsys.readouterr().err
