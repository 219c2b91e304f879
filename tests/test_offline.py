"""A model for a page: its layers give what the network gives, rounding costs little, and the table is right."""

import json
import zlib

import numpy as np
import pytest
import small_model
import torch
from torch import nn

from vaelib import data
from vaelib.exact.inference import gaussian_elbo
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.measure import offline, portable
from vaelib.models.networks import ARCHITECTURES, Architecture, Maps, Residual
from vaelib.models.vae import VAE, log_normal


@pytest.fixture(scope="module")
def small(mnist):
    return small_model.make(mnist["train"], mnist["test"])


def in_16_bits(values):
    """Whole numbers as an Int16Array has them."""
    return (values + 2**15) % 2**16 - 2**15


def unpacked(arrays):
    """The arrays of a page by name, read in another way than the page's own."""
    header, body = json.loads(arrays["page.header"].tobytes()), zlib.decompress(arrays["page.body"].tobytes())
    found = {}
    for name, (kind, shape) in header["arrays"].items():
        count = int(np.prod(shape))
        size = {"bytes": 1, "floats": 4}.get(kind, 2) * count
        part, body = body[:size], body[size:]
        if kind in ("bytes", "floats"):
            found[name] = np.frombuffer(part, "u1" if kind == "bytes" else "<f4").reshape(shape)
            continue
        low, high = np.frombuffer(part, "u1").astype(int).reshape(2, *shape)
        values = (low + 256 * high - 128).reshape(shape)
        found[name] = in_16_bits(values.cumsum(1) if kind == "differences" else values)
    assert not body
    return header, found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_list_of_layers_gives_what_the_network_gives(architecture, part):
    torch.manual_seed(0)
    network = getattr(VAE(architecture), part)
    x = torch.rand(5, 784) if part == "encoder" else torch.randn(5, 2)
    with torch.no_grad():
        expected = network(x)
    torch.testing.assert_close(portable.run(portable.layers(network), x), expected, rtol=1e-5, atol=1e-5)


def test_layers_without_a_bias_or_without_weights_give_what_the_network_gives():
    torch.manual_seed(0)
    plain = [nn.Linear(2, 16, bias=False), nn.LayerNorm(16, elementwise_affine=False), nn.LayerNorm(16, bias=False)]
    network = nn.Sequential(*plain, Maps(1, 4), nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.Flatten())
    x = torch.randn(5, 2)
    with torch.no_grad():
        torch.testing.assert_close(portable.run(portable.layers(network), x), network(x))


@pytest.mark.parametrize(
    "other",
    [
        {"kernel_size": (3, 1)},
        {"kernel_size": 3, "stride": (1, 2)},
        {"kernel_size": 3, "padding": (1, 0)},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
)
def test_a_convolution_of_another_kind_is_named(other):
    with pytest.raises(portable.UnknownLayerError, match="Conv2d"):
        portable.layers(nn.Sequential(Maps(1, 4), nn.Conv2d(1, 3, **other)))


@pytest.mark.parametrize("module", [nn.LayerNorm([1, 4, 4]), nn.LayerNorm(4), nn.Linear(4, 4), Residual(4)])
def test_a_layer_that_works_along_the_maps_is_named_and_one_behind_them_is_not(module):
    with pytest.raises(portable.UnknownLayerError, match=type(module).__name__):
        portable.layers(nn.Sequential(Maps(1, 4), nn.Conv2d(1, 1, 1), module))
    rows = nn.Sequential(Maps(1, 4), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3))
    x = torch.randn(5, 16)
    torch.testing.assert_close(portable.run(portable.layers(rows), x), rows(x))


def test_a_layer_of_another_kind_is_named(monkeypatch, small):
    with pytest.raises(portable.UnknownLayerError, match="Hardtanh"):
        portable.layers(nn.Sequential(nn.Linear(2, 3), nn.Hardtanh()))
    with pytest.raises(portable.UnknownLayerError, match="GELU"):  # the approximate one is another function
        portable.layers(nn.Sequential(nn.Linear(2, 3), nn.GELU("tanh")))
    odd = Architecture(
        lambda outputs: nn.Sequential(nn.Linear(784, outputs), nn.Softsign()), ARCHITECTURES["mlp"].decoder, "odd"
    )
    monkeypatch.setitem(ARCHITECTURES, "odd", odd)
    arrays = offline.offline(VAE("odd"), small.test, {"first": 0})
    assert list(arrays) == ["page.header"] and "Softsign" in json.loads(arrays["page.header"].tobytes())["obstacle"]


def test_a_page_is_not_for_models_of_other_latents(small):
    for model in (VAE("mlp", latent_dim=3), VAE("mlp", classes=10)):
        with pytest.raises(ValueError, match="two latent dimensions"):
            offline.offline(model, small.test, {"first": 0})


def test_rounded_weights_are_whole_multiples_and_cost_less_than_rounding_each_by_itself(small):
    x = small.test.pixels
    exact = portable.layers(small.model.encoder)
    rounded = portable.rounded(exact, x, 4.0)
    naive = []
    for before, after in zip(exact, rounded, strict=True):
        if after.steps is None:
            naive.append(before)
            assert before.weight is None or torch.equal(before.weight, after.weight)
            continue
        multiples = after.weight / after.steps[:, None]
        torch.testing.assert_close(multiples, multiples.round(), rtol=0, atol=1e-3)
        naive.append(before._replace(weight=(before.weight / after.steps[:, None]).round() * after.steps[:, None]))
    truth = portable.run(exact, x)
    ours, theirs = ((portable.run(network, x) - truth).square().mean() for network in (rounded, naive))
    assert ours < theirs / 4


