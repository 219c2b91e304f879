"""The project's figures: functions from arrays to a Matplotlib `Figure`, each carrying its alternative text.

They take NumPy arrays and pandas tables alone, so that the report can draw from saved results without a model.
`alt_text(figure)` is what a reader hears who cannot see it; `show` displays it in a notebook.
"""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from IPython.display import Image, display
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from vaelib import classes
from vaelib.plots import colours

DPI = 200
WIDTH = 6.3  # inches: the text width of the report's page
LETTERS = 9.5  # points
AN_INCH = 16  # letters of that size, about, on an inch of a line
SMALL = 8.0  # points: the smallest letters, where there is little room; in print none is below 7
STYLE = {
    "font.family": "STIXGeneral",  # comes with Matplotlib, and stands well beside the report's serif text
    "mathtext.fontset": "stix",
    "font.size": LETTERS,
    "axes.titlesize": LETTERS,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.prop_cycle": mpl.cycler(color=[style.colour for style in colours.NEUTRAL]),
}


in_house_style = mpl.rc_context(STYLE)  # as a decorator: rcParams of other figures stay as they are


def new_figure(width: float = WIDTH, height: float = 2.4, **subplots):
    """A figure with its axes (as from `Figure.subplots`), tied to no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def describe(figure: Figure, alt: str) -> Figure:
    """Attach the alternative text and return the figure, in whose words `vaelib.classes` has its say."""
    for text in figure.findobj(Text):
        text.set_text(classes.reword(text.get_text()))
    figure.set_label(classes.reword(alt))
    return figure


def alt_text(figure: Figure) -> str:
    """The alternative text of a figure of this module."""
    return figure.get_label()


def show(*figures: Figure) -> None:
    """Display figures in a notebook, as PNG images with their alternative text."""
    for figure in figures:
        png = io.BytesIO()
        figure.savefig(png, dpi=DPI, format="png")
        display(Image(data=png.getvalue(), width=round(96 * figure.get_figwidth()), alt=alt_text(figure)))


# --- images ------------------------------------------------------------------------------------------------------


def tile(images: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """[count, 784] images in 0..255 as one picture, row by row; `gap` white pixels between them."""
    rows = max(1, -(-len(images) // columns))
    size = 28 + gap
    sheet = np.full((rows * size - gap, columns * size - gap), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = divmod(i, columns)
        sheet[top * size : top * size + 28, left * size : left * size + 28] = image.reshape(28, 28)
    return sheet


def _show(axes, picture: np.ndarray, title: str = "") -> None:
    axes.imshow(255 - picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


@in_house_style
def galleries(
    pictures: Mapping[str, np.ndarray], columns: int, alt: str, across: int = 4, row_names: Sequence[str] = ()
) -> Figure:
    """Several sheets of digits side by side, each under its name; `pictures` maps names to [count, 784] images.

    `row_names` stand before the rows of each sheet. A name that is wider than its sheet takes several lines.
    """
    rows = -(-len(pictures) // across)
    across = min(across, len(pictures))
    titles = [_wrapped(name, round(AN_INCH * WIDTH / across)) for name in pictures]
    lines = max(title.count("\n") for title in titles)
    deep = max(-(-len(images) // columns) for images in pictures.values()) / columns
    figure, axes = new_figure(
        WIDTH, WIDTH / across * rows * deep + (0.25 + 0.15 * lines) * rows, nrows=rows, ncols=across, squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, title, images in zip(axes.flat, titles, pictures.values(), strict=False):
        _show(ax, 255 - tile(255 - images, columns, gap=1), title)
        ax.set_axis_on()
        ax.set_yticks([14 + 29 * row for row in range(len(row_names))], row_names)
        ax.tick_params(length=0)
    return describe(figure, alt)


def _wrapped(name: str, letters: int) -> str:
    """A name in lines of at most so many letters, none of which ends within "x = y" or at a hyphen."""
    whole = re.sub(r" ([=≥≤×]) ", "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", name)
    return textwrap.fill(whole, letters, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")


@in_house_style
def captioned_images(images: np.ndarray, captions: Sequence[str], columns: int = 15) -> Figure:
    """[count, 784] images, each under what it is labelled with and, after a colon, what it was taken for."""
    rows = max(1, -(-len(images) // columns))
    figure, axes = new_figure(WIDTH, 0.55 * rows, nrows=rows, ncols=columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        _show(ax, image.reshape(28, 28))
        ax.set_title(caption, fontsize=SMALL, pad=2)
    return describe(
        figure, f"{len(images)} images, each under its label and the digit it was taken for: {', '.join(captions)}."
    )


@in_house_style
def manifold(images: np.ndarray, title: str = "") -> Figure:
    """The 2-D manifold: [n * n, 784] decoder means on a grid through the inverse normal CDF."""
    side = round(len(images) ** 0.5)
    figure, axes = new_figure(4.4, 4.4)
    _show(axes, tile(images, side), title)
    return describe(
        figure,
        f"A sheet of {side} by {side} decoded digits, one for each point of a grid over the latent plane.",
    )


# --- the latent plane --------------------------------------------------------------------------------------------


@in_house_style
def latent_scatter(means: np.ndarray, labels: np.ndarray, title: str = "") -> Figure:
    """Posterior means in the plane by digit, on equal axes."""
    figure, axes = new_figure(4.4, 4.4)
    scatter_classes(axes, means, labels)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", title=title, aspect="equal")
    return describe(
        figure, "Scatter of the images' positions in the latent plane, coloured by digit, each digit's name at the "
        "median of its images."
    )  # fmt: skip


def scatter_classes(axes, means: np.ndarray, labels: np.ndarray) -> None:
    """Images at their places in the plane, in the colours of their classes, whose names stand at their medians."""
    axes.scatter(*means.T, c=[colours.DIGITS[i] for i in labels], s=2, alpha=0.5, linewidths=0, rasterized=True)
    for i, name in enumerate(classes.names()):
        if (own := means[labels == i]).size:
            outline = [withStroke(linewidth=2.5, foreground="white")]
            place = np.median(own, axis=0)
            axes.text(*place, name, ha="center", va="center", weight="bold", path_effects=outline)


@in_house_style
def density_map(log_density: np.ndarray, extent: float, points: np.ndarray, title: str, alt: str) -> Figure:
    """A log-density on a square grid over [-extent, extent]^2 (first axis z_1) with points upon it."""
    figure, axes = new_figure(4.6, 3.9)
    image = axes.imshow(np.clip(log_density.T, -12, None), origin="lower", extent=[-extent, extent] * 2, cmap="viridis")
    axes.scatter(*points.T, s=3, color="white", linewidths=0)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", title=title)
    figure.colorbar(image, label="log density (nats)")
    return describe(figure, alt)


@in_house_style
def posteriors(panels: Mapping[str, np.ndarray], titles: Sequence[str], alt: str) -> Figure:
    """Exact posteriors beside the Gaussians: a row of images, each under its title, above a row of densities.

    `panels` are those of `measure.plane.posterior_panels`.
    """
    figure, axes = new_figure(WIDTH, 0.46 * WIDTH, nrows=2, ncols=len(titles), height_ratios=[1, 1.6])
    drawn = {
        "q": ("encoder's Gaussian, 1 and 2 standard deviations", colours.ENCODER, "-"),
        "best": ("the same of the best Gaussian", colours.BEST, "--"),
    }
    axes = axes.reshape(2, -1)  # of a single image, too
    for i, (above, below) in enumerate(axes.T):
        _show(above, panels["image"][i].reshape(28, 28), titles[i])
        log_density, extent = panels["log_density"][i].T, panels["extent"][i]
        highest = log_density.max()  # on a logarithmic scale, else a broad mode is invisible beside a narrow one
        below.imshow(log_density, origin="lower", extent=extent, cmap="Greys", vmin=highest - 8, vmax=highest)
        for name, (_, colour, line) in drawn.items():
            mean, deviation = panels[f"{name}_mean"][i], panels[f"{name}_deviation"][i]
            for sigmas in (1, 2):
                below.add_patch(
                    Ellipse(mean, *(2 * sigmas * deviation), fill=False, color=colour, linewidth=1.2, linestyle=line)
                )
        left, right, bottom, top = extent
        below.set(xlim=(left, right), ylim=(bottom, top))  # ellipses outside would widen the view
        below.tick_params(labelsize=SMALL)
        below.locator_params(nbins=3)
        below.set_xlabel("$z_1$", labelpad=1)
    axes[1, 0].set_ylabel("$z_2$", labelpad=1)
    keys = [Patch(color="0.4", label="exact posterior (logarithmic)")]
    keys += [Line2D([], [], color=colour, linestyle=line, label=label) for label, colour, line in drawn.values()]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=SMALL)
    return describe(figure, alt)


@in_house_style
def value_map(means: np.ndarray, values: np.ndarray, label: str, alt: str) -> Figure:
    """Images at their places in the plane, coloured by a value of theirs; the colours end at the 99th percentile."""
    figure, axes = new_figure(4.6, 3.9)
    order = values.argsort()  # the largest on top
    top = np.quantile(values, 0.99)
    points = axes.scatter(*means[order].T, c=values[order], s=6, linewidths=0, cmap="viridis", vmin=0, vmax=top)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    figure.colorbar(points, label=label, extend="max")
    return describe(figure, alt)
