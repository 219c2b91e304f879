"""The explorer: draw a digit, or move through the latent plane, and see what one model makes of it.

It is a page by itself, in HTML with its script, the model's weights and test images inside: a report shows it without
a network, JupyterLab without a kernel. Numbers and drawing are `*.js` beside this file, put together here as they are.
"""

import base64
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from vaelib import classes
from vaelib.plots import colours

FOLDER = Path(__file__).parent
SCRIPTS = ("unpack", "network", "spline", "posterior", "pad", "drawing", "page")  # each needs only those before it
ENCODER, MOMENTS = colours.ENCODER, colours.BEST
NOTEBOOK_HEIGHT = 1000  # pixels, until the page in a notebook has measured itself
NOTEBOOK_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Explorer</title><style>body { margin: 8px; }</style><body>PAGE<script>
new ResizeObserver(function () {
  if (frameElement) frameElement.style.height = document.documentElement.offsetHeight + 20 + "px";
}).observe(document.body);
</script></body></html>"""


def header(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What `vaelib.measure.offline` says of the page's arrays, its test images and its rounding."""
    return json.loads(arrays["page.header"].tobytes())


def page(arrays: Mapping[str, np.ndarray]) -> str:
    """The explorer as a fragment of HTML that loads nothing, for `vaelib.report.exhibits.interactive`.

    `arrays` hold what `vaelib.measure.offline.offline` made of a model: `page.header` and `page.body`. The fragment has
    no ids, so that it can stand on a page more than once. Of a model that a page cannot compute it says so.
    """
    content = header(arrays)
    if "obstacle" in content:
        return f"<p>There is nothing to draw on here: {html.escape(content['obstacle'])}.</p>"
    drawn = {"colours": [to_hex(colour) for colour in colours.DIGITS], "names": classes.names()}
    drawn |= {"encoderColour": ENCODER, "momentsColour": MOMENTS}
    body = {"body": base64.b64encode(arrays["page.body"].tobytes()).decode()}
    data = json.dumps(content | drawn | body, separators=(",", ":")).replace("</", "<\\/")
    style = _text("explorer.css").replace("ENCODER", ENCODER).replace("MOMENTS", MOMENTS)
    script = "\n".join(_text(f"{name}.js") for name in SCRIPTS)
    dots = (f'<li><i style="background: {to_hex(c)}"></i>{i}</li>' for i, c in enumerate(colours.DIGITS))
    fragment = _text("explorer.html").replace("ROUNDING", rounding(content)).replace("LEGEND", "".join(dots))
    return fragment.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script).replace("/*DATA*/", data)


def rounding(content: Mapping[str, Any]) -> str:
    """What is told of the rounded weights, in a sentence."""
    cost = content["rounding"]
    return (
        f"The weights in this page are rounded; on {cost['images']} test images that moves log p(x) by "
        f"{cost['log_px_mean']:.3f} nats in the mean and {cost['log_px_most']:.2f} at most, the encoder's ELBO by "
        f"{cost['elbo_mean']:.2f} and {cost['elbo_most']:.2f}."
    )


class Explorer:
    """The same in a notebook, as an output that stays in it and needs no kernel; `arrays` are those of `page`."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self.fragment = page(arrays)

    def _repr_html_(self) -> str:
        document = html.escape(NOTEBOOK_PAGE.replace("PAGE", self.fragment), quote=True)
        style = f"width: 100%; height: {NOTEBOOK_HEIGHT}px; border: 0"
        return f'<iframe title="Explorer of the latent plane" style="{style}" srcdoc="{document}"></iframe>'

    def __repr__(self) -> str:
        return "The explorer: a page to draw digits and to move through the latent plane."


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
