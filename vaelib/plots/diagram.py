"""The figure of the model: what flows where in a variational autoencoder, and where the two costs arise."""

from matplotlib.figure import Figure

from vaelib.plots.figures import WIDTH, describe, in_house_style, new_figure

Y = 0.62  # height of the main line


@in_house_style
def model_diagram() -> Figure:
    """Image, encoder, sampled latent, decoder and pixel distribution, with the two terms of the ELBO."""
    figure, axes = new_figure(WIDTH, 2.1)
    axes.set(xlim=(0, 10), ylim=(0, 1))
    axes.set_axis_off()
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "0.3"}
    network = {**box, "facecolor": "0.88"}
    cost = {**box, "linestyle": "--"}
    nodes = {
        "x": (0.5, Y, "image\n$x$", box),
        "encoder": (2.2, Y, "encoder\n$\\phi$", network),
        "q": (4.1, Y, "$\\mu_\\phi(x)$\n$\\sigma_\\phi(x)$", box),
        "z": (5.9, Y, "$z=\\mu+\\sigma\\odot\\varepsilon$", box),
        "decoder": (7.8, Y, "decoder\n$\\theta$", network),
        "p": (9.3, Y, "$p_\\theta(x|z)$", box),
        "noise": (5.9, 0.95, "$\\varepsilon\\sim\\mathcal{N}(0,I)$", {**box, "edgecolor": "none"}),
        "kl": (4.1, 0.1, "KL$\\,(q_\\phi(z|x)\\,\\|\\,p(z))$", cost),
        "rec": (9.1, 0.1, "$-\\log p_\\theta(x|z)$", cost),
    }
    drawn = {
        name: axes.text(x, y, text, ha="center", va="center", bbox=style) for name, (x, y, text, style) in nodes.items()
    }
    for start, end in (
        ("x", "encoder"), ("encoder", "q"), ("q", "z"), ("z", "decoder"), ("decoder", "p"),
        ("noise", "z"), ("q", "kl"), ("p", "rec"),
    ):  # fmt: skip
        axes.annotate(
            "",
            xy=nodes[end][:2],
            xytext=nodes[start][:2],
            arrowprops={
                "arrowstyle": "-|>",
                "color": "0.3",
                "patchA": drawn[start].get_bbox_patch(),
                "patchB": drawn[end].get_bbox_patch(),
            },
        )
    return describe(
        figure,
        "Flow diagram of a variational autoencoder. The encoder turns an image into a mean and a standard deviation; "
        "with noise they make a latent z; the decoder turns z into a distribution over images. The KL divergence is a "
        "cost on the encoder's Gaussian, the negative log-likelihood a cost on the decoder's distribution.",
    )
