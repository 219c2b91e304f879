"""Arms hold what they say, nothing leaks between the halves, and budgets are equal."""

from dataclasses import replace

import pytest
import torch

from vaelib import data
from vaelib.models.classifier import Classifier, predict
from vaelib.synthetic import arms
from vaelib.training.loop import Settings

COUNT = 60


@pytest.fixture
def sets(mnist) -> dict[str, data.Images]:
    """Real images of the second half, further ones of the first, and four times as much noise as synthetic ones."""
    first, second = (data.load("MNIST", half) for half in data.HALVES)
    noise = torch.randint(0, 256, (4 * COUNT, 1, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    synthetic = data.Images(noise, first.take(4 * COUNT).labels)
    return {"real": second.take(COUNT), "synthetic": synthetic, "further": first.take(COUNT)}


def rows(images):
    return [row.numpy().tobytes() for row in images.images]


def made(arm, sets):
    """The images of an arm; a classifier of the real ones is the surer of an image, the darker its first pixel is."""
    parts = arms.Parts(
        *sets.values(), torch.Generator().manual_seed(0), lambda images: -images.images[:, 0, 0, 0].float()
    )
    return arms.training_set(arms.ARMS[arm], parts)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("real", [("real", 60)]),
        ("synthetic", [("real", 60), ("synthetic", 60)]),
        ("duplicated", [("real", 60), ("real", 60)]),
        ("further", [("real", 60), ("further", 60)]),
        ("synthetic_only", [("synthetic", 60)]),
        ("afresh", [("real", 60)]),
        ("afresh_synthetic", [("real", 60), ("synthetic", 60)]),
        ("synthetic_quarter", [("real", 60), ("synthetic", 15)]),
        ("synthetic_half", [("real", 60), ("synthetic", 30)]),
        ("synthetic_double", [("real", 60), ("synthetic", 120)]),
        ("synthetic_fourfold", [("real", 60), ("synthetic", 240)]),
    ],
)
def test_an_arm_is_made_of_its_parts_and_of_nothing_else(arm, expected, sets):
    images = made(arm, sets)
    assert rows(images) == [row for name, count in expected for row in rows(sets[name].take(count))]
    assert images.labels.tolist() == [y for name, count in expected for y in sets[name].labels[:count].tolist()]
    assert arms.ARMS[arm].synthetic_needed(COUNT) == sum(count for name, count in expected if name == "synthetic")


@pytest.mark.parametrize("arm", arms.ARMS)
def test_an_arm_knows_its_size_and_has_a_label_of_its_own(arm, sets):
    assert len(made(arm, sets).labels) == arms.ARMS[arm].images(COUNT)
    assert [other.label for other in arms.ARMS.values()].count(arms.ARMS[arm].label) == 1


@pytest.mark.parametrize(("arm", "added"), [("affine", 0), ("affine_and_synthetic", COUNT)])
def test_affine_copies_are_moved_copies_of_every_image_with_its_label(arm, added, sets):
    images = made(arm, sets)
    real, copies, others = images.take(COUNT), images.drop(COUNT).take(COUNT), images.drop(2 * COUNT)
    assert rows(real) == rows(sets["real"]) and not set(rows(copies)) & set(rows(real))
    assert torch.equal(copies.labels, real.labels) and rows(others) == rows(sets["synthetic"])[:added]
    ink = [part.images.double().mean().item() for part in (real, copies)]
    assert ink[1] == pytest.approx(ink[0], rel=0.1)  # about as much ink: the images are moved, not lost


def test_the_unsure_images_are_the_least_sure_half_of_twice_as_many(sets):
    images = made("synthetic_unsure", sets)
    pool = sets["synthetic"].take(2 * COUNT)
    first_pixel = pool.images[:, 0, 0, 0]
    chosen = rows(images)[COUNT:]
    assert (
        rows(images)[:COUNT] == rows(sets["real"])
        and arms.ARMS["synthetic_unsure"].synthetic_needed(COUNT) == 2 * COUNT
    )
    assert chosen == [row for row in rows(pool) if row in set(chosen)] and len(set(chosen)) == COUNT  # in their order
    left = [row for row in rows(pool) if row not in set(chosen)]
    assert min(row[0] for row in chosen) >= max(row[0] for row in left)
    assert first_pixel.unique().numel() > COUNT


def test_certainty_is_the_probability_of_the_most_probable_digit(sets):
    torch.manual_seed(0)
    model = Classifier().eval()
    expected = model(data.grey(sets["real"].images)).softmax(-1).max(-1).values
    torch.testing.assert_close(arms.certainty(model, sets["real"]), expected)


def test_no_arm_holds_an_image_of_the_test_set_or_one_that_the_evaluation_uses(sets, mnist):
    left_over = data.load("MNIST", "second_half").drop(COUNT)
    kept_away = {*rows(mnist["test"]), *rows(left_over)}
    for arm in arms.ARMS:
        assert not set(rows(made(arm, sets))) & kept_away


@pytest.mark.parametrize(
    ("budget", "arm", "expected"),
    [("updates", "real", 900), ("updates", "synthetic", 900), ("epochs", "real", 900), ("epochs", "synthetic", 1800),
     ("epochs", "synthetic_quarter", 1125), ("epochs", "affine_and_synthetic", 2700)],
)  # fmt: skip
def test_equal_epochs_leave_the_real_images_their_updates_and_give_more_images_more(budget, arm, expected):
    assert arms.updates_of(budget, 900, arms.ARMS[arm].images(6000), real=6000) == expected


def test_images_moved_afresh_train_another_classifier(sets):
    settings = Settings(epochs=1, batch_size=20)
    still, moved, again = (
        arms.train_classifier(sets["real"], 5, settings, afresh=afresh) for afresh in (False, True, True)
    )
    weights = [next(model.parameters()) for model in (still, moved, again)]
    assert torch.equal(weights[1], weights[2]) and not torch.equal(weights[0], weights[1])


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


def test_the_classifier_of_an_arm_is_trained_once_and_kept_by_its_name(sets, tmp_path, monkeypatch):
    settings = Settings(epochs=1, batch_size=20, seed=3)
    classifiers = arms.Classifiers(*sets.values(), settings, lambda name: tmp_path / name)
    first, longer = (classifiers.train("duplicated", updates) for updates in (5, 6))
    monkeypatch.setattr(arms, "train_classifier", lambda *_: pytest.fail("it trains again"))
    assert classifiers.train("duplicated", 5) is first and classifiers.train("duplicated", 6) is longer
    assert {path.name for path in tmp_path.iterdir()} == {"duplicated-5-updates", "duplicated-6-updates"}
    monkeypatch.undo()
    alone = arms.train_classifier(sets["real"].join(sets["real"]), 5, settings)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), alone.parameters(), strict=True))


def test_what_is_unsure_is_so_to_the_classifier_of_the_real_images_after_as_many_updates(sets):
    settings = Settings(epochs=1, batch_size=20, seed=3)
    classifiers = arms.Classifiers(*sets.values(), settings, lambda _: None)
    trained = classifiers.train("synthetic_unsure", 5)
    real = arms.train_classifier(sets["real"], 5, settings)
    parts = arms.Parts(*sets.values(), torch.Generator(), lambda images: arms.certainty(real, images))
    alone = arms.train_classifier(arms.training_set(arms.ARMS["synthetic_unsure"], parts), 5, settings)
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), alone.parameters(), strict=True))