def test_the_page_has_the_numbers_that_it_was_given(small):
    header, arrays = unpacked(small.arrays)
    assert header["binary"] and header["likelihood"] == "bernoulli" and header["tests"] == small_model.TESTS
    images = np.unpackbits(arrays["images"], axis=1)
    assert (images == small.test.pixels.numpy()).all()
    assert np.allclose(arrays["mean"], small.test.q.mean)
    assert header["quantiles"][50] == pytest.approx(np.median(small.test.log_px), abs=0.01)
    at = {one["name"]: one["image"] for one in header["named"]}
    assert at["likeliest"] == small.test.log_px.argmax() and at["least likely"] == small.test.log_px.argmin()
    grey = small.test.images.images[[one["image"] for one in header["named"]]].reshape(-1, 784)
    assert (arrays["grey"] == grey.numpy()).all()


def errors(model, x, arrays, side, reach):
    """By how much the table's log p(x, z) is off where the mass of x is, and log p(x, z) at all its latents."""
    axis = ((np.arange(side) + 0.5) / side * 2 - 1) * reach
    up, across = np.meshgrid(axis, axis, indexing="ij")
    z = torch.tensor(np.stack([across.ravel(), up.ravel()], 1), dtype=torch.float32)
    with torch.no_grad():
        expected = (model.likelihood.log_prob(x[:, None], model.decode(z)) + log_normal(z)).numpy()
    statistics = model.likelihood.statistics(x).numpy()
    terms = statistics @ (arrays["table.basis"] * arrays["table.steps"][:, None]).T
    scores = (statistics @ arrays["table.centre"])[:, None] - arrays["table.offset"]
    scores = scores + terms @ arrays["table.coefficients"] * arrays["table.term_step"]
    return (scores - expected)[expected > expected.max(1, keepdims=True) - 10], expected


def test_the_table_has_log_p_of_image_and_latent(small):
    header, arrays = unpacked(small.arrays)
    error, _ = errors(small.model, small.test.pixels[:20], arrays, **header["table"])
    assert np.sqrt((error**2).mean()) < 0.3  # with the rounding of the weights


@pytest.mark.slow
def test_a_table_of_numbers_that_leave_16_bits_has_larger_steps(mnist, monkeypatch):
    monkeypatch.setattr(offline, "SIDE", 24)
    torch.manual_seed(0)
    model, x = VAE("mlp", likelihood="gaussian").eval(), data.grey(mnist["test"].take(100).images).flatten(1)
    with torch.no_grad():
        for weights in model.decoder.parameters():
            weights *= 2.5
        offline._add_table(packed := offline.Packed(), model, x, 5.0)
    header = json.dumps({"arrays": packed.described}).encode()
    body = zlib.compress(b"".join(packed.parts))
    _, arrays = unpacked({"page.header": np.frombuffer(header, "u1"), "page.body": np.frombuffer(body, "u1")})
    assert np.abs(arrays["table.basis"]).max() == np.abs(arrays["table.coefficients"]).max() == offline.LARGEST
    error, expected = errors(model, x[:20], arrays, 24, 5.0)
    assert np.sqrt((error**2).mean()) < 1e-4 * expected.std()


@pytest.mark.parametrize("differences", [False, True])
def test_whole_numbers_of_16_bits_come_back_and_none_beyond_them_is_packed(differences):
    numbers, packed = np.array([[-1, 1, 0, 1, -1, 1]]) * offline.LARGEST, offline.Packed()
    packed.add("extreme", numbers, differences)
    low, high = np.frombuffer(b"".join(packed.parts), "u1").astype(int).reshape(2, -1)
    read = low + 256 * high - 128
    assert (in_16_bits(read.cumsum() if differences else read) == numbers).all()
    for wrong in (numbers + 1, numbers - 1, np.array([[np.nan]])):
        with pytest.raises(ValueError, match=r"wrong has whole numbers up to .*; a page has them to 32767"):
            packed.add("wrong", wrong, differences)
    assert list(packed.described) == ["extreme"]


def test_what_rounding_costs_is_what_the_page_tells(small):
    header, _ = unpacked(small.arrays)
    x = small.test.pixels
    rounded = offline._rounded_model(small.model, x, small.test.q)
    checked = np.linspace(0, len(x) - 1, offline.CHECKED).astype(int)
    log_px = exact_log_likelihood(rounded, x[checked]).log_px.numpy() - small.test.log_px[checked]
    with torch.no_grad():
        elbo = gaussian_elbo(rounded, x[checked], rounded.posterior(x[checked])).numpy()
    assert header["rounding"]["log_px_most"] == pytest.approx(np.abs(log_px).max(), abs=1e-3)
    assert header["rounding"]["elbo_mean"] == pytest.approx(np.abs(elbo - small.test.elbo[checked]).mean(), abs=1e-3)
    assert header["rounding"]["log_px_most"] < 0.05


def test_in_print_stands_what_the_page_shows(small):
    best = small_model.moments(small.exact, small_model.TESTS)
    arrays = offline.in_print(small.model, small.test, best, 7)
    distances = (small.test.q.mean - best.mean[7]).norm(dim=1)
    nearest = small.test.pixels[distances.argsort()[: offline.NEAREST]]
    assert (arrays["example.nearest"] == 255 * nearest.numpy()).all()
    log_px, elbo, best_elbo = arrays["example.elbo"]
    assert log_px >= best_elbo and log_px > elbo and log_px == np.float32(small.test.log_px[7])
    with torch.no_grad():
        decoded = small.model.images(best.mean[7])
    assert np.abs(arrays["example.decoded"] / 255 - decoded.numpy()).max() < 0.01
