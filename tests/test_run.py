"""Whatever the order in which cells run, a record is that of a fresh run of its configuration, or there is none."""

import functools
import itertools
import random

import numpy as np
import pytest
import torch

from vaelib import data
from vaelib.files import PROJECT_ROOT, RunError
from vaelib.models.vae import VAE
from vaelib.runs import records
from vaelib.runs.parameters import ParameterError, check
from vaelib.runs.run import Run
from vaelib.runs.schemas import ClassifierParameters, VAEParameters
from vaelib.training.elbo import VAELoss, phases


class Session:
    """A notebook as short as one can be: cells that share variables, as a kernel keeps them."""

    def __init__(self, folder, images):
        self.images = images
        self.variables = {"run_dir": str(folder), "architecture": "mlp", "device": "cpu", "precision": "float32"}
        self.variables |= {"epochs": 1, "batch_size": 50, "train_images": 100, "In": ["", "epochs = 1", "check"]}

    def parameters(self, **changes):
        self.variables |= changes

    def check(self):
        self.variables["config"] = check(VAEParameters, self.variables)

    def data(self):
        v = self.variables
        v["train_set"] = self.images.take(v["config"].train_images)
        v["run"] = Run(v["config"])

    def model(self):
        v = self.variables
        v["model"] = v["run"].model(VAE, v["config"].architecture)

    def train(self):
        v = self.variables
        in_phases = phases(VAELoss(v["model"]), v["config"].epochs, v["config"].encoder_epochs)
        v["history"] = v["run"].train(in_phases, v["train_set"], v["train_set"], v["run"].settings())
        v["run"].add("Training", {"loss": v["history"].train_loss.iloc[-1], "epochs": len(v["history"])})

    def encode(self):
        v = self.variables
        v["mean"] = v["model"].posterior(data.grey(v["train_set"].images)).mean
        v["run"].add("Encoding", arrays={"mean": v["mean"]})

    def summarise(self):
        v = self.variables  # builds on a variable of the cell before, as notebooks do
        v["run"].add("Summary", {"length": v["mean"].norm().item(), "first": v["run"].arrays["mean"][0, 0].item()})

    def finish(self):
        self.variables["run"].finish(self.variables["train_set"], ["Training", "Encoding", "Summary"])

    def run_all(self):
        for cell in CELLS:
            getattr(self, cell)()


CELLS = ("check", "data", "model", "train", "encode", "summarise", "finish")


@pytest.fixture(scope="module")
def images(mnist) -> data.Images:
    return mnist["train"].take(200)


@pytest.fixture
def session(tmp_path, images) -> Session:
    return Session(tmp_path / "live", images)


def result(folder):
    """What must be equal between a record and a fresh one of the same configuration."""
    record = records.read_record(folder)
    config = {name: value for name, value in record["config"].items() if name != "run_dir"}
    return config, record["metrics"], {name: a.tobytes() for name, a in records.arrays(folder).items()}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, images):
    """What a fresh session makes of a configuration."""

    @functools.cache
    def fresh(**changes):
        folder = tmp_path_factory.mktemp("fresh")
        session = Session(folder, images)
        session.parameters(**changes)
        session.run_all()
        return result(folder)

    return fresh


ENCODER = [0, 1]  # epochs of the encoder alone: without any the training has one phase, with some it has three


@pytest.mark.parametrize("encoder_epochs", ENCODER)
def test_run_all_twice_gives_the_same_record(session, fresh, tmp_path, encoder_epochs):
    session.parameters(encoder_epochs=encoder_epochs)
    session.run_all()
    session.run_all()
    assert result(tmp_path / "live") == fresh(encoder_epochs=encoder_epochs)


@pytest.mark.parametrize(("cell", "encoder_epochs"), [*((cell, 0) for cell in CELLS[2:]), ("train", 1)])
def test_a_cell_run_twice_gives_the_same_as_running_it_once_or_says_what_to_run(
    session, fresh, tmp_path, cell, encoder_epochs
):
    session.parameters(encoder_epochs=encoder_epochs)
    session.run_all()
    try:
        getattr(session, cell)()
        session.finish()
    except RunError as error:
        assert cell == "model" and "run the cell" in str(error).lower()
    else:
        assert result(tmp_path / "live") == fresh(encoder_epochs=encoder_epochs)


@pytest.mark.parametrize("encoder_epochs", ENCODER)
def test_a_training_cell_run_again_does_not_train_the_trained_model_on(session, encoder_epochs):
    session.parameters(encoder_epochs=encoder_epochs)
    session.run_all()
    first = session.variables["history"]
    session.train()
    assert session.variables["history"].equals(first)


