"""The numbers of images that the report tells are those of its data set, however small that is."""

import functools

import idx
import made_up_scale
import pandas as pd
import pytest

from vaelib import data
from vaelib.report import images, tables
from vaelib.report.summary import Summary


def run(**config) -> pd.Series:
    return pd.Series({"dataset": "MNIST", "train_images": 0} | config)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({}, 55_000),
        ({"train_images": 20_000}, 20_000),
        ({"split": "train"}, 55_000),
        ({"split": "first_half"}, 27_500),
        ({"split": "first_half", "train_images": 5000}, 5000),
        ({"split": "first_half", "generator": "conditional"}, 27_500),
        ({"split": "second_half", "generator": "conditional", "train_images": 6000}, 5500),  # 500 are held out
    ],
)
def test_a_run_trained_on_what_it_was_given_and_did_not_hold_out(config, count):
    assert images.trained_on(run(**config)) == count


def test_a_generator_makes_as_many_images_as_the_other_half_has():
    assert images.made(run(split="first_half", images=0)) == 30_000
    assert images.made(run(split="first_half", images=70_000)) == 70_000


@pytest.fixture
def small(tmp_path, monkeypatch) -> str:
    """A data set of one's own, with 240 training images and 20 test images."""
    idx.write(tmp_path / "data" / "small" / "raw", train=240, test=20)
    monkeypatch.setattr(data, "load", functools.partial(data.load, root=tmp_path / "data"))
    return "small"


def test_a_small_data_set_has_its_own_numbers(small, tmp_path):
    assert images.told(small) == {"all": "240", "held_out": "20", "half_held_out": "10"}
    assert images.at_most(1000, images.count(small, "test")) == 20
    assert images.trained_on(run(dataset=small, train_images=20_000)) == 220
    records = made_up_scale.records()
    for record in records.values():
        record["config"] |= {"dataset": small} if "dataset" in record["config"] else {}
    summary = Summary(made_up_scale.write(tmp_path / "results", records))
    vaes = tables.training(summary.frame("vae"))
    assert set(vaes["images"]) == {"220"}
    others = tables.other_training(summary).set_index("model")["images"]
    assert others["on the first half"] == others["one VAE that is told the label, 2-D"] == "110"
    assert others["convolutional"] == others["on all images"] == "220"
