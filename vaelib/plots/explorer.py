"""The latent explorer: move through the latent plane and see what the decoder makes of each place.

`LatentExplorer` asks the model itself, in a live notebook. `static_explorer` is one fragment of HTML for the report:
its images were decoded beforehand, and between them it interpolates. The latter needs no PyTorch.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipyevents
import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image, ImageDraw

from vaelib.plots import figures

TEMPLATE = Path(__file__).with_name("explorer.html")
SHOWN_POINTS = 2500  # of the latent means: more would hide one another and only make the page heavier
MAGNIFICATION = 10  # screen pixels to a pixel of the widget's digit
STEP = 0.05  # of the sliders, and of their arrow keys
WAIT = 40  # milliseconds between two places of a pointer that is dragged: a digit is decoded and sent for each
TRACK_INSET = 6  # pixels by which a slider of ipywidgets is longer than its track, at either end


def plane_grid(side: int, extent: float) -> np.ndarray:
    """[side * side, 2] latents evenly over [-extent, extent]^2, top row first: what `static_explorer` has decoded."""
    axis = np.linspace(-extent, extent, side)
    across, up = np.meshgrid(axis, axis[::-1])
    return np.stack([across.ravel(), up.ravel()], axis=1)


def static_explorer(
    images: np.ndarray,
    extent: float,
    points: np.ndarray,
    labels: np.ndarray,
    colours: Sequence[Any] = figures.DIGIT_COLOURS,
) -> str:
    """A fragment of HTML with its script and data inside, for `vaelib.report.exhibits.interactive`.

    `images` are uint8 [n * n, 784], decoded at `plane_grid(n, extent)`; `points` [count, 2] are latent means, of which
    an even selection is drawn, with `labels` [count] that index `colours` (whatever Matplotlib takes for a colour).
    The reader moves a mark by mouse, touch or arrow keys and sees the digit there, interpolated between the four
    images around it. The fragment has no ids, so that it can stand on a page more than once.

    Raises `ValueError` when `images` do not fill a square grid of at least 2 by 2.
    """
    side = math.isqrt(len(images))
    if side < 2 or images.shape != (side * side, 784) or images.dtype != np.uint8:
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 [n * n, 784] of a square grid")
    chosen = np.linspace(0, len(points) - 1, min(len(points), SHOWN_POINTS)).astype(int)
    inside = chosen[(np.abs(points[chosen]) <= extent).all(axis=1)]
    places = points[inside].astype(float).round(2).tolist()
    content = {
        "side": side,
        "extent": float(extent),
        "points": [[*place, label] for place, label in zip(places, labels[inside].tolist(), strict=True)],
        "colours": [to_hex(colour) for colour in colours],
        "sprite": f"data:image/png;base64,{base64.b64encode(sprite(images)).decode()}",
    }
    return TEMPLATE.read_text(encoding="utf-8").replace("DATA", json.dumps(content, separators=(",", ":")), 1)


def sprite(images: np.ndarray) -> bytes:
    """All images in one PNG whose opacity, not colour, is their intensity: the page gives the ink its text colour."""
    sheet = Image.fromarray(figures.tile(images, math.isqrt(len(images))), "P")
    sheet.putpalette(bytes(768))
    return _png(sheet, optimize=True, transparency=bytes(range(256)))


class LatentExplorer(widgets.HBox):
    """The latent plane of a `VAE` with a mark at z, and the digit decoded there.

    The plane shows images at their latent `means` [count, 2], coloured by their `labels`. A click or a drag on it moves
    the mark, and so do the sliders along its axes, `across` and `up`, whose ends are those of the axes; by keyboard it
    is the sliders.

    Where no widgets are shown (an executed notebook on GitHub, a viewer), the picture of the start stands in.
    """

    def __init__(self, model: Any, means: Any, labels: Any):
        import torch  # here: the report, which needs the static explorer alone, does without

        from vaelib import data

        self._decode = lambda z: data.to_bytes(model.images(torch.tensor([z], device=model.device)))[0]
        means, labels = (np.asarray(a.cpu() if hasattr(a, "cpu") else a) for a in (means, labels))
        self._map = Map(means, labels, math.ceil(np.abs(means).max()))
        self.plane, self.digit = (widgets.Image(format="png") for _ in range(2))
        for image, picture in ((self.plane, self._map.picture), (self.digit, self._magnified([0.0, 0.0]))):
            size = {"width": f"{picture.width}px", "height": f"{picture.height}px"}
            image.layout = widgets.Layout(flex="none", margin="0", **size)
        self.across, self.up = (self._slider(axis) for axis in (0, 1))
        self.place = widgets.HTML()
        super().__init__([self.up, widgets.VBox([self.plane, self.across]), widgets.VBox([self.place, self.digit])])
        self._pointer = ipyevents.Event(source=self.plane, watched_events=["mousedown", "mousemove", "mouseup"])
        self._pointer.prevent_default_action = True  # which would be to drag the picture away
        self._pointer.wait = WAIT
        self._pointer.on_dom_event(self._point)
        self.across.observe(self._update, "value")
        self.up.observe(self._update, "value")
        self._update()

    def _slider(self, axis: int) -> widgets.FloatSlider:
        """A slider along one axis of the plane: it begins and ends where the axis does."""
        start, length = self._map.spans[axis]
        start, length = f"{start - TRACK_INSET}px", f"{length + 2 * TRACK_INSET}px"
        across = {"margin": f"0 0 0 {start}", "width": length}
        up = {"margin": f"{start} 0 0 0", "height": length, "width": "32px"}
        slider = widgets.FloatSlider(0.0, min=-self._map.reach, max=self._map.reach, step=STEP, readout=False)
        slider.orientation, slider.tooltip = ("horizontal", "vertical")[axis], ("z₁", "z₂")[axis]
        slider.layout = widgets.Layout(flex="none", **(across, up)[axis])
        return slider

    def _point(self, event: dict[str, Any]) -> None:
        """Moves the mark to where the pointer is, if its button is down or was let go there."""
        if event["buttons"] == 1 or event["type"] == "mouseup":
            across, up = self._map.latent(event["dataX"], event["dataY"])
            self.across.value, self.up.value = across, up

    def _update(self, change: Any = None) -> None:
        z = [self.across.value, self.up.value]
        self.digit.value = _png(self._magnified(z), compress_level=1)
        self.plane.value = _png(self._map.marked(z), compress_level=1)
        self.place.value = f"z = ({z[0]:.2f}, {z[1]:.2f})".replace("-", "−")

    def _magnified(self, z: list[float]) -> Image.Image:
        digit = Image.fromarray(255 - self._decode(z).reshape(28, 28))
        return digit.resize([28 * MAGNIFICATION] * 2, Image.Resampling.NEAREST)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        plane = self._map.marked([self.across.value, self.up.value])
        digit = Image.open(io.BytesIO(self.digit.value))
        still = Image.new("RGB", (plane.width + digit.width, plane.height), "white")
        still.paste(plane.convert("RGB"))
        still.paste(digit.convert("RGB"), (plane.width, (plane.height - digit.height) // 2))
        alt = "The images' positions in the latent plane, coloured by digit, and the digit decoded at the marked place."
        bundle = super()._repr_mimebundle_(**kwargs) | {"image/png": base64.b64encode(_png(still)).decode()}
        return bundle, {"image/png": {"alt": alt}}


class Map:
    """The scatter of latent means over [-reach, reach]^2, drawn once, with a mark upon it wherever one is asked for."""

    def __init__(self, means: np.ndarray, labels: np.ndarray, reach: float):
        self.reach = reach
        figure = figures.latent_scatter(means, labels)
        axes = figure.axes[0]
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        # With a palette the PNG of every update is compressed five times as fast.
        self.picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128)
        self._to_display = axes.transData.frozen()
        (left, bottom), (right, top) = self.pixel((-reach, -reach)), self.pixel((reach, reach))
        self.spans = ((left, right - left), (top, bottom - top))  # where each axis begins, in pixels, and its length

    def pixel(self, z: Sequence[float]) -> tuple[float, float]:
        """Where a latent is in the picture, from its upper left corner."""
        x, y = self._to_display.transform(z)
        return float(x), float(self.picture.height - y)

    def latent(self, x: float, y: float) -> list[float]:
        """The latent at a pixel of the picture; beside the axes the nearest within them."""
        z = self._to_display.inverted().transform((x, self.picture.height - y))
        return np.clip(z, -self.reach, self.reach).tolist()

    def marked(self, z: Sequence[float]) -> Image.Image:
        """The picture with a mark at a latent."""
        plane = self.picture.copy()
        for radius, colour, width in ((8, "white", 4), (7, "black", 2)):
            ImageDraw.Draw(plane).circle(self.pixel(z), radius, outline=colour, width=width)
        return plane


def _png(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()