def test_the_encoder_s_phases_go_on_from_the_training_and_leave_its_decoder(images, tmp_path):
    models = []
    for encoder_epochs in ENCODER:
        session = Session(tmp_path / str(encoder_epochs), images)
        session.parameters(encoder_epochs=encoder_epochs)
        session.run_all()
        models.append(session.variables["model"])
    one, other = (model.decoder.state_dict() for model in models)
    assert all(torch.equal(weights, other[name]) for name, weights in one.items())
    assert not torch.equal(*(model.encoder[0].weight for model in models))


def test_a_parameter_changed_and_not_checked_is_noticed(session):
    session.run_all()
    session.parameters(epochs=2)
    for cell in CELLS[2:]:
        with pytest.raises(RunError, match="epochs changed since this run began"):
            getattr(session, cell)()


def test_a_refused_parameter_leaves_nothing_that_later_cells_could_go_on_with(session, tmp_path):
    session.run_all()
    record = (tmp_path / "live/metrics.json").read_bytes()
    session.parameters(epochs=-1)
    with pytest.raises(ParameterError):
        session.check()
    for cell in CELLS[1:]:
        with pytest.raises(KeyError):
            getattr(session, cell)()
    assert (tmp_path / "live/metrics.json").read_bytes() == record


def test_a_model_of_other_parameters_is_not_trained(session):
    session.run_all()
    session.parameters(epochs=2)
    session.check()
    session.data()
    with pytest.raises(RunError, match="this model belongs to another run: run the cell that builds it"):
        session.train()


def test_weights_changed_by_hand_describe_no_part(session):
    session.run_all()
    session.variables["model"].decoder[0].weight.data.zero_()
    with pytest.raises(RunError, match="Training: missing, or older than what it builds on"):
        session.finish()


CHANGES = [{"epochs": 1}, {"epochs": 2}, {"train_images": 100}, {"train_images": 150}, {"epochs": -1}]


def test_whatever_the_order_of_cells_a_record_is_that_of_a_fresh_run(images, fresh, tmp_path):
    """Cells now in their order and now at random after a whole run, with parameters changed on the way.

    What a kernel refuses is passed over. Records of each configuration must have been among those compared.
    """
    compared = set()
    for seed in range(10):
        rng, session, last = random.Random(seed), Session(tmp_path / f"live{seed}", images), -1
        session.run_all()
        for _ in range(80):
            if rng.random() < 0.1:
                session.parameters(**rng.choice(CHANGES))
                continue
            last = (last + 1) % len(CELLS) if rng.random() < 0.8 else rng.randrange(len(CELLS))
            try:
                getattr(session, CELLS[last])()
            except (RunError, ParameterError, KeyError):
                continue
            if CELLS[last] == "finish":
                config = records.read_record(tmp_path / f"live{seed}")["config"]
                changes = {name: config[name] for name in ("epochs", "train_images")}
                assert result(tmp_path / f"live{seed}") == fresh(**changes), f"seed {seed}"
                compared.add(tuple(changes.values()))
    assert compared == {(1, 100), (1, 150), (2, 100), (2, 150)}


def test_an_interrupted_training_is_no_training(session, monkeypatch):
    session.check(), session.data(), session.model()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.train()
    with pytest.raises(RunError, match="Encoding: model is not trained yet"):
        session.encode()


def test_a_folder_of_another_notebooks_run_is_refused(tmp_path):
    Run(check(VAEParameters, {"run_dir": str(tmp_path / "run")}))
    with pytest.raises(RunError, match=r"holds a run of vae\.ipynb: name another folder"):
        Run(check(ClassifierParameters, {"run_dir": str(tmp_path / "run")}))
    Run(check(VAEParameters, {"run_dir": str(tmp_path / "run"), "epochs": 3}))  # its own notebook's is taken


@pytest.mark.parametrize("folder", ["", " ", ".", str(PROJECT_ROOT), str(PROJECT_ROOT.parent)])
def test_a_run_does_not_fill_the_projects_own_folder(folder):
    with pytest.raises(RunError, match="would fill the project's own folder"):
        Run(check(VAEParameters, {"run_dir": folder}))


def test_an_array_that_is_not_there_yet_says_what_to_run(session):
    session.check(), session.data()
    with pytest.raises(RunError, match="mean is not computed yet, or older than the weights: run the cells above"):
        session.variables["run"].arrays["mean"]


def test_what_is_kept_of_tensors_and_tables_comes_back(session, tmp_path):
    session.run_all()
    assert records.arrays(tmp_path / "live")["mean"].shape == (100, 2)
    history = np.genfromtxt(tmp_path / "live/history.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert history["phase"] == "training" and list(itertools.islice(tmp_path.glob("live/*.tmp"), 1)) == []
