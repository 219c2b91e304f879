"""The variational autoencoder of Kingma & Welling (2014): prior, approximate posterior, pixel likelihood."""

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vaelib.models.likelihoods import LIKELIHOODS
from vaelib.models.networks import ARCHITECTURES


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

    def sample(self, samples: int, rng: torch.Generator) -> Float[Tensor, "samples *batch latent"]:
        """Reparameterised draws z = mean + sigma * noise, through which gradients flow (section 2.4)."""
        shape = (samples, *self.mean.shape)
        noise = torch.randn(shape, generator=rng, device=self.mean.device)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_prob(self, z: Float[Tensor, "*any latent"]) -> Float[Tensor, "*any"]:
        """log q(z | x)."""
        return log_normal(z, self.mean, self.log_variance)


class VAE(nn.Module):
    """p(z) = N(0, I), p(x | z) by `likelihood` around a decoder, q(z | x) Gaussian by an encoder.

    `architecture` is a key of `vaelib.models.networks.ARCHITECTURES`, `likelihood` one of
    `vaelib.models.likelihoods.LIKELIHOODS`.

    With `classes` it is conditional, p(x | z, y) and q(z | x, y) (Sohn et al. 2015): `given(labels)` is then the VAE
    of these labels, which everything that takes a VAE can take. The decoder receives the label beside z; the encoder
    has outputs for every class, of which the label chooses its own.
    """

    def __init__(
        self, architecture: str = "resmlp", latent_dim: int = 2, likelihood: str = "bernoulli", classes: int = 0
    ):
        super().__init__()
        self.built_as = {"architecture": architecture, "latent_dim": latent_dim, "likelihood": likelihood}
        self.built_as |= {"classes": classes}
        self.latent_dim, self.classes = latent_dim, classes
        self.labels: Int64[Tensor, "*batch"] | None = None
        self.likelihood = LIKELIHOODS[likelihood]
        networks = ARCHITECTURES[architecture]
        self.encoder = networks.encoder(2 * latent_dim * max(1, classes))
        self.decoder = networks.decoder(latent_dim + classes, self.likelihood.channels)

    def given(self, labels: Int64[Tensor, "*batch"]) -> "VAE":
        """This model, sharing its weights, with the labels fixed: one for all, or one for each row of x or z.

        What takes images block by block, or decodes latents of its own, needs one for all: log p(x | y) of images with
        a label each is `vaelib.exact.quadrature.conditional_log_likelihood`. A model without classes is returned as it
        is.
        """
        if not self.classes:
            return self
        conditioned = copy.copy(self)
        conditioned.labels = labels
        return conditioned

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Posterior:
        """q(z | x) for each image; float32 whatever the networks run in."""
        outputs = self.encoder(x).float()
        if self.classes:
            rows = torch.arange(len(x), device=x.device)
            outputs = outputs.unflatten(1, (self.classes, -1))[rows, self._labels(x.shape[:1])]
        mean, log_variance = outputs.chunk(2, dim=-1)
        return Posterior(mean, log_variance)

    def decode(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch outputs"]:
        """Decoder outputs for each latent: what `self.likelihood` turns into a distribution over images."""
        batch = z.shape[:-1]
        if self.classes:
            z = torch.cat([z, F.one_hot(self._labels(batch), self.classes).to(z.dtype)], dim=-1)
        outputs = self.decoder(z.reshape(-1, z.shape[-1])).float()
        return outputs.reshape(*batch, outputs.shape[-1])

    def _labels(self, batch: torch.Size) -> Int64[Tensor, "*batch"]:
        if self.labels is None:
            raise ValueError("a conditional VAE needs labels: use model.given(labels)")
        return self.labels.expand(batch)

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
