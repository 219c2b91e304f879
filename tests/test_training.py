"""The training loop: repeatable, resumable to the same numbers, and honest in what it reports."""

import copy
import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from vaelib import data, sources
from vaelib.exact.inference import gaussian_elbo
from vaelib.models import vaegan
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE
from vaelib.training import checkpoints, loop
from vaelib.training.adversarial import VAEGANLoss
from vaelib.training.classification import ClassifierLoss
from vaelib.training.elbo import VAELoss, loss_of, phases
from vaelib.training.lookup import LookupLoss
from vaelib.training.loop import Settings
from vaelib.training.loss import Loss
from vaelib.training.marginal import MarginalLoss

EPOCHS = 3


@dataclass(eq=False)
class Made(Loss):
    """A loss made of a function of batch, rng, epochs_done and training."""

    function: Callable

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        return self.function(batch, rng, epochs_done, training)


@pytest.fixture
def images(mnist) -> tuple[data.Images, data.Images]:
    """200 training and 70 validation images."""
    return mnist["train"].take(200), mnist["validation"].take(70)


@pytest.fixture
def start(images):
    """Start a training of a fresh model; returns the model and the epochs to come."""

    def start(architecture="mlp", objective="elbo", checkpoint=None, **settings):
        torch.manual_seed(5)
        model = VAE(architecture)
        settings = Settings(**{"epochs": EPOCHS, "batch_size": 64, "learning_rate": 5e-3} | settings)
        return model, loop.train(VAELoss(model, objective), *images, settings, checkpoint)

    return start


def numbers(history):
    """What must repeat exactly: everything but the seconds."""
    return [{name: value for name, value in metrics.items() if name != "seconds"} for metrics in history]


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(start):
    (first, a), (second, b), (third, c) = start(seed=1), start(seed=1), start(seed=2)
    a, b, c = numbers(a), numbers(b), numbers(c)
    assert a == b and same_weights(first, second)
    assert a[-1]["train_loss"] != c[-1]["train_loss"] and not same_weights(first, third)


def test_draws_outside_the_training_do_not_change_it(start):
    _, epochs = start()
    disturbed = []
    for metrics in epochs:
        torch.rand(7)
        disturbed.append(metrics)
    assert numbers(disturbed) == numbers(start()[1])


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@pytest.mark.parametrize("done", [1, 2])
def test_an_interrupted_run_ends_with_the_numbers_of_one_never_interrupted(start, tmp_path, capsys, architecture, done):
    uninterrupted, epochs = start(architecture)
    expected = numbers(epochs)
    path = tmp_path / "checkpoint.safetensors"
    _, epochs = start(architecture, checkpoint=path)
    for _ in range(done):
        next(epochs)
    epochs.close()
    resumed, epochs = start(architecture, checkpoint=path)
    history = list(epochs)
    assert f"{done} of 3 epochs were trained before" in capsys.readouterr().out
    assert [metrics["epoch"] for metrics in history] == [1, 2, 3]
    assert numbers(history) == expected and same_weights(resumed, uninterrupted)


@pytest.mark.parametrize("kind", ["classifier", "vaegan"])
def test_an_interrupted_run_of_networks_stored_channels_last_ends_with_the_same_numbers(images, tmp_path, capsys, kind):
    def start(path=None):
        torch.manual_seed(5)
        model = Classifier() if kind == "classifier" else vaegan.VAEGAN("mlp")
        loss = ClassifierLoss(model) if kind == "classifier" else VAEGANLoss(model, 1.0)
        return model, loop.train(loss, images[0], None, Settings(epochs=EPOCHS, batch_size=100), path)

    uninterrupted, epochs = start()
    expected = numbers(epochs)
    path = tmp_path / "checkpoint.safetensors"
    next(start(path)[1])
    resumed, epochs = start(path)
    assert numbers(epochs) == expected and same_weights(resumed, uninterrupted)
    assert "1 of 3 epochs were trained before" in capsys.readouterr().out


