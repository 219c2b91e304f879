"""The latent explorer: the sprite keeps its images, the page interpolates between them, the widget follows."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vaelib.plots import explorer
from vaelib.report.publish import EXTERNAL

SIDE, EXTENT = 5, 2.0
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (SIDE * SIDE, 784), dtype=np.uint8)


@pytest.fixture(scope="module")
def fragment(images):
    points = np.array([[0.5, -1.0], [3.0, 0.0], [-1.234, 0.0]])
    return explorer.static_explorer(images, EXTENT, points, np.array([7, 1, 2]))


def bilinear(images, x, y):
    """The image at (x, y): rows of the grid run downwards, columns to the right."""
    across, down = (x + EXTENT) / (2 * EXTENT) * (SIDE - 1), (EXTENT - y) / (2 * EXTENT) * (SIDE - 1)
    column, row = min(int(across), SIDE - 2), min(int(down), SIDE - 2)
    right, below = across - column, down - row
    grid = images.reshape(SIDE, SIDE, 784).astype(float)
    upper = (1 - right) * grid[row, column] + right * grid[row, column + 1]
    lower = (1 - right) * grid[row + 1, column] + right * grid[row + 1, column + 1]
    return (1 - below) * upper + below * lower


def test_grid_starts_at_the_top_left_and_runs_by_rows():
    grid = explorer.plane_grid(3, 2.0)
    assert grid[[0, 1, 3, 8]].tolist() == [[-2, 2], [0, 2], [-2, 0], [2, -2]]


def test_sprite_keeps_every_image_as_opacity(images):
    png = Image.open(io.BytesIO(explorer.sprite(images)))
    red, _, _, opacity = (np.asarray(channel) for channel in png.convert("RGBA").split())
    back = opacity.reshape(SIDE, 28, SIDE, 28).swapaxes(1, 2).reshape(-1, 784)
    assert (back == images).all() and not red.any()


def test_fragment_holds_its_data_and_loads_nothing(fragment, images):
    assert not EXTERNAL.search(fragment)
    assert "http" not in fragment and " id=" not in fragment and "fetch(" not in fragment and "import" not in fragment
    data = json.loads(re.search(r"parentElement, (\{.*\})\);", fragment)[1])
    assert data["points"] == [[0.5, -1.0, 7], [-1.23, 0.0, 2]]  # the one outside the plane is left out
    assert len(data["colours"]) == 10 and (data["side"], data["extent"]) == (SIDE, EXTENT)
    assert base64.b64decode(data["sprite"].partition(",")[2]) == explorer.sprite(images)


def test_fragment_of_a_full_size_grid_stays_small():
    strokes = np.zeros((33 * 33, 28, 28), dtype=np.uint8)  # noise where digits have ink: worse than any model's images
    strokes[:, 9:19, 9:19] = np.random.default_rng(0).integers(0, 256, (33 * 33, 10, 10))
    means, labels = np.random.default_rng(0).normal(size=(10_000, 2)), np.arange(10_000) % 10
    assert len(explorer.static_explorer(strokes.reshape(-1, 784), 4.0, means, labels)) < 700_000


@pytest.mark.parametrize("wrong", [np.zeros((24, 784), np.uint8), np.zeros((25, 784)), np.zeros((1, 784), np.uint8)])
def test_images_that_are_no_square_grid_are_refused(wrong):
    with pytest.raises(ValueError, match="square grid"):
        explorer.static_explorer(wrong, EXTENT, np.zeros((1, 2)), np.zeros(1, int))


def test_static_explorer_needs_no_torch():
    code = "import sys, vaelib.plots.explorer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium to run the page's script")
def test_page_interpolates_between_images_at_pointer_and_arrow_keys(fragment, images, tmp_path):
    report = """<body><div id=log></div><script>addEventListener("load", () => setTimeout(() => {
      const [first, second] = document.querySelectorAll(".plane"), box = first.getBoundingClientRect();
      first.dispatchEvent(new PointerEvent("pointermove", {
        clientX: box.left + 1 + 0.3 * (box.width - 2), clientY: box.top + 1 + 0.6 * (box.height - 2) }));
      second.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp" }));
      log.textContent = JSON.stringify([...document.querySelectorAll(".latent-explorer")].map((one) => [
        one.querySelector("output").textContent,
        [...one.querySelector(".digit").getContext("2d").getImageData(0, 0, 28, 28).data].filter((v, i) => i % 4 == 3),
      ]));
    }, 300))</script>"""
    page = tmp_path / "page.html"
    page.write_text('<!DOCTYPE html><meta charset="utf-8">' + report + fragment + fragment, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += [f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    dom = subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=60).stdout
    (first, above), (second, below) = json.loads(re.search(r'<div id="log">(.*?)</div>', dom)[1])
    assert first.startswith("z = (−0.80, −0.40)") and second.startswith("z = (0.00, 0.05)")
    rounding = 4  # for each of four images the weight and the product are rounded to 1 / 255, half a level each
    assert np.abs(np.array(above) - bilinear(images, -0.8, -0.4)).max() <= rounding
    assert np.abs(np.array(below) - bilinear(images, 0.0, 0.05)).max() <= rounding


@pytest.fixture
def widget():
    import torch

    from vaelib.models.vae import VAE

    torch.manual_seed(0)
    model = VAE("mlp")
    widget = explorer.LatentExplorer(model, torch.randn(50, 2), torch.arange(50) % 10)
    widget.asked = model
    return widget


def pointer(widget, kind: str, x: float, y: float, buttons: int) -> None:
    """What ipyevents sends when a pointer does something on the plane."""
    widget._pointer._handle_mouse_msg(None, {"type": kind, "dataX": x, "dataY": y, "buttons": buttons}, [])


def mark(widget) -> tuple[float, float]:
    """Where the mark is drawn: the middle of what differs from the plane without it."""
    plane = Image.open(io.BytesIO(widget.plane.value)).convert("RGB")
    differs = (np.asarray(plane) != np.asarray(widget._map.picture.convert("RGB"))).any(axis=2)
    rows, columns = differs.nonzero()
    return (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2


def test_at_every_end_of_the_sliders_the_whole_mark_is_on_the_picture_at_the_ends_of_the_axes(widget):
    (left, width), (top, height) = widget._map.spans
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        widget.across.value, widget.up.value = x * widget.across.max, y * widget.up.max
        corner = (left + width * (x + 1) / 2, top + height * (1 - y) / 2)
        assert np.abs(np.subtract(mark(widget), corner)).max() <= 2  # an axis under the mark hides some of it
        assert 9 < corner[0] < widget._map.picture.width - 9 and 9 < corner[1] < widget._map.picture.height - 9


def test_the_sliders_lie_along_the_axes(widget):
    (left, width), (top, height) = widget._map.spans
    inset, margins = explorer.TRACK_INSET, (widget.across.layout.margin, widget.up.layout.margin)
    assert margins == (f"0 0 0 {left - inset}px", f"{top - inset}px 0 0 0")
    lengths = (widget.across.layout.width, widget.up.layout.height)
    assert lengths == (f"{width + 2 * inset}px", f"{height + 2 * inset}px")
    assert (
        (widget.across.min, widget.across.max)
        == (widget.up.min, widget.up.max)
        == (-widget._map.reach, widget.across.max)
    )


def test_a_click_and_a_drag_move_the_mark_to_the_pointer_and_a_pointer_that_passes_does_not(widget):
    for kind, x, y, buttons in (("mousedown", 150, 100, 1), ("mousemove", 200, 210, 1), ("mouseup", 205, 215, 0)):
        pointer(widget, kind, x, y, buttons)
        assert np.abs(np.subtract(mark(widget), (x, y))).max() <= 1
        assert widget._map.latent(x, y) == pytest.approx([widget.across.value, widget.up.value])
    pointer(widget, "mousemove", 100, 100, 0)
    assert np.abs(np.subtract(mark(widget), (205, 215))).max() <= 1
    pointer(widget, "mousedown", 1, 1, 1)  # beside the axes
    assert (widget.across.value, widget.up.value) == (-widget.across.max, widget.up.max)
    assert widget.place.value == f"z = (−{widget.across.max:.2f}, {widget.up.max:.2f})"


def test_widget_follows_its_sliders_and_has_a_still_picture(widget):
    import torch

    assert widget.across.max == widget.up.max >= 1
    digit, plane = widget.digit.value, widget.plane.value
    widget.across.value = 0.5
    assert widget.digit.value != digit and widget.plane.value != plane
    widget.up.value = -0.5
    shown = np.asarray(Image.open(io.BytesIO(widget.digit.value)))[::10, ::10]
    with torch.no_grad():
        expected = 255 - 255 * widget.asked.images(torch.tensor([0.5, -0.5])[None]).reshape(28, 28).numpy()
    assert np.abs(shown - expected).max() <= 0.51
    bundle, metadata = widget._repr_mimebundle_()
    assert "digit" in metadata["image/png"]["alt"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width > 300
