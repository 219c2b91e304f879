"""VAE-GAN (Larsen et al. 2016): a VAE with grey images as its decoder's means, and a discriminator behind it.

Its hidden layer D_l takes the place of pixels where images are compared; `vaelib.training.adversarial` says how.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib import data
from vaelib.models.networks import Maps
from vaelib.models.vae import VAE


class Discriminator(nn.Module):
    """Two strided 4 x 4 convolutions (16, 32 maps), whose normalised output is D_l, and a hidden layer of 128."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(
            Maps(1, data.SIDE),
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.LayerNorm(32 * 7 * 7, elementwise_affine=False),
        )
        self.head = nn.Sequential(nn.Linear(32 * 7 * 7, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "batch 784"]) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        """D_l(x) and the logit of x being real; float32 whatever the network runs in."""
        features = self.layer(x)
        return features.float(), self.head(features)[:, 0].float()


class VAEGAN(nn.Module):
    """A VAE with grey images as its decoder's means, and a discriminator behind it."""

    def __init__(self, architecture: str = "conv", latent_dim: int = 2):
        super().__init__()
        self.built_as = {"architecture": architecture, "latent_dim": latent_dim}
        self.vae = VAE(architecture, latent_dim)
        self.discriminator = Discriminator()
