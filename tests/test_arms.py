"""Arms hold what they say, nothing leaks between the halves, budgets are equal, and differences are paired."""

from dataclasses import replace

import pytest
import torch

from vaelib import data
from vaelib.models.classifier import predict
from vaelib.synthetic import arms
from vaelib.training.loop import Settings

COUNT = 60


@pytest.fixture
def sets(mnist) -> dict[str, data.Images]:
    """Real images of the second half, further ones of the first, and noise as the synthetic ones."""
    first, second = (data.load("MNIST", half) for half in data.HALVES)
    noise = torch.randint(0, 256, (COUNT, 1, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    synthetic = data.Images(noise, first.take(COUNT).labels)
    return {"real": second.take(COUNT), "synthetic": synthetic, "further": first.take(COUNT)}


def rows(images):
    return [row.numpy().tobytes() for row in images.images]


def made(arm, sets):
    return arms.ARMS[arm](*sets.values(), torch.Generator().manual_seed(0))


def test_each_arm_is_made_of_its_parts_and_of_nothing_else(sets):
    parts = {
        "real": ["real"],
        "synthetic": ["real", "synthetic"],
        "duplicated": ["real", "real"],
        "further": ["real", "further"],
        "synthetic_only": ["synthetic"],
    }
    for arm, names in parts.items():
        images = made(arm, sets)
        assert rows(images) == [row for name in names for row in rows(sets[name])]
        assert images.labels.tolist() == [y for name in names for y in sets[name].labels.tolist()]
    assert set(arms.ARMS) == {*parts, "affine"}


def test_the_affine_arm_adds_a_moved_copy_of_every_image_with_its_label(sets):
    images = made("affine", sets)
    assert rows(images)[:COUNT] == rows(sets["real"]) and not set(rows(images)[COUNT:]) & set(rows(sets["real"]))
    assert torch.equal(images.labels, sets["real"].labels.repeat(2))
    ink = [images.images[part].double().mean().item() for part in (slice(COUNT), slice(COUNT, None))]
    assert ink[1] == pytest.approx(ink[0], rel=0.1)  # about as much ink: the images are moved, not lost


def test_no_arm_holds_an_image_of_the_test_set_or_one_that_the_evaluation_uses(sets, mnist):
    left_over = data.load("MNIST", "second_half").drop(COUNT)
    kept_away = {*rows(mnist["test"]), *rows(left_over)}
    for arm in arms.ARMS:
        assert not set(rows(made(arm, sets))) & kept_away


@pytest.mark.parametrize(
    ("budget", "images", "expected"),
    [("updates", 6000, 900), ("updates", 12_000, 900), ("epochs", 6000, 450), ("epochs", 12_000, 900)],
)
def test_budgets(budget, images, expected):
    assert arms.updates_of(budget, 900, images, real=6000) == expected


def test_trainings_of_one_seed_on_the_same_images_are_the_same(sets, mnist):
    settings = Settings(epochs=1, batch_size=20, learning_rate=2e-3)
    test = mnist["test"].take(100)
    models = [arms.train_classifier(sets["real"], 20, replace(settings, seed=seed)) for seed in (0, 0, 1)]
    predicted = [predict(model, test) for model in models]
    assert torch.equal(predicted[0], predicted[1]) and not torch.equal(predicted[0], predicted[2])


def test_a_classifier_that_is_kept_is_trained_once(sets, mnist, tmp_path, monkeypatch):
    path, settings = tmp_path / "arm.safetensors", Settings(epochs=1, batch_size=20)
    first = arms.train_classifier(sets["real"], 5, settings, path)
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: pytest.fail("it trains again"))
    again = arms.train_classifier(sets["real"], 5, settings, path)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
