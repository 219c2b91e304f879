"""A model with a 2-D latent as arrays for a page that works offline: networks, a table of the plane, test images.

The page scores an image x against a table of latents first: log p(x | z) = T(x) . eta(z) - A(z), and eta, smooth in z,
is written as eta_0 + sum_k c_k(z) b_k with few terms. The decoder itself then refines where the mass is. Everything is
rounded, and what that costs is measured on images whose exact log p(x) is known.
"""

import copy
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import data
from vaelib.exact.inference import gaussian_elbo
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.measure.plane import telling_images
from vaelib.measure.portable import Layer, Rows, UnknownLayerError, layers, rounded
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.vae import VAE, Posterior, count_parameters, log_normal

WEIGHT_BYTES = 2_500_000  # that all weights may take, as long as they keep FINENESS
FINENESS = (8.0, 64.0)  # the least and the most steps to a standard deviation of a layer's weights, 5 to 8 bits
SIDE = 128  # of the table: a step of 0.07, between whose latents the page interpolates by cubic splines
TERMS = 160  # of eta's expansion
TERM_STEP = 0.08  # nats by which a test image's score moves with a step of one coefficient, root mean square
BASIS_ERROR = 0.05  # nats, root mean square: what rounding the b_k costs an image with INK pixels
INK = 100
LARGEST = 2**15 - 1  # of whole numbers, of either sign: the page has 16 bits for each
RIDGE = 0.01  # added to the pixels' second moments: an image to come may have ink where no test image has
REACH = (4.75, 6.0)  # the least and the most that the table covers to every side
MARGIN = 0.3  # from the outermost latent means to the table's edge
CARRIED = 2000  # test images that the page has
NEAREST = 6  # test images around a place, in print
CHECKED = 20  # test images, evenly over all, on which the rounding is measured


class Test(NamedTuple):
    """The test images, and what is known of each: exact log p(x), ELBO, and q."""

    images: data.Images
    protocol: str
    q: Posterior
    log_px: np.ndarray
    elbo: np.ndarray

    @property
    def pixels(self) -> Float[Tensor, "images 784"]:
        """What the protocol makes of the images."""
        return data.evaluation_pixels(self.images.images, self.protocol)


def examples(test: Test, approximation: np.ndarray, amortisation: np.ndarray) -> dict[str, int]:
    """Test images to begin with, by what they are examples of: easy ones, ambiguous ones, and where the model fails."""
    telling = telling_images(approximation, amortisation, test.log_px)
    return {
        "typical gap": telling["median gap"],
        "likeliest": int(test.log_px.argmax()),
        "widest q": int(test.q.log_variance.sum(1).argmax()),
        "least Gaussian": telling["largest approximation gap"],
        "missed most by the encoder": telling["largest amortisation gap"],
        "least likely": int(test.log_px.argmin()),
    }


@torch.no_grad()
def in_print(model: VAE, test: Test, best: Posterior, image: int) -> dict[str, np.ndarray]:
    """What the page would show of a test image besides its posterior, for print.

    `example.decoded` [784] is the digit at the mean of the best Gaussian, `example.nearest` [count, 784] are the test
    images around it, `example.elbo` [3] are log p(x), the encoder's ELBO and the best Gaussian's.
    """
    place, x = best.mean[image], test.pixels
    nearest = (test.q.mean - place).square().sum(1).argsort()[:NEAREST]
    found = gaussian_elbo(model, x[image : image + 1], Posterior(*(t[image : image + 1] for t in best)))
    return {
        "example.decoded": data.to_bytes(model.images(place)),
        "example.nearest": data.to_bytes(x[nearest]),
        "example.elbo": np.array([test.log_px[image], test.elbo[image], found.item()], np.float32),
    }


