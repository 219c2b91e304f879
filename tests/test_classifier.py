"""The classifier learns, and its affine maps move images as they say."""

import math

import pytest
import torch
from torchvision.transforms import functional as transforms

from vaelib import data
from vaelib.models import classifier
from vaelib.training import checkpoints, loop
from vaelib.training.classification import ClassifierLoss


@pytest.fixture
def model() -> classifier.Classifier:
    torch.manual_seed(0)
    return classifier.Classifier().eval()


def test_it_has_two_convolutions_with_max_pooling_between_and_two_fully_connected_layers(model):
    kinds = [type(module).__name__ for module in model.modules()]
    layers = [kind for kind in kinds if kind in ("Conv2d", "MaxPool2d", "Linear")]
    assert layers == ["Conv2d", "MaxPool2d", "Conv2d", "Linear", "Linear"]
    assert model(torch.rand(3, 784)).shape == (3, 10)


def test_the_loss_is_the_cross_entropy_of_each_image_and_the_accuracy_counts_the_right_ones(model, mnist):
    images = mnist["test"].take(50)
    terms = ClassifierLoss(model)(images, torch.Generator(), training=False)
    with torch.no_grad():
        probabilities = model(data.grey(images.images)).softmax(-1)
    expected = -probabilities[torch.arange(50), images.labels].log()
    torch.testing.assert_close(terms["loss"].detach(), expected)
    assert terms["accuracy"].tolist() == (probabilities.argmax(-1) == images.labels).float().tolist()


def test_affine_maps_are_for_training_alone(model, mnist):
    images = mnist["test"].take(20)
    plain, moving = (ClassifierLoss(model, affine) for affine in (False, True))
    rng = torch.Generator().manual_seed(0)
    at_rest = plain(images, rng, training=False)["loss"]
    assert torch.equal(moving(images, rng, training=False)["loss"], at_rest)
    assert not torch.equal(moving(images, rng)["loss"], at_rest)


def test_learning_from_a_thousand_images_beats_chance_by_far(mnist):
    torch.manual_seed(0)
    model = classifier.Classifier()
    settings = loop.Settings(epochs=8, batch_size=50, learning_rate=2e-3)
    list(loop.train(ClassifierLoss(model), mnist["train"].take(1000), None, settings))
    unseen = mnist["validation"].take(500)
    assert (classifier.predict(model, unseen) == unseen.labels).double().mean() > 0.75


def test_accuracies_of_all_images_and_of_each_digit(model, mnist):
    images = mnist["test"].take(300)
    predicted = classifier.predict(model, images)
    right = predicted == images.labels
    numbers = classifier.accuracies(predicted, images.labels)
    assert numbers["test_accuracy"] == pytest.approx(right.double().mean().item())
    for digit in range(10):
        mine = [bool(r) for r, y in zip(right, images.labels, strict=True) if y == digit]
        assert numbers[f"test_accuracy_{digit}"] == pytest.approx(sum(mine) / len(mine))


@pytest.mark.parametrize(
    ("turn", "zoom", "across", "down"), [(0.5, 0.5, 0.5, 0.5), (0.9, 0.1, 0.5, 0.5), (0.3, 0.8, 0.9, 0.2)]
)
def test_an_affine_map_is_the_one_of_torchvision(mnist, monkeypatch, turn, zoom, across, down):
    """The four uniform draws are given; torchvision does the same with its own parameters."""
    x = data.grey(mnist["test"].images[:4])
    draws = torch.tensor([turn, zoom, across, down])[:, None].expand(4, 4)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: draws)
    moved = classifier.random_affine(x, torch.Generator())
    turn, zoom, across, down = (2 * value - 1 for value in (turn, zoom, across, down))
    angle, factor = classifier.ROTATION * turn, 1 + classifier.SCALE * zoom
    # torchvision maps the input to the output; the grid here maps places of the output to places of the input.
    inverse = torch.linalg.inv(
        torch.tensor(
            [
                [
                    factor * math.cos(math.radians(angle)),
                    -factor * math.sin(math.radians(angle)),
                    classifier.SHIFT * across,
                ],
                [
                    factor * math.sin(math.radians(angle)),
                    factor * math.cos(math.radians(angle)),
                    classifier.SHIFT * down,
                ],
                [0, 0, 1],
            ]
        )
    )
    expected = transforms.affine(
        x.unflatten(1, (1, 28, 28)),
        angle=math.degrees(math.atan2(inverse[1, 0], inverse[0, 0])),
        translate=[0, 0],
        scale=math.hypot(inverse[0, 0], inverse[1, 0]),
        shear=[0.0],
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
    if across == down == 0:
        torch.testing.assert_close(moved, expected.flatten(1), rtol=0, atol=1e-3)
    else:  # torchvision shifts by whole numbers of pixels only in some versions: compare the centres of mass
        places = torch.arange(28.0) - 13.5

        def centre(images):
            maps = images.unflatten(1, (28, 28))
            total = maps.sum((1, 2))
            return torch.stack([(maps.sum(1) * places).sum(1), (maps.sum(2) * places).sum(1)], 1) / total[:, None]

        shift = inverse[:2, :2] @ torch.tensor([-classifier.SHIFT * across, -classifier.SHIFT * down])
        torch.testing.assert_close(centre(moved), centre(expected.flatten(1)) + shift, rtol=0, atol=0.3)


def test_a_saved_classifier_is_the_same_when_loaded(model, tmp_path):
    checkpoints.save(model, tmp_path / "model.safetensors")
    loaded = checkpoints.load(classifier.Classifier, tmp_path / "model.safetensors", torch.device("cpu"))
    x = torch.rand(5, 784)
    assert torch.equal(model(x), loaded(x))
