"""The explorer's page: its data and scripts are inside, it loads nothing, and a notebook shows it in a frame."""

import base64
import html
import json
import re

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from vaelib.files import PROJECT_ROOT
from vaelib.plots import colours, explorer
from vaelib.plots.explorer import printed
from vaelib.report.publish import EXTERNAL

SCRIPTS = sorted(explorer.FOLDER.glob("*.js"))
ROUNDING = {"images": 20, "log_px_mean": 0.0123, "log_px_most": 0.034, "elbo_mean": 0.07, "elbo_most": 0.5}


@pytest.fixture
def arrays():
    content = {"rounding": ROUNDING, "named": [{"name": "</script>", "image": 3, "at": 0}], "arrays": {}}
    return {"page.header": np.frombuffer(json.dumps(content).encode(), np.uint8), "page.body": np.arange(9, dtype="u1")}


def test_the_scripts_stay_small_and_are_all_used():
    lengths = {path.stem: len(path.read_text().splitlines()) for path in SCRIPTS}
    assert set(lengths) == set(explorer.SCRIPTS)
    assert max(lengths.values()) < 250 and sum(lengths.values()) <= 700


def test_the_fragment_has_its_data_and_loads_nothing(arrays):
    fragment = explorer.page(arrays)
    assert not EXTERNAL.search(fragment)
    for absent in (
        "http",
        " id=",
        "fetch(",
        "import(",
        "ROUNDING",
        "LEGEND",
        "ENCODER",
        "/*STYLE",
        "/*SCRIPT",
        "/*DATA",
    ):
        assert absent not in fragment
    assert all(path.read_text() in fragment for path in SCRIPTS)
    data = json.loads(re.search(r"parentElement, (\{.*\})\);\n</script>", fragment)[1])
    assert base64.b64decode(data["body"]) == bytes(range(9)) and data["named"][0]["name"] == "</script>"
    assert fragment.count("</script>") == 1  # that of the data's text would end the script before its time
    assert data["colours"] == [to_hex(colour) for colour in colours.DIGITS]
    assert f"background: {data['encoderColour']}; }}" in fragment and fragment.count("<li>") == 10


def test_what_the_rounding_costs_is_told(arrays):
    assert "by 0.012 nats in the mean and 0.03 at most, the encoder's ELBO by 0.07 and 0.50" in explorer.page(arrays)


def test_a_model_that_no_page_can_compute_is_named():
    header = np.frombuffer(json.dumps({"obstacle": "a page cannot compute Odd<3>()"}).encode(), np.uint8)
    assert "compute Odd&lt;3&gt;()" in explorer.page({"page.header": header})


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(arrays):
    shown = explorer.Explorer(arrays)._repr_html_()
    assert shown.startswith("<iframe ") and shown.count("<") == 2  # all else is inside the attribute
    document = html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    assert explorer.page(arrays) in document and "frameElement" in document


def test_the_package_brings_the_scripts_along():
    declared = (PROJECT_ROOT / "pyproject.toml").read_text()
    assert '"vaelib.plots.explorer" = ["*.html", "*.css", "*.js"]' in declared
    assert {path.suffix for path in explorer.FOLDER.iterdir() if path.is_file()} == {".html", ".css", ".js", ".py"}


@pytest.fixture
def figure():
    """What stands for the explorer in print, drawn from made-up arrays."""
    rng = np.random.default_rng(0)
    places = {"mean": rng.normal(size=(50, 2)), "labels": rng.integers(0, 10, 50)}
    gaussians = {
        f"posteriors.{name}_{what}": np.full((1, 2), 0.1) for name in ("q", "best") for what in ("mean", "deviation")
    }
    posterior = {
        "posteriors.log_density": rng.normal(size=(1, 9, 9)),
        "posteriors.extent": np.array([[-1.0, 1, -1, 1]]),
    }
    images = {"posteriors.image": np.zeros((1, 784), "u1"), "example.decoded": np.zeros(784, "u1")}
    images["example.nearest"] = np.zeros((6, 784), "u1")
    numbers = {"example.elbo": np.array([-95.84, -96.84, -95.87])}
    return printed.example(places | gaussians | posterior | images | numbers)


def test_in_print_one_image_has_the_same_parts(figure):
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(text == "log p(x) = −95.8 nats\nELBO, encoder's q: −96.8\nELBO, best Gaussian: −95.9" for text in texts)
    assert "encoder's q: −96.8" in figure.get_label()
    pictures = [
        image for axes in figure.findobj(lambda artist: hasattr(artist, "get_images")) for image in axes.get_images()
    ]
    assert len(pictures) == 2 + 1 + 6


def test_in_print_the_legend_lies_on_no_axes(figure):
    figure.draw_without_rendering()
    all_axes = figure.findobj(Axes)
    (legend,) = filter(None, (axes.get_legend() for axes in all_axes))
    assert [text.get_text() for text in legend.get_texts()] == ["encoder's q", "best Gaussian"]
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in all_axes)
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
