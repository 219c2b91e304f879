"""Texts and figures about another data set do not speak of digits."""

import numpy as np
import pytest
from matplotlib.text import Text

from vaelib import classes
from vaelib.plots import figures
from vaelib.runs.run import Run
from vaelib.runs.schemas import LatentSpaceParameters, VAEParameters


@pytest.fixture
def about_fashion():
    classes.about("FashionMNIST")
    yield
    classes.about(classes.USUAL)


def test_every_data_set_has_names_for_its_ten_classes():
    for dataset in (*classes.KNOWN, "mine"):
        assert len(set(classes.of(dataset).names)) == 10
    assert classes.of("FashionMNIST").names[9] == "ankle boot"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Digits of MNIST; the digit 7.", "Garments of FashionMNIST; the garment 7."),
        ("per_digit and per-digit keep their names, and data/MNIST/raw, too", None),
        ("a two-digit number", None),
        ("FashionMNIST is not KMNIST", None),
        ("true digit", "true garment"),
    ],
)
def test_a_text_speaks_of_what_the_images_show_and_names_stay(about_fashion, text, said):
    assert classes.reword(text) == (said or text)
    classes.about(classes.USUAL)
    assert classes.reword(text) == text


def test_a_run_on_other_images_has_figures_about_them(about_fashion, tmp_path):
    for dataset, word in (("KMNIST", "character"), ("MNIST", "digit")):
        Run(VAEParameters(run_dir=str(tmp_path), dataset=dataset))
        assert classes.reword("digit") == word


def test_so_has_one_that_looks_at_a_run_on_other_images(about_fashion, tmp_path):
    Run(LatentSpaceParameters(run_dir=str(tmp_path)), "KMNIST")
    assert classes.reword("digit") == "character"


def test_figures_speak_of_what_their_images_show(about_fashion):
    figure = figures.latent_scatter(np.zeros((20, 2)), np.arange(20) % 10)
    words = [text.get_text() for text in figure.findobj(Text)]
    assert {"trouser", "pullover"} <= set(words) and not [word for word in words if "digit" in word]
    assert "coloured by garment, each garment's name" in figures.alt_text(figure)


def test_figures_of_mnist_speak_of_digits():
    figure = figures.latent_scatter(np.zeros((20, 2)), np.arange(20) % 10)
    assert set("0123456789") <= {text.get_text() for text in figure.findobj(Text)}
    assert "coloured by digit, each digit's name" in figures.alt_text(figure)
