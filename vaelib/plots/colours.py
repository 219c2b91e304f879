"""One colour, one meaning: what networks, gaps, arms and digits are drawn in, in every figure and in the explorer.

The colours of a kind are for colour-blind readers too: Paul Tol's "muted" set for networks, Okabe and Ito's for gaps
and arms, Petroff's for digits, which also bear their names. In grey, markers, lines and hatchings tell them apart. What
has no meaning of its own is grey.
"""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import matplotlib as mpl

from vaelib.models.networks import ARCHITECTURES, WITHOUT


class Style(NamedTuple):
    """How something is drawn, as a line or as bars."""

    colour: str
    marker: str = "o"
    line: str | tuple[int, tuple[int, ...]] = "-"
    hatch: str = ""

    def as_line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot`."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line, "markersize": 4}

    def as_bars(self) -> dict[str, Any]:
        """Arguments of `Axes.bar` and its kin."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0}


DIGITS = mpl.color_sequences["petroff10"]

ENCODER = "#0072b2"  # its Gaussian, and what that costs: the amortisation gap
BEST = "#e69f00"  # the best Gaussian, and what it still costs: the approximation gap
GAPS = {"approximation": BEST, "amortisation": ENCODER}
EXACT = "0.85"

NEUTRAL = (Style("0.2"), Style("0.55", "s", "--", "///"), Style("0.75", "^", ":", "..."))  # for what has no colour

_MUTED = ("#44aa99", "#cc6677", "#332288", "#aa4499", "#117733", "#999933", "#88ccee", "#ddcc77")
_MARKED = tuple(
    Style(colour, marker, "-", hatch)
    for colour, marker, hatch in zip(
        _MUTED, "osD^vPXp", ("", "///", "...", "\\\\\\", "xxx", "+++", "ooo", "---"), strict=True
    )
)
# A network has the colour of its place among the architectures, whatever else a figure shows.
NETWORKS = dict(zip((name for name in ARCHITECTURES if WITHOUT not in name), itertools.cycle(_MARKED)))
VAEGAN = Style("#882255", "*")
VARIED = {  # by the line or the hatching over the network's colour; how names of models and of runs tell objectives
    "IWAE": ("--", "||"),
    "-iwae": ("--", "||"),
    "by log p(x)": (":", "++"),
    "-exact": (":", "++"),
    "q looked up": ("-.", "xx"),
    "-lookup": ("-.", "xx"),
    "grey pixels": ((0, (4, 1)), "--"),  # and pixels
    "-grey": ((0, (4, 1)), "--"),
}

_FURTHER, _SYNTHETIC, _AFFINE = "#009e73", "#d55e00", "#56b4e9"
ARMS = {  # the colour is that of what is added to the real images; dashed: moved afresh in every batch
    "real": NEUTRAL[0],
    "further": Style(_FURTHER, "s"),
    "synthetic": Style(_SYNTHETIC, "^"),
    "affine": Style(_AFFINE, "D"),
    "afresh": NEUTRAL[0]._replace(line="--"),
    "afresh_synthetic": Style(_SYNTHETIC, "^", "--"),
}


def of_models(names: Iterable[str]) -> dict[str, Style]:
    """A style for each model, by its name in a report or that of its run: its network's, varied by its objective.

    A model of no known network, or a second one of the same network and objective, has a colour that is left over:
    that of no network, while there is one.
    """
    names = list(names)
    styles = {}
    taken = {own.colour for own in map(_of_model, names) if own}
    free = sorted((style for style in _MARKED if style.colour not in taken), key=list(NETWORKS.values()).__contains__)
    left = itertools.cycle(free or _MARKED)
    for name in names:
        own = _of_model(name)
        styles[name] = next(left) if own is None or own in styles.values() else own
    return styles


def of_arms(names: Iterable[str]) -> dict[str, Style]:
    """A style for each arm; those without a colour of their own are grey."""
    left = itertools.cycle(NEUTRAL[1:])
    return {name: ARMS[name] if name in ARMS else next(left) for name in names}


def _of_model(name: str) -> Style | None:
    if name.lower().replace("-", "").startswith("vaegan"):
        return VAEGAN
    if name == "training images":
        return NEUTRAL[1]
    called = {known: style for key, style in NETWORKS.items() for known in (key, ARCHITECTURES[key].title) if known}
    known = max((known for known in called if name.startswith(known)), key=len, default=None)
    if known is None:
        return None
    varied = next((look for word, look in VARIED.items() if word in name), None)
    return called[known]._replace(line=varied[0], hatch=varied[1]) if varied else called[known]
