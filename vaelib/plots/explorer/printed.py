"""What stands for the explorer in print: one test image with the same parts, drawn from what a run keeps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle

from vaelib.plots import colours, figures

SEEN = 8  # nats below the highest point down to which the posterior is drawn
GAUSSIANS = {"q": ("encoder's q", colours.ENCODER, "-"), "best": ("best Gaussian", colours.BEST, "--")}


@figures.in_house_style
def example(arrays: Mapping[str, np.ndarray]) -> Figure:
    """The image and what is decoded, its place in the plane, its posterior close up, the images around, the numbers.

    `arrays` are those of a run of `latent_space.ipynb`: the first image of `posteriors.*`, and `example.*`.
    """
    figure = Figure(figsize=(figures.WIDTH, 2.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2.6, 1])
    left, middle, right = above.subfigures(1, 3, width_ratios=[0.8, 1.6, 1.6])
    seen, decoded = left.subplots(2, 1)
    for axes, image, title in (
        (seen, arrays["posteriors.image"][0], "the image"),
        (decoded, arrays["example.decoded"], "decoded"),
    ):
        _digit(axes, image, title)

    extent = arrays["posteriors.extent"][0]
    plane = middle.subplots()
    figures.scatter_classes(plane, arrays["mean"], arrays["labels"])
    reach = np.abs(arrays["mean"]).max() + 0.3
    plane.set(
        xlim=(-reach, reach), ylim=(-reach, reach), title="its place in the plane", xlabel="$z_1$", ylabel="$z_2$"
    )
    across, up = extent[1] - extent[0], extent[3] - extent[2]
    grown = 4 * across  # else a narrow posterior's square is too small to be seen
    corner = ((extent[0] + extent[1] - grown) / 2, (extent[2] + extent[3] - grown * up / across) / 2)
    plane.add_patch(Rectangle(corner, grown, grown * up / across, fill=False, linewidth=1.2))
    plane.set_aspect("equal")

    close = right.subplots()
    density = arrays["posteriors.log_density"][0].T
    top = density.max()
    close.imshow(density, origin="lower", extent=extent, cmap="Greys", vmin=top - SEEN, vmax=top)
    for name, (_, colour, line) in GAUSSIANS.items():
        mean, deviation = arrays[f"posteriors.{name}_mean"][0], arrays[f"posteriors.{name}_deviation"][0]
        for sigmas in (1, 2):
            width, height = 2 * sigmas * deviation
            close.add_patch(Ellipse(mean, width, height, fill=False, color=colour, linestyle=line))
    close.set(xlim=extent[:2], ylim=extent[2:], title="its posterior, close up", xlabel="$z_1$")
    close.locator_params(nbins=4)
    keys = [Line2D([], [], color=colour, linestyle=line, label=label) for label, colour, line in GAUSSIANS.values()]
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}  # on the axes it would hide the posterior
    close.legend(handles=keys, fontsize=figures.SMALL, handlelength=1.5, borderpad=0, **beside)

    log_px, elbo, best = arrays["example.elbo"]
    images = arrays["example.nearest"]
    cells = below.subplots(1, len(images) + 1, width_ratios=[4.5, *[1] * len(images)])
    for axes, image in zip(cells[1:], images, strict=True):
        _digit(axes, image, "")
    cells[1 + len(images) // 2].set_title("test images around it", loc="right")
    words = f"log p(x) = {log_px:.1f} nats\nELBO, encoder's q: {elbo:.1f}\nELBO, best Gaussian: {best:.1f}".replace(
        "-", "−"
    )
    cells[0].text(0, 0.5, words, va="center")
    cells[0].set_axis_off()
    return figures.describe(
        figure,
        "A test image, what the decoder makes of its place, that place in the plane of all test images, its exact "
        "posterior close up with the ellipses of the encoder's Gaussian and of the best one, and the test images "
        f"around. The numbers: {words}.".replace("\n", ", "),
    )


def _digit(axes, image: np.ndarray, title: str) -> None:
    axes.imshow(255 - image.reshape(28, 28), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=figures.SMALL)
