"""The images are the official ones and are sampled as they should be."""

import hashlib

import pytest
import torch
from idx import unpacked

from vaelib import data


def test_splits_have_their_sizes_types_and_labels(mnist):
    for split, count in {"train": 55_000, "validation": 5_000, "test": 10_000}.items():
        images, labels = mnist[split]
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.uint8
        assert labels.shape == (count,) and labels.dtype == torch.int64
        assert labels.unique().tolist() == list(range(10))


def test_splits_do_not_overlap_and_are_in_the_official_order(mnist):
    bytes_of = {split: [hashlib.md5(row.numpy()).digest() for row in part.images] for split, part in mnist.items()}
    assert not set(bytes_of["train"]) & set(bytes_of["validation"])
    assert not set(bytes_of["test"]) & {*bytes_of["train"], *bytes_of["validation"]}
    raw = torch.frombuffer(bytearray(unpacked("train-images-idx3-ubyte")), dtype=torch.uint8)[16:]
    official = raw.view(60_000, 1, 28, 28)
    assert torch.equal(torch.cat([mnist["train"].images, mnist["validation"].images]), official)


def test_take_gives_the_first_images_and_all_of_them_for_0(mnist):
    few = mnist["test"].take(3)
    assert torch.equal(few.images, mnist["test"].images[:3]) and few.labels.tolist() == [7, 2, 1]
    assert len(mnist["test"].take(0).labels) == 10_000


def test_grey_pixels_are_fractions_of_255():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(262)[:784].reshape(1, 1, 28, 28)
    torch.testing.assert_close(data.grey(images)[0, :3], torch.tensor([0.0, 0.2, 1.0]))
    assert data.grey(images).shape == (1, 784)


def test_binary_pixels_are_1_as_often_as_they_are_grey():
    levels = torch.arange(256, dtype=torch.uint8).repeat(4)[:784].reshape(1, 1, 28, 28)
    draws = 4000
    rng = torch.Generator().manual_seed(0)
    total = sum(data.binarise(levels.expand(500, -1, -1, -1), rng).sum(0) for _ in range(draws // 500))
    frequency, expected = total / draws, levels.flatten() / 255
    assert ((frequency - expected).abs() < 4.5 * (expected * (1 - expected) / draws).sqrt() + 1e-7).all()
    assert (frequency[levels.flatten() == 0] == 0).all() and (frequency[levels.flatten() == 255] == 1).all()
    assert set(data.binarise(levels, rng).unique().tolist()) == {0.0, 1.0}


def test_the_sample_for_evaluation_is_fixed_and_the_one_for_training_is_not(mnist):
    images = mnist["test"].images[:50]
    torch.manual_seed(0)
    first = data.evaluation_pixels(images, "A")
    torch.manual_seed(1)
    assert torch.equal(first, data.evaluation_pixels(images, "A"))
    assert torch.equal(first[:20], data.evaluation_pixels(images[:20], "A"))  # whatever test_images is
    rng = torch.Generator().manual_seed(0)
    assert not torch.equal(data.binarise(images, rng), data.binarise(images, rng))
    assert torch.equal(data.evaluation_pixels(images, "B"), data.grey(images))


def test_the_checksum_names_the_data(mnist):
    images, labels = mnist["test"].take(10)
    same = data.checksum(data.Images(images.clone(), labels.clone()))
    assert same == data.checksum(mnist["test"].take(10))
    changed = images.clone()
    changed[3, 0, 5, 5] += 1
    others = [data.Images(changed, labels), data.Images(images, labels.flip(0)), mnist["test"].take(11)]
    assert same not in [data.checksum(other) for other in others]


@pytest.fixture(scope="module")
def halves() -> list[data.Images]:
    return [data.load("MNIST", half) for half in data.HALVES]


def test_the_halves_divide_the_60000_training_images_and_share_none_with_one_another_or_the_test_set(halves, mnist):
    rows = [[(row.numpy().tobytes(), int(y)) for row, y in zip(*half, strict=True)] for half in halves]
    assert [len(half) for half in rows] == [30_000, 30_000]
    official = mnist["train"].join(mnist["validation"])
    everything = [(row.numpy().tobytes(), int(y)) for row, y in zip(*official, strict=True)]
    assert sorted(rows[0] + rows[1]) == sorted(everything)
    pixels = [{image for image, _ in half} for half in rows]
    assert not pixels[0] & pixels[1] and not (pixels[0] | pixels[1]) & {
        row.numpy().tobytes() for row in mnist["test"][0]
    }


@pytest.mark.parametrize("count", [100, 6_000, 15_000, 30_000])
def test_every_beginning_of_a_half_has_the_classes_in_the_proportions_of_all_images(halves, mnist, count):
    proportions = mnist["train"].join(mnist["validation"]).labels.bincount() / 60_000
    for half in halves:
        assert (half.take(count).labels.bincount() - count * proportions).abs().max() <= 1


def test_the_halves_are_always_the_same(halves):
    assert [data.checksum(half) for half in halves] == ["3b96186b", "f489f22c"]


def test_a_split_that_does_not_exist_is_refused_instead_of_giving_all_images():
    with pytest.raises(ValueError, match="no split 'valid'; there are train, validation, test"):
        data.load("MNIST", "valid")


def test_only_protocol_a_is_binary_in_training_and_in_evaluation(mnist):
    images = mnist["test"].images[:20]
    for protocol in "ABC":
        for x in (data.training_pixels(images, protocol, torch.Generator()), data.evaluation_pixels(images, protocol)):
            if protocol == "A":
                assert set(x.unique().tolist()) == {0.0, 1.0}
            else:
                assert torch.equal(x, images.flatten(1) / 255)


@pytest.mark.parametrize(("split", "sizes"), [("train", [55_000, 5_000]), ("first_half", [27_500, 2_500])])
def test_validation_images_are_set_apart_from_those_to_train_on(split, sizes):
    training, validation = data.with_validation("MNIST", split)
    assert [len(training.labels), len(validation.labels)] == sizes
    if split != "train":
        assert data.checksum(training.join(validation)) == data.checksum(data.load("MNIST", split))


def test_parts_of_images_put_together_again_are_the_images(mnist):
    images = mnist["test"].take(100)
    assert data.checksum(images.take(30).join(images.drop(30))) == data.checksum(images)
    assert images.of_class(7).labels.unique().tolist() == [7]
    assert sum(len(images.of_class(digit).labels) for digit in range(10)) == 100


def test_grey_values_survive_the_way_to_floats_and_back(mnist):
    images = mnist["test"].images[:50]
    assert torch.equal(data.to_images(data.grey(images)), images)
