"""A network that can travel: the list of its layers, and its weights rounded to some five bits with little harm.

A page that has to work offline cannot bring PyTorch along. It gets layers of a few kinds that are a loop each, and
`run` is the same loops in PyTorch: what the page has to compute.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from vaelib.models.networks import Maps, Residual

POINTWISE: dict[str, tuple[type[nn.Module], Callable[[Tensor], Tensor]]] = {
    "gelu": (nn.GELU, F.gelu),
    "tanh": (nn.Tanh, torch.tanh),
    "relu": (nn.ReLU, F.relu),
    "sigmoid": (nn.Sigmoid, torch.sigmoid),
    "silu": (nn.SiLU, F.silu),
}
DAMPING = 1e-5  # of the inputs' mean square: what is added to their second moments, so that these can be inverted
BLOCK = 64  # columns whose errors are carried over to all later ones together
FEW = 8  # a layer with at most so many inputs or outputs keeps its weights: they are few, and much hangs on each


class UnknownLayerError(ValueError):
    """A network has a module of a kind that a page cannot compute."""


class Layer(NamedTuple):
    """One layer: its kind, its weights, whole numbers that describe it, and for "residual" what it adds to its input.

    "linear" has `weight` [outputs, inputs] and `bias`, "norm" (over a whole row) `weight` and `bias`, "conv" `weight`
    [outputs, inputs, kernel, kernel] and `bias`; "conv" and "shuffle" say in `sizes` how large their maps are, which
    lie in a row channel by channel, row by row. A rounded layer has in `steps` [outputs] what each row of its weights
    is whole multiples of.
    """

    kind: str
    weight: Tensor | None = None
    bias: Tensor | None = None
    sizes: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    inner: tuple["Layer", ...] = ()
    steps: Tensor | None = None


def layers(network: nn.Module) -> list[Layer]:
    """The layers of a network on rows. Raises `UnknownLayerError` for a module of another kind."""
    found: list[Layer] = []
    like = next(network.parameters(), torch.empty(0)).detach()  # what a layer lacks is made beside it
    side = 0  # of the maps; 0 on rows, along which a module works otherwise than along the last axis of maps
    for module in network if isinstance(network, nn.Sequential) else [network]:
        if isinstance(module, Maps):
            side = module.shape[-1]
        elif isinstance(module, nn.Flatten):
            side = 0
        elif isinstance(module, nn.Linear) and not side:
            found.append(Layer("linear", *_weights(module, like)))
        elif isinstance(module, nn.LayerNorm) and not side:
            found.append(Layer("norm", *_weights(module, like), {"eps": module.eps}))
        elif isinstance(module, Residual) and not side:
            found.append(Layer("residual", inner=tuple(layers(module.branch))))
        elif isinstance(module, nn.Conv2d) and side and _is_plain(module):
            kernel, stride, padding = (pair[0] for pair in (module.kernel_size, module.stride, module.padding))
            sizes = {"side": side, "kernel": kernel, "stride": stride, "padding": padding}
            found.append(Layer("conv", *_weights(module, like), sizes))
            side = (side + 2 * padding - kernel) // stride + 1
        elif isinstance(module, nn.PixelShuffle) and side:
            found.append(Layer("shuffle", sizes={"side": side, "factor": module.upscale_factor}))
            side *= module.upscale_factor
        elif not isinstance(module, nn.Identity):
            kinds = [kind for kind, (pointwise, _) in POINTWISE.items() if type(module) is pointwise]
            if not kinds or getattr(module, "approximate", "none") != "none":
                raise UnknownLayerError(f"a page cannot compute {module}: vaelib.measure.portable knows no such layer")
            found.append(Layer(kinds[0]))
    return found


def _weights(module: nn.Linear | nn.LayerNorm | nn.Conv2d, like: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's weights and bias; ones and zeros where it does without."""
    outputs = module.normalized_shape if isinstance(module, nn.LayerNorm) else len(module.weight)
    weight = like.new_ones(outputs) if module.weight is None else module.weight.detach()
    bias = like.new_zeros(outputs) if module.bias is None else module.bias.detach()
    return weight, bias


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Whether a convolution is the same along both axes, sees all channels, and has zeros around its maps."""
    pairs = (convolution.kernel_size, convolution.stride, convolution.padding)
    square = all(isinstance(pair, tuple) and pair[0] == pair[1] for pair in pairs)
    return square and (convolution.groups, convolution.dilation, convolution.padding_mode) == (1, (1, 1), "zeros")


def run(network: list[Layer], x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
    """What a network makes of rows."""
    for layer in network:
        x = _step(layer, x)
    return x


def _step(layer: Layer, x: Tensor) -> Tensor:
    if layer.kind == "linear":
        return F.linear(x, layer.weight, layer.bias)
    if layer.kind == "norm":
        return F.layer_norm(x, x.shape[1:], layer.weight, layer.bias, layer.sizes["eps"])
    if layer.kind == "residual":
        return x + run(list(layer.inner), x)
    if layer.kind in POINTWISE:
        return POINTWISE[layer.kind][1](x)
    side, sizes = layer.sizes["side"], layer.sizes
    maps = x.unflatten(1, (-1, side, side))
    if layer.kind == "shuffle":
        return F.pixel_shuffle(maps, sizes["factor"]).flatten(1)
    return F.conv2d(maps, layer.weight, layer.bias, sizes["stride"], sizes["padding"]).flatten(1)


class Rows(nn.Module):
    """Layers as a module, in the place of the network that they come from."""

    def __init__(self, network: list[Layer]):
        super().__init__()
        self.network = network

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        """What `run` gives."""
        return run(self.network, x)


@torch.no_grad()
def rounded(network: list[Layer], x: Float[Tensor, "rows inputs"], fineness: float) -> list[Layer]:
    """The network with weights that are whole multiples of a step, a step for each output.

    A step is the standard deviation of the row's weights over `fineness`. The error of each weight is made up for by
    those that are rounded after it, as well as the inputs allow that the layer gets when `x` is what the network gets
    (Frantar et al. 2023, GPTQ): a decoder's hidden layers see a curved plane in few of their dimensions, and there
    a rounding that leaves all else alone costs many times less. Each layer is rounded on the outputs of the rounded
    ones before it.
    """
    result = []
    for layer in network:
        if layer.kind == "residual":
            layer = layer._replace(inner=tuple(rounded(list(layer.inner), x, fineness)))
        elif layer.kind in ("linear", "conv") and min(layer.weight.flatten(1).shape) > FEW:
            layer = _rounded_weights(layer, _patches(layer, x), fineness)
        result.append(layer)
        x = _step(layer, x)
    return result


def _patches(layer: Layer, x: Tensor) -> Float[Tensor, "rows inputs"]:
    """What the weights of a layer are multiplied with."""
    if layer.kind == "linear":
        return x
    side, sizes = layer.sizes["side"], layer.sizes
    maps = x[: 1 + 2**20 // x.shape[1]].unflatten(1, (-1, side, side))
    patches = F.unfold(maps, sizes["kernel"], padding=sizes["padding"], stride=sizes["stride"])
    return patches.movedim(1, 2).flatten(0, 1)


def _rounded_weights(layer: Layer, x: Float[Tensor, "rows inputs"], fineness: float) -> Layer:
    weight = layer.weight.flatten(1).double()
    steps = (weight.std(1) / fineness).clamp(min=1e-12).float().double()  # as the page knows them
    moments = (x.T.double() @ x.double()) / len(x)
    order = moments.diag().argsort(descending=True)  # first what counts most: later weights can still make up for it
    moments = moments[order][:, order]
    moments.diagonal().add_(DAMPING * moments.diag().mean().clamp(min=1e-12))
    whole = torch.empty_like(weight)
    whole[:, order] = _whole(weight[:, order], steps, _feedback(moments))
    rounded = (whole * steps[:, None]).float().reshape(layer.weight.shape)
    return layer._replace(weight=rounded, steps=steps.float())


def _feedback(moments: Float64[Tensor, "inputs inputs"]) -> Float64[Tensor, "inputs inputs"]:
    """How the error of one input's weights is made up for by those of later inputs: the factor U of inverse = U^T U."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    return torch.linalg.cholesky((inverse + inverse.T) / 2, upper=True)


def _whole(
    weight: Float64[Tensor, "outputs inputs"],
    steps: Float64[Tensor, " outputs"],
    feedback: Float64[Tensor, "inputs inputs"],
) -> Float64[Tensor, "outputs inputs"]:
    """The whole multiples of the steps, column by column."""
    weight, whole = weight.clone(), torch.empty_like(weight)
    for first in range(0, weight.shape[1], BLOCK):
        stop = min(first + BLOCK, weight.shape[1])
        errors = weight.new_zeros(len(weight), stop - first)
        for column in range(first, stop):
            whole[:, column] = (weight[:, column] / steps).round()
            error = (weight[:, column] - whole[:, column] * steps) / feedback[column, column]
            weight[:, column + 1 : stop] -= error[:, None] * feedback[column, column + 1 : stop]
            errors[:, column - first] = error
        weight[:, stop:] -= errors @ feedback[first:stop, stop:]
    return whole