@torch.no_grad()
def offline(model: VAE, test: Test, named: Mapping[str, int]) -> dict[str, np.ndarray]:
    """What `vaelib.plots.explorer` makes a page from, as arrays of bytes: `page.header` (JSON) and `page.body`.

    `named` are images to begin with, by what they are examples of. Of a model with a layer that a page cannot compute
    there is a header alone, and `obstacle` in it says why.
    """
    if model.latent_dim != 2 or model.classes:
        raise ValueError("a page needs a model with two latent dimensions and without classes")
    try:
        small = _rounded_model(model, test.pixels, test.q)
    except UnknownLayerError as error:
        return {"page.header": _bytes(json.dumps({"obstacle": str(error)}).encode())}
    x, packed = test.pixels, Packed()
    reach = float(np.clip(test.q.mean.abs().max().item() + MARGIN, *REACH))
    chosen = sorted({*range(min(CARRIED, len(x))), *named.values()})
    header: dict[str, Any] = {
        "likelihood": next(name for name, kind in LIKELIHOODS.items() if kind is model.likelihood),
        "binary": test.protocol == "A",
        "decoder": list(_described("decoder", small.decoder.network, packed)),
        "encoder": list(_described("encoder", small.encoder.network, packed)),
        "table": {"side": SIDE, "reach": reach},
        "quantiles": np.quantile(test.log_px, np.linspace(0, 1, 101)).round(2).tolist(),
        "tests": len(x),
        "named": [{"name": name, "image": int(i), "at": chosen.index(i)} for name, i in named.items()],
        "rounding": _cost(small, x, test),
    }
    _add_table(packed, small, x, reach)
    levels = data.to_bytes(x[chosen])
    packed.add("images", np.packbits(levels > 127, axis=1) if header["binary"] else levels)
    grey = test.images.images[list(named.values())].cpu().numpy()
    packed.add("grey", grey.reshape(len(named), data.PIXELS))
    packed.add("image", np.array(chosen, np.float32))
    packed.add("label", test.images.labels[chosen].cpu().numpy().astype(np.uint8))
    packed.add("mean", test.q.mean[chosen].cpu().numpy())
    header |= {"arrays": packed.described}
    body = zlib.compress(b"".join(packed.parts), 9)
    return {"page.header": _bytes(json.dumps(header).encode()), "page.body": _bytes(body)}


def _bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8).copy()


class Packed:
    """Arrays one after another as bytes that deflate well: of whole numbers, the low bytes before the high ones."""

    def __init__(self) -> None:
        self.described: dict[str, tuple[str, list[int]]] = {}  # by name: the type, as `unpack.js` knows it, the shape
        self.parts: list[bytes] = []

    def add(self, name: str, values: np.ndarray, differences: bool = False) -> None:
        """Add an array of bytes, of float32, or (of any other type) of whole numbers of 16 bits.

        With `differences` each number is stored as its difference from the one before it in its row. A difference may
        leave 16 bits: the page's sum of such numbers comes back into them. Raises `ValueError` for a number that does
        not fit.
        """
        kind = {np.dtype(np.uint8): "bytes", np.dtype(np.float32): "floats"}.get(values.dtype, "integers")
        if kind == "integers" and not (np.abs(values) <= LARGEST).all():  # nor does NaN fit
            raise ValueError(f"{name} has whole numbers up to {np.abs(values).max():.3g}; a page has them to {LARGEST}")
        self.described[name] = ("differences" if differences else kind, list(values.shape))
        if kind != "integers":
            self.parts.append(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())
            return
        if differences:
            values = np.diff(values.reshape(len(values), -1), axis=1, prepend=0)
        shifted = (values.astype(np.int64) + 128).astype(np.uint16)  # small numbers of either sign: high bytes of 0
        self.parts += [(shifted & 255).astype(np.uint8).tobytes(), (shifted >> 8).astype(np.uint8).tobytes()]


def _rounded_model(model: VAE, x: Float[Tensor, "images 784"], q: Posterior) -> VAE:
    """The model with rounded weights: the decoder's on latents of the prior and of q, the encoder's on images."""
    rng = torch.Generator(x.device).manual_seed(0)
    around = q.sample(1, rng)[0]
    prior = torch.randn(around.shape, generator=rng, device=x.device)
    # The entropy of a normal variable in steps of 1 / f of its deviation is log2 f + log2 sqrt(2 pi e) bits.
    bits = 8 * WEIGHT_BYTES / count_parameters(model)
    fineness = float(np.clip(2 ** min(bits - 0.5 * math.log2(2 * math.pi * math.e), 10), *FINENESS))
    small = copy.copy(model)
    small._modules = dict(model._modules)  # else the model itself would get the rounded networks
    small.decoder = Rows(rounded(layers(model.decoder), torch.cat([around, prior])[:20_000], fineness))
    small.encoder = Rows(rounded(layers(model.encoder), x, fineness))
    return small