def test_a_checkpoint_of_other_code_is_ignored(start, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    next(start(checkpoint=path)[1])
    before = path.read_bytes()
    monkeypatch.setattr(checkpoints.sources, "of_modules", lambda *_: {"vaelib/training/loop.py": "edited"})
    next(start(checkpoint=path)[1])
    assert len(checkpoints._read(path)[1]["history"]) > 0 and path.read_bytes() != before


@pytest.mark.parametrize(("objective", "samples"), [("elbo", 1), ("iwae", 3), ("lookup", 1), ("marginal", 10)])
def test_a_training_that_runs_away_stops_with_a_message(images, objective, samples):
    torch.manual_seed(5)
    loss = loss_of(VAE("mlp"), objective, samples=samples)
    if objective == "lookup":
        loss.side = 16  # a smaller table: this is about no number
    with pytest.raises(loop.TrainingError, match=r"train_loss became .* in epoch 1: take a smaller learning_rate"):
        list(loop.train(loss, *images, Settings(epochs=1, batch_size=20, learning_rate=1e30)))


def test_a_finished_checkpoint_gives_the_record_and_the_best_weights_at_once(start, tmp_path, capsys):
    path = tmp_path / "checkpoint.safetensors"
    model, epochs = start(checkpoint=path)
    history = list(epochs)
    capsys.readouterr()
    again, epochs = start(checkpoint=path)
    assert list(epochs) == history and same_weights(model, again)
    assert capsys.readouterr().out == "  3 of 3 epochs were trained before, as checkpoint.safetensors\n"


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"epochs": 2}, {"batch_size": 50}, {"precision": "bfloat16"}, {"objective": "iwae"}],
)
def test_a_checkpoint_of_another_training_is_ignored(start, tmp_path, change):
    path = tmp_path / "checkpoint.safetensors"
    next(start(checkpoint=path)[1])
    expected = numbers(start(**change)[1])
    assert numbers(start(checkpoint=path, **change)[1]) == expected


