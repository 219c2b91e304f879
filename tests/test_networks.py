"""Every architecture fits every latent dimension and likelihood; weights survive their file."""

import re

import pandas as pd
import pytest
import torch
from torch import nn

from vaelib.data import PIXELS
from vaelib.files import PROJECT_ROOT, RunError
from vaelib.models import vae
from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.networks import ARCHITECTURES, Architecture, Blocks, Residual
from vaelib.models.vae import VAE
from vaelib.report import tables
from vaelib.runs import schemas
from vaelib.training import checkpoints

CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("latent_dim", [2, 5])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_shapes(architecture, latent_dim, likelihood):
    model = VAE(architecture, latent_dim, likelihood)
    posterior = model.posterior(torch.rand(3, PIXELS))
    assert posterior.mean.shape == posterior.log_variance.shape == (3, latent_dim)
    z = posterior.sample(4, torch.Generator().manual_seed(0))
    assert z.shape == (4, 3, latent_dim)
    assert model.decode(z).shape == (4, 3, (2 if likelihood == "gaussian" else 1) * PIXELS)
    assert model.images(z).shape == (4, 3, PIXELS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_decoding_in_any_arrangement_gives_the_same_images(architecture):
    torch.manual_seed(0)
    model = VAE(architecture).eval()
    z = torch.randn(4, 3, 2)
    torch.testing.assert_close(model.decode(z)[2, 1], model.decode(z[2:3, 1])[0], rtol=1e-4, atol=1e-5)


def layers(architecture: str, part: str) -> list[nn.Module]:
    """The layers of a network in their order, those of its blocks among them."""
    torch.manual_seed(0)
    return [m for m in getattr(VAE(architecture), part).modules() if not isinstance(m, nn.Sequential | Residual)]


def shapes(modules: list[nn.Module]) -> list[str]:
    return [repr(module) for module in modules]


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_an_ablation_differs_from_the_whole_network_in_what_its_name_says(part):
    whole = layers("resmlp", part)
    ablated = {name: layers(f"resmlp-without-{name}", part) for name in ("skip", "normalisation", "gelu")}
    assert shapes(ablated["skip"]) == shapes(whole)
    weights = [[p for m in modules for p in m.parameters()] for modules in (ablated["skip"], whole)]
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))
    names = [name for name, module in VAE("resmlp-without-skip").named_modules() if isinstance(module, Residual)]
    assert names == []
    assert shapes(ablated["normalisation"]) == shapes([m for m in whole if not isinstance(m, nn.LayerNorm)])
    assert shapes(ablated["gelu"]) == [re.sub(r"GELU\(.*\)", "ReLU()", shape) for shape in shapes(whole)]
    assert sum(isinstance(module, nn.LayerNorm) for module in whole) == 4
    assert shapes(layers("resmlp-without-depth", part)) == [*shapes(whole[:5]), shapes(whole)[-1]]
    assert shapes(layers("resmlp-without-width", part)) == [shape.replace("512", "128") for shape in shapes(whole)]


def test_without_the_identity_path_a_block_is_its_branch():
    h = torch.randn(3, 8)
    block = Residual(8)
    torch.testing.assert_close(block(h) - h, block.branch(h))
    stacked = nn.Sequential(*Blocks(8, 2, skip=False).modules())
    assert len(stacked) == 6 and stacked[0].normalized_shape == stacked[3].normalized_shape == (8,)


def test_an_architecture_is_added_by_one_entry_and_named_in_no_other_list(monkeypatch):
    def encoder(outputs):
        return nn.Linear(PIXELS, outputs)

    def decoder(inputs, channels):
        return nn.Linear(inputs, channels * PIXELS)

    monkeypatch.setitem(ARCHITECTURES, "linear", Architecture(encoder, decoder, "no hidden layer"))
    assert VAE("linear").decode(torch.zeros(3, 2)).shape == (3, PIXELS)
    for schema in (schemas.VAEParameters, schemas.SynthesisParameters, schemas.VAEGANParameters):
        assert schema(architecture="linear").architecture == "linear"
    vaes = pd.DataFrame({"architecture": ["linear"], "parameters": [5504]})
    assert tables.networks(vaes).iloc[0].tolist() == ["linear", "no hidden layer", "5,504"]
    for notebook in (PROJECT_ROOT / "notebooks").glob("*.ipynb"):
        for line in notebook.read_text(encoding="utf-8").splitlines():
            assert sum(name in re.findall(r"[\w-]+", line.split("#")[-1]) for name in ARCHITECTURES) < 3, line


@pytest.mark.parametrize(
    ("architecture", "latent_dim", "likelihood", "expected"),
    [
        # Encoder 784-500-2d, decoder d-500-784, each layer with its biases.
        ("aevb", 2, "bernoulli", (784 * 500 + 500) + (500 * 4 + 4) + (2 * 500 + 500) + (500 * 784 + 784)),
        ("aevb", 5, "gaussian", (784 * 500 + 500) + (500 * 10 + 10) + (5 * 500 + 500) + (500 * 1568 + 1568)),
        # 784-256-128-2d and back.
        ("mlp", 2, "bernoulli", 200_960 + 32_896 + 516 + 384 + 33_024 + 201_488),
    ],
)
def test_parameter_counts_are_those_of_the_papers_networks(architecture, latent_dim, likelihood, expected):
    assert vae.count_parameters(VAE(architecture, latent_dim, likelihood)) == expected


def test_frozen_parameters_are_not_counted():
    model = VAE("mlp")
    model.encoder.requires_grad_(False)
    assert vae.count_parameters(model) == 384 + 33_024 + 201_488


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_is_the_same_model_when_loaded(architecture, tmp_path):
    torch.manual_seed(0)
    model = VAE(architecture, 3, "gaussian").eval()
    checkpoints.save(model, tmp_path / "folder" / "model.safetensors")
    loaded = checkpoints.load(VAE, tmp_path / "folder" / "model.safetensors", CPU)
    assert (loaded.latent_dim, loaded.likelihood, loaded.training) == (3, LIKELIHOODS["gaussian"], False)
    x, z = torch.rand(2, PIXELS), torch.randn(2, 3)
    assert torch.equal(model.posterior(x).mean, loaded.posterior(x).mean)
    assert torch.equal(model.decode(z), loaded.decode(z))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_text("no weights at all"),
    ],
)
def test_a_missing_or_damaged_model_is_one_clear_message(damage, tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(VAE("mlp"), path)
    damage(path)
    with pytest.raises(RunError, match=r"no VAE could be read from .*model\.safetensors .*Run its notebook again"):
        checkpoints.load(VAE, path, CPU)


def test_weights_of_another_architecture_are_refused(tmp_path):
    model = VAE("mlp")
    model.built_as["architecture"] = "conv"
    checkpoints.save(model, tmp_path / "model.safetensors")
    with pytest.raises(RunError, match="no VAE could be read"):
        checkpoints.load(VAE, tmp_path / "model.safetensors", CPU)
