"""The variational autoencoder of Kingma & Welling (2014): prior, approximate posterior, pixel likelihood."""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vaelib.likelihoods import LIKELIHOODS
from vaelib.networks import ARCHITECTURES
from vaelib.runs import RunError, atomic


def log_normal(
    z: Float[Tensor, "*#batch latent"],
    mean: Float[Tensor, "*#batch latent"] | float = 0.0,
    log_variance: Float[Tensor, "*#batch latent"] | float = 0.0,
) -> Float[Tensor, "*batch"]:
    """log N(z; mean, diag exp(log_variance)); with the defaults, the prior log p(z)."""
    log_variance = torch.as_tensor(log_variance)
    squares = (z - mean) ** 2 * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


class Posterior(NamedTuple):
    """q(z | x) = N(z; mean, diag exp(log_variance))."""

    mean: Float[Tensor, "*batch latent"]
    log_variance: Float[Tensor, "*batch latent"]

    def sample(self, samples: int, generator: torch.Generator) -> Float[Tensor, "samples *batch latent"]:
        """Reparameterised draws z = mean + sigma * noise, through which gradients flow (section 2.4)."""
        shape = (samples, *self.mean.shape)
        noise = torch.randn(shape, generator=generator, device=self.mean.device)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_prob(self, z: Float[Tensor, "*any latent"]) -> Float[Tensor, "*any"]:
        """log q(z | x)."""
        return log_normal(z, self.mean, self.log_variance)


class VAE(nn.Module):
    """p(z) = N(0, I), p(x | z) by `likelihood` around a decoder, q(z | x) Gaussian by an encoder.

    `architecture` is a key of `vaelib.networks.ARCHITECTURES`, `likelihood` one of
    `vaelib.likelihoods.LIKELIHOODS`.
    """

    def __init__(self, architecture: str = "resmlp", latent_dim: int = 2, likelihood: str = "bernoulli"):
        super().__init__()
        self.built_as = {"architecture": architecture, "latent_dim": str(latent_dim), "likelihood": likelihood}
        self.latent_dim = latent_dim
        self.likelihood = LIKELIHOODS[likelihood]
        networks = ARCHITECTURES[architecture]
        self.encoder = networks.encoder(2 * latent_dim)
        self.decoder = networks.decoder(latent_dim, self.likelihood.channels)

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Posterior:
        """q(z | x) for each image; float32 whatever the networks run in."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=-1)
        return Posterior(mean, log_variance)

    def decode(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch outputs"]:
        """Decoder outputs for each latent: what `self.likelihood` turns into a distribution over images."""
        outputs = self.decoder(z.reshape(-1, self.latent_dim)).float()
        return outputs.reshape(*z.shape[:-1], outputs.shape[-1])

    def images(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch pixels"]:
        """E[x | z], the decoder's mean images."""
        return self.likelihood.mean(self.decode(z))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


def count_parameters(model: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save(model: VAE, path: Path) -> None:
    """Write the weights as safetensors, with what is needed to build the model again."""
    with atomic(path) as temporary:
        save_file(model.state_dict(), temporary, model.built_as)


def load(path: Path, device: torch.device) -> VAE:
    """The model that `save` wrote, ready for evaluation.

    Raises `RunError` when the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as saved:
            built_as = saved.metadata()
            weights = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a dict)
        model = VAE(built_as["architecture"], int(built_as["latent_dim"]), built_as["likelihood"])
        model.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"no model could be read from {path} ({error}). Run its notebook again.") from None
    return model.to(device).eval()