def test_the_identity_of_a_training_names_all_that_its_numbers_depend_on(images, monkeypatch):
    """Each change alone makes another identity; nothing else does."""

    def identity(change=lambda: None, weights=5, settings=Settings(epochs=1), few=images, **fields):  # noqa: B008
        torch.manual_seed(weights)
        loss = VAELoss(VAE("mlp"), **fields)
        with pytest.MonkeyPatch.context() as patch:
            change(patch) if change.__code__.co_argcount else change()
            return checkpoints.identity(loss, settings, *few)

    plain = identity()
    assert identity() == plain
    others = [
        identity(weights=6),
        identity(objective="iwae"),
        identity(settings=Settings(epochs=1, precision="bfloat16")),
        identity(few=(images[0].take(100), images[1])),
        identity(few=(images[0], None)),
        identity(change=lambda patch: patch.setattr(torch, "__version__", "9.9")),
        identity(change=lambda patch: patch.setattr(checkpoints.sources, "of_modules", lambda *_: {"loop": "edited"})),
    ]
    assert len({plain, *others}) == 1 + len(others)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_identity_of_a_training_tells_emulated_from_native_bfloat16_and_no_other_processors_apart(
    images, monkeypatch, precision
):
    loss, known = VAELoss(VAE("mlp")), []
    for capabilities in ({}, {"avx512_bf16": True, "amx_bf16": True}, {"avx512_bf16": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        known.append(checkpoints.identity(loss, Settings(epochs=1, precision=precision), *images))
    assert (known[0] == known[1]) == (precision == "float32") and known[1] == known[2]


def test_the_code_of_a_training_is_that_of_loop_loss_and_model_and_no_other():
    identity = checkpoints.identity(ClassifierLoss(Classifier()), Settings(epochs=1), data.load().take(10), None)
    files = set(checkpoints.json.loads(identity)["code"])
    assert {"vaelib/training/loop.py", "vaelib/training/classification.py", "vaelib/models/classifier.py"} <= files
    assert not [file for file in files if file.split("/")[1] in ("measure", "plots", "report", "runs", "exact")]
    assert "vaelib/training/adversarial.py" not in files


def test_a_training_of_what_a_notebook_defines_is_the_same_as_no_other(images, monkeypatch):
    """Its source may have changed since; that of a module with a file is compared."""
    loss = Made(VAE("mlp"), lambda batch, *_: {"loss": batch.images.float().sum(1)})
    monkeypatch.setattr(Made, "__module__", __name__)

    def identities():
        known = [json.loads(checkpoints.identity(loss, Settings(epochs=1), *images)) for _ in range(2)]
        return [{**parts, "loss": None} for parts in known]

    one, other = identities()
    assert one == other and one["code"][__name__] == sources.digest(Path(__file__))
    monkeypatch.setattr(Made, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    one, other = identities()
    assert one != other and one["code"].keys() == other["code"].keys()


def test_networks_of_equal_weights_and_other_layers_are_of_other_trainings(images):
    """A GELU in the place of a ReLU changes no weight."""
    torch.manual_seed(0)
    one = VAELoss(VAE("mlp"))
    other = copy.deepcopy(one)
    other.model.encoder = nn.Sequential(*(nn.GELU() if isinstance(m, nn.ReLU) else m for m in other.model.encoder))
    known = [checkpoints.identity(loss, Settings(epochs=1), *images) for loss in (one, copy.deepcopy(one), other)]
    assert known[0] == known[1] != known[2]


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-50], lambda content: b"x" * 500])
def test_a_damaged_checkpoint_is_ignored(start, tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    next(start(checkpoint=path)[1])
    path.write_bytes(damage(path.read_bytes()))
    assert numbers(start(checkpoint=path)[1]) == numbers(start()[1])


@pytest.mark.parametrize("interrupted_after", [0, 3])
def test_the_weights_of_the_best_epoch_are_kept(images, tmp_path, interrupted_after):
    """A loss whose validation value is lowest in the second of four epochs, while the weight moves with each step."""
    seen, models = [], []

    def loss(batch, rng, epochs_done, training):
        if not training:
            seen.append(models[-1].weight.item())
            return {"loss": torch.full((len(batch.labels),), [3.0, 1.0, 2.0, 1.5][len(seen) - 1])}
        return {"loss": models[-1].weight.sum() * torch.ones(len(batch.labels))}

    def start():
        torch.manual_seed(0)
        models.append(nn.Linear(1, 1))
        settings = Settings(epochs=4, batch_size=100)
        return models[-1], loop.train(Made(models[-1], loss), *images, settings, tmp_path / "checkpoint.safetensors")

    _, epochs = start()
    for _ in range(interrupted_after):
        next(epochs)
    epochs.close()
    model, epochs = start()
    assert [metrics["validation_loss"] for metrics in epochs] == [3.0, 1.0, 2.0, 1.5]
    assert len(set(seen)) == 4 and model.weight.item() == seen[1] and not model.training


def test_a_validation_loss_that_is_no_number_stops_the_training(images):
    model = nn.Linear(1, 1)

    def loss(batch, rng, epochs_done, training):
        values = model.weight.sum() * torch.ones(len(batch.labels))
        return {"loss": values if training else values * torch.nan}

    with pytest.raises(loop.TrainingError, match="validation_loss became nan in epoch 1"):
        list(loop.train(Made(model, loss), *images, Settings(epochs=2)))


@pytest.mark.parametrize("protocol", ["A", "B"])
def test_training_and_validation_metrics_are_the_same_quantity(images, protocol):
    """On the same images, and with weights that stand still, both are the ELBO."""
    torch.manual_seed(0)
    model, few = VAE("mlp"), images[0]
    model.decoder[0].weight.data *= 0.1  # so that the draw of z matters little
    loss = VAELoss(model, protocol=protocol, kl_warmup_epochs=1)
    (metrics,) = loop.train(loss, few, few, Settings(epochs=1, batch_size=64, learning_rate=1e-12))
    x = data.grey(few.images)
    exact = gaussian_elbo(model, x, model.posterior(x))  # protocol A's expectation too, but for the encoder's input
    error = 0.5 if protocol == "A" else 0.2
    assert metrics["train_elbo"] == pytest.approx(exact.mean().item(), abs=error)
    assert metrics["validation_elbo"] == pytest.approx(exact.mean().item(), abs=error)
    assert metrics["validation_loss"] == -metrics["validation_elbo"]
    for part in ("train", "validation"):
        difference = metrics[f"{part}_reconstruction"] - metrics[f"{part}_kl"]
        assert metrics[f"{part}_elbo"] == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_beta_and_the_kl_warm_up_change_the_loss_and_not_the_reported_elbo(images, beta):
    torch.manual_seed(0)
    model = VAE("mlp")
    batch = images[0].take(20)

    def terms(epochs_done, warmup, training=True):
        rng = torch.Generator().manual_seed(0)
        return VAELoss(model, kl_warmup_epochs=warmup, beta=beta)(batch, rng, epochs_done, training)

    full = terms(0.0, 0)
    torch.testing.assert_close(full["loss"], beta * full["kl"] - full["reconstruction"])
    torch.testing.assert_close(full["elbo"], full["reconstruction"] - full["kl"])
    for epochs_done, training, weight in ((0.0, True, 0.0), (1.0, True, 0.25), (4.0, True, 1.0), (0.0, False, 1.0)):
        warm = terms(epochs_done, 4, training)
        torch.testing.assert_close(warm["loss"], weight * beta * warm["kl"] - warm["reconstruction"])
        assert torch.equal(warm["elbo"], full["elbo"])


def test_a_loss_is_known_by_the_name_of_its_objective_with_all_that_it_is_given():
    model = VAE("mlp")
    for objective in ("elbo", "iwae"):
        loss = loss_of(model, objective, "B", 7, 2.5)
        fields = {"objective": objective, "protocol": "B", "samples": 7, "kl_warmup_epochs": 2.5, "beta": 1.0}
        assert type(loss) is VAELoss and vars(loss) == {"model": model} | fields
    lookup, marginal = (loss_of(model, objective, "B", 12) for objective in ("lookup", "marginal"))
    assert (type(lookup), lookup.model, lookup.protocol, lookup.samples) == (LookupLoss, model, "B", 12)
    assert (type(marginal), marginal.model, marginal.protocol, marginal.side) == (MarginalLoss, model, "B", 12)


def test_a_loss_is_prepared_before_every_fourth_step_of_an_epoch_and_once_for_its_evaluation(images):
    model, called = nn.Linear(1, 1), []

    class Prepared(Made):
        def prepare(self, rng):
            called.append("prepare")

    def loss(batch, rng, epochs_done, training):
        called.append("step" if training else "evaluation")
        return {"loss": model.weight.sum() * torch.ones(len(batch.labels))}

    list(loop.train(Prepared(model, loss), *images, Settings(epochs=2, batch_size=20)))  # ten steps an epoch
    four = ["prepare", *["step"] * 4]
    assert called == 2 * [*four, *four, "prepare", "step", "step", "prepare", "evaluation"]


def test_a_decoder_trained_without_an_encoder_gets_one_afterwards_without_warm_up_and_unchanged():
    loss = MarginalLoss(VAE("mlp"), "A", side=10)
    trainable = []
    for phase in phases(loss, 5, 2):
        trainable.append([p.requires_grad for p in (loss.model.decoder[0].weight, loss.model.encoder[0].weight)])
        assert phase.loss.model is loss.model and phase.loss.protocol == "A"
        if phase.name != "training":
            assert phase.loss.kl_warmup_epochs == 0 and phase.epochs == 2
    assert trainable == [[True, True], [False, True], [False, True]]
    assert all(parameter.requires_grad for parameter in loss.model.parameters())
    interrupted = phases(loss, 5, 2)
    next(interrupted), next(interrupted), interrupted.close()
    assert [phase.name for phase in phases(loss, 5, 0)] == ["training"]
    assert all(parameter.requires_grad for parameter in loss.model.parameters())


def test_training_raises_the_elbo(start):
    history = list(start(epochs=8)[1])
    assert history[-1]["validation_elbo"] > history[0]["validation_elbo"] + 30
    assert history[-1]["validation_elbo"] < -45.53


def test_products_in_bfloat16_train_as_well_and_leave_float32_weights(start):
    model, epochs = start(precision="bfloat16")
    half, full = list(epochs), list(start()[1])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert half[-1]["train_elbo"] != full[-1]["train_elbo"]
    assert half[-1]["validation_elbo"] == pytest.approx(full[-1]["validation_elbo"], rel=0.02)


def test_evaluation_weights_images_alike_whatever_the_batches(images):
    few = images[1]  # 70 images: the last batch is ragged
    brightness = data.grey(few.images).double().mean(-1)

    def loss(batch, rng, epochs_done, training):
        assert not training
        return {"loss": data.grey(batch.images).mean(-1), "labels": batch.labels}

    for batch_size in (1, 64, 69, 70, 1000):
        found = loop.evaluate(Made(nn.Identity(), loss), few, batch_size=batch_size)
        assert found["loss"] == pytest.approx(brightness.mean().item(), rel=1e-6)
        assert found["labels"] == pytest.approx(few.labels.double().mean().item(), rel=1e-9)


def test_an_epoch_sees_each_image_once_as_bytes_and_reports_their_mean(images):
    few, model = images[0], nn.Linear(1, 1)
    seen = []

    def loss(batch, rng, epochs_done, training):
        assert batch.images.dtype == torch.uint8 and batch.images.shape[1:] == (1, 28, 28)
        values = data.grey(batch.images).mean(-1)
        if training:
            seen.append(batch.images)
        return {"loss": values + 0 * model.weight.sum()}

    (metrics,) = loop.train(Made(model, loss), few, few, Settings(epochs=1, batch_size=64))
    order = torch.cat(seen).flatten(1).tolist()
    assert order != few.images.flatten(1).tolist() and sorted(order) == sorted(few.images.flatten(1).tolist())
    assert metrics["train_loss"] == pytest.approx(data.grey(few.images).double().mean().item(), rel=1e-6)


@pytest.mark.parametrize(("steps", "warmup"), [(5000, 200), (1000, 100)])
def test_the_learning_rate_warms_up_and_falls_to_zero(steps, warmup):
    rates = [loop._schedule(step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert rates[0] <= 0.01 and peak == pytest.approx(warmup, abs=1) and rates[-1] < 1e-4 and min(rates) > 0
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)


def test_progress_prints_a_line_an_epoch_with_the_time_left(capsys):
    epochs = [{"epoch": 1, "train_loss": 200.0, "validation_loss": 190.126, "seconds": 2.0}]
    assert list(loop.progress(epochs, 3, "dreams")) == epochs
    assert capsys.readouterr().out == "epoch 1/3 of dreams: loss 200, validation 190.1; 2.0 s, 4 s left\n"


def test_without_validation_images_the_last_epoch_is_kept(images):
    torch.manual_seed(5)
    model = VAE("mlp")
    history = []
    for metrics in loop.train(VAELoss(model), images[0], None, Settings(epochs=2, learning_rate=5e-3)):
        history.append(metrics)
        last = {name: t.clone() for name, t in model.state_dict().items()}
    assert not [name for name in history[-1] if name.startswith("validation")]
    assert all(torch.equal(t, last[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize(
    ("epoch_images", "shown"), [(0, [1] * 200), (500, [2] * 100 + [3] * 100), (50, [0] * 150 + [1] * 50)]
)
def test_an_epoch_shows_as_many_images_as_asked_for_and_all_equally_often(images, epoch_images, shown):
    """The images are told apart by their labels, which a loss without a model counts."""
    numbered = data.Images(images[0].images, torch.arange(200))
    seen, steps = [], []
    model = nn.Linear(1, 1)

    def loss(batch, rng, epochs_done, training):
        seen.extend(batch.labels.tolist())
        steps.append(epochs_done)
        return {"loss": model.weight.sum() * torch.ones(len(batch.labels)), "label": batch.labels.double()}

    settings = Settings(epochs=1, epoch_images=epoch_images, batch_size=50)
    [metrics] = loop.train(Made(model, loss), numbered, None, settings)
    counts = torch.tensor(seen).bincount(minlength=200)
    assert counts.sort().values.tolist() == shown
    assert len(steps) == sum(shown) // 50 and steps == sorted(steps) and steps[-1] < 1
    assert metrics["train_label"] == pytest.approx(sum(seen) / len(seen))


def test_long_gradients_are_scaled_down_and_short_ones_left_alone(images):
    """Adam's steps hide the length of a gradient; its running mean does not."""
    for size, expected in ((1.0, 1.0), (1e5, loop.LARGEST_GRADIENT)):
        model = nn.Linear(1, 1, bias=False)
        optimisers = []
        adam = torch.optim.Adam

        def spy(*arguments, adam=adam, optimisers=optimisers, **options):
            optimisers.append(adam(*arguments, **options))
            return optimisers[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim, "Adam", spy)
            loss = lambda batch, *_: {"loss": size * model.weight.sum() * torch.ones(len(batch.labels))}  # noqa: B023, E731
            list(loop.train(Made(model, loss), images[0], None, Settings(epochs=1, batch_size=200)))
        [state] = optimisers[0].state.values()
        assert state["exp_avg"].item() == pytest.approx((1 - loop.BETAS[0]) * expected, rel=1e-4)


def test_gradients_are_clipped_network_by_network(images):
    """A steep network must not shorten the steps of another one that a loss calls separate."""
    model = nn.ModuleList([nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)])

    class Apart(Made):
        def networks(self):
            return list(self.model)

    steep = lambda batch, *_: {"loss": (1e6 * model[0].weight + model[1].weight).sum() * torch.ones(len(batch.labels))}  # noqa: E731
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", lambda _: seen.extend(network.weight.grad.item() for network in model))
        list(loop.train(Apart(model, steep), images[0], None, Settings(epochs=1, batch_size=200)))
    assert seen == [pytest.approx(loop.LARGEST_GRADIENT, rel=1e-4), pytest.approx(1.0)]


def test_every_trained_parameter_of_a_vaegan_belongs_to_one_of_its_networks():
    model = vaegan.VAEGAN("mlp")
    parts = [parameter for network in VAEGANLoss(model).networks() for parameter in network.parameters()]
    assert len(parts) == len(set(parts)) and set(parts) == set(model.parameters())