def _described(prefix: str, network: list[Layer], packed: Packed) -> Iterator[dict[str, Any]]:
    """Each layer as JSON; its weights go into `packed`, under the names that the JSON has for them."""
    for i, layer in enumerate(network):
        name = f"{prefix}.{i}"
        described: dict[str, Any] = {"kind": layer.kind, **layer.sizes}
        if layer.inner:
            described["inner"] = list(_described(name, list(layer.inner), packed))
        if layer.weight is not None:
            rows = layer.weight.flatten(1).cpu() if layer.weight.ndim > 1 else layer.weight[None].cpu()
            described |= {"name": name, "outputs": len(rows), "inputs": rows.shape[1]}
            if layer.steps is None:
                packed.add(f"{name}.weight", rows.numpy())
            else:
                packed.add(f"{name}.weight", (rows / layer.steps.cpu()[:, None]).round().numpy().astype(np.int64))
                packed.add(f"{name}.steps", layer.steps.cpu().numpy())
            packed.add(f"{name}.bias", layer.bias.cpu().numpy())
        yield described


def _add_table(packed: Packed, model: VAE, x: Float[Tensor, "images 784"], reach: float) -> None:
    """The table: eta_0, the b_k with their steps, the c_k over the latents, and A - log p(z), at cells' midpoints.

    The expansion is that of least error in T(x) . eta(z), not in eta: the singular vectors of eta times the root of
    the images' second moments. Rows of the table run upwards in z_2, within a row z_1 rises.

    A term whose numbers would be too large has larger steps. The page knows one step for all c_k, so those of c_k that
    are larger stand in the steps of b_k, with which they are multiplied.
    """
    axis = ((torch.arange(SIDE, device=x.device) + 0.5) / SIDE * 2 - 1) * reach
    z = torch.cartesian_prod(axis, axis).flip(1)
    eta, log_partition = (torch.cat(t) for t in zip(*(model.likelihood.natural(model.decode(part)) for part in
                                                      z.split(1024)), strict=True))  # fmt: skip
    statistics = model.likelihood.statistics(x).double()
    moments = statistics.T @ statistics / len(x)
    moments.diagonal().add_(RIDGE * moments.diag().max())
    values, vectors = torch.linalg.eigh(moments)
    centre = eta.mean(0)
    weighted = (eta - centre).double() @ (vectors * values.sqrt())
    _, directions = torch.linalg.eigh(weighted.T @ weighted)
    directions = directions[:, -TERMS:].flip(1)
    coefficients = weighted @ directions  # [latents, terms]
    basis = (vectors * values.rsqrt()) @ directions  # [terms of eta, terms]
    spread = coefficients.square().mean(0).sqrt()
    steps = _fitting(BASIS_ERROR * (12 / (INK * TERMS)) ** 0.5 / spread.clamp(min=1e-6), basis)
    term_steps = _fitting(torch.full_like(steps, TERM_STEP), coefficients)
    packed.add("table.centre", centre.cpu().numpy())
    packed.add("table.basis", (basis / steps).T.round().cpu().numpy())
    packed.add("table.steps", (steps * term_steps / TERM_STEP).float().cpu().numpy())
    packed.add("table.coefficients", (coefficients / term_steps).T.round().cpu().numpy(), differences=True)
    packed.add("table.term_step", np.array([TERM_STEP], np.float32))
    packed.add("table.offset", (log_partition - log_normal(z)).cpu().numpy())


def _fitting(steps: Float[Tensor, " terms"], values: Float[Tensor, "rows terms"]) -> Float[Tensor, " terms"]:
    """The steps, each where it has to be so much larger that no value of its term is more than LARGEST of it."""
    return steps.maximum(values.abs().amax(0) / LARGEST)


def _cost(small: VAE, x: Float[Tensor, "images 784"], test: Test) -> dict[str, Any]:
    """What the rounded weights change on `CHECKED` images: log p(x) and the encoder's ELBO, mean and most, in nats."""
    checked = np.linspace(0, len(x) - 1, min(CHECKED, len(x))).astype(int)
    log_px = exact_log_likelihood(small, x[checked]).log_px.cpu().numpy() - test.log_px[checked]
    elbo = gaussian_elbo(small, x[checked], small.posterior(x[checked])).cpu().numpy() - test.elbo[checked]
    changes = {"log_px": np.abs(log_px), "elbo": np.abs(elbo)}
    numbers = {f"{name}_{what}": round(float(of(change)), 4) for name, change in changes.items()
               for what, of in (("mean", np.mean), ("most", np.max))}  # fmt: skip
    return {"images": len(checked), **numbers}
