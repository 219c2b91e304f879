"""Encoder and decoder networks by name. One more needs no more than its entry in ARCHITECTURES, at the end.

Every encoder maps flat images [batch, 784] to [batch, outputs]; every decoder maps latents [batch, inputs] to
[batch, outputs]. What the outputs mean (means, log-variances, logits) is the business of `vaelib.models.vae`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib.data import PIXELS, SIDE


class Residual(nn.Module):
    """h + GELU(W LayerNorm(h) + b): the identity path keeps deep networks trainable (He et al. 2016)."""

    def __init__(self, width: int, normalised: bool = True, activation: type[nn.Module] = nn.GELU):
        super().__init__()
        norm = [nn.LayerNorm(width)] if normalised else []
        self.branch = nn.Sequential(*norm, nn.Linear(width, width), activation())

    def forward(self, hidden: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """One residual step."""
        return hidden + self.branch(hidden)


WITHOUT = "-without-"  # in a name between that of a whole network and what was taken away
STEEP = 3.0  # measured: shallow decoders are 2 to 7 nats better after five epochs than with 1; deep ones are not


class Lift(nn.Linear):
    """A linear layer on the few latent inputs, always in float32: bfloat16 keeps only three digits of z.

    It starts with weights `scale` times the usual ones. A decoder is a function of few coordinates, and such networks
    are slow to learn fine detail unless their first layer starts steep (Tancik et al. 2020).
    """

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0):
        super().__init__(inputs, outputs)
        with torch.no_grad():
            self.weight *= scale
            self.bias *= scale

    def forward(self, z: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """W z + b without autocast."""
        with torch.autocast(z.device.type, enabled=False):
            return super().forward(z.float())


class Maps(nn.Module):
    """Rows to square maps, stored channels last: convolutions on processors are faster so."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.shape = (channels, side, side)

    def forward(self, rows: Float[Tensor, "batch features"]) -> Float[Tensor, "batch channels side side"]:
        """[batch, channels * side * side] -> [batch, channels, side, side]."""
        return rows.unflatten(1, self.shape).contiguous(memory_format=torch.channels_last)


class Architecture(NamedTuple):
    """Builders of the two networks, and what the report calls them."""

    encoder: Callable[[int], nn.Module]  # outputs -> network on [batch, 784]
    decoder: Callable[[int, int], nn.Module]  # inputs, channels -> network to [batch, channels * 784]
    description: str  # a line of the table of networks (markdown, with citations)
    title: str = ""  # its name in texts, tables and figures: "residual, 4 × 512"; without one that in ARCHITECTURES


def _layers(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    """A multilayer perceptron without an activation after its last layer."""
    linears = [nn.Linear(m, n) for m, n in pairwise(sizes)]
    return nn.Sequential(*[m for linear in linears for m in (linear, activation())][:-1])


def _perceptron(hidden: list[int], activation: type[nn.Module], description: str, title: str = "") -> Architecture:
    """Fully connected: `hidden` sizes from the image to the latent, mirrored in the decoder."""

    def decoder(inputs: int, channels: int) -> nn.Module:
        first, *others = hidden[::-1]
        rest = _layers([first, *others, channels * PIXELS], activation)
        return nn.Sequential(Lift(inputs, first, STEEP), activation(), *rest)

    return Architecture(lambda outputs: _layers([PIXELS, *hidden, outputs], activation), decoder, description, title)


class Blocks(NamedTuple):
    """What a residual perceptron is made of; an ablation takes one of these away."""

    width: int
    depth: int
    skip: bool = True  # without it a block is its branch alone, with the same weights
    normalised: bool = True
    activation: type[nn.Module] = nn.GELU

    def modules(self) -> list[nn.Module]:
        """The blocks, fresh."""
        blocks = [Residual(self.width, self.normalised, self.activation) for _ in range(self.depth)]
        return blocks if self.skip else [module for block in blocks for module in block.branch]


def _residual(blocks: Blocks, description: str, title: str = "") -> Architecture:
    """Residual perceptrons: the same blocks in encoder and decoder."""

    def network(first: nn.Module, outputs: int) -> nn.Module:
        return nn.Sequential(first, blocks.activation(), *blocks.modules(), nn.Linear(blocks.width, outputs))

    return Architecture(
        lambda outputs: network(nn.Linear(PIXELS, blocks.width), outputs),
        lambda inputs, channels: network(Lift(inputs, blocks.width), channels * PIXELS),
        description,
        title,
    )


def _ablations(name: str, whole: Blocks) -> dict[str, Architecture]:
    """The residual perceptron `name` with one thing taken away, each as `name`-without-that."""
    less = {
        "skip": (whole._replace(skip=False), "without skip connections"),
        "normalisation": (whole._replace(normalised=False), "without layer normalisation"),
        "gelu": (whole._replace(activation=nn.ReLU), "with ReLU instead of GELU"),
        "depth": (whole._replace(depth=1), "with one block"),
        "width": (whole._replace(width=whole.width // 4), f"with {whole.width // 4} units"),
    }
    return {
        f"{name}{WITHOUT}{part}": _residual(blocks, f"the residual network of {whole.width} units, {title}", title)
        for part, (blocks, title) in less.items()
    }


def _convolutional(channels: tuple[int, int], hidden: int, description: str, title: str = "") -> Architecture:
    """Two strided convolutions to 7 x 7 maps and a hidden layer; back by sub-pixel convolutions (Shi et al. 2016).

    Those compute four values at each place and lay them out as 2 x 2 pixels: what a transposed convolution does, in
    half the time on processors.
    """
    first, second = channels
    maps = second * 7 * 7

    def encoder(outputs: int) -> nn.Module:
        return nn.Sequential(
            Maps(1, SIDE),
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(maps, hidden),
            nn.ReLU(),
            nn.Linear(hidden, outputs),
        )

    def decoder(inputs: int, pixel_channels: int) -> nn.Module:
        return nn.Sequential(
            Lift(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, maps),
            nn.ReLU(),
            Maps(second, 7),
            nn.Conv2d(second, 4 * first, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReLU(),
            nn.Conv2d(first, 4 * pixel_channels, 3, padding=1),
            nn.PixelShuffle(2),
            nn.Flatten(),
        )

    return Architecture(encoder, decoder, description, title)


RESIDUAL = Blocks(width=512, depth=4)

# An entry is all that an architecture is: notebooks, scales and the report know it by its name from then on.
ARCHITECTURES: dict[str, Architecture] = {
    "aevb": _perceptron(
        [500], nn.Tanh, "one hidden layer of 500 tanh units, as in the original paper; steep [@kingma2014]", "500 tanh"
    ),
    "mlp": _perceptron(
        [256, 128], nn.ReLU, "hidden layers of 256 and 128 ReLU units; steep [@davidson2018]", "256–128 ReLU"
    ),
    "resmlp": _residual(
        RESIDUAL,
        "512 units, then four residual blocks [@he2016] of 512 with layer normalisation [@ba2016] and GELU "
        "[@hendrycks2016]",
        "residual, 4 × 512",
    ),
    "resmlp-wide": _residual(Blocks(768, 5), "the same with 768 units and five blocks", "residual, 5 × 768"),
    "conv": _convolutional(
        (16, 32),
        256,
        "two strided 4 × 4 convolutions (16, 32 maps), 256 ReLU units; back by sub-pixel ones [@shi2016]",
        "convolutional",
    ),
    **_ablations("resmlp", RESIDUAL),
}
