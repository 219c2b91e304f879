"""The training loops that people write, for the networks of any architecture of vaelib, on one thread.

Model, loss and loop follow the VAE among PyTorch's own examples: cross-entropy of sigmoids, Adam as it comes.
"""

import gzip
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from vaelib import data
from vaelib.files import PROJECT_ROOT
from vaelib.models.networks import ARCHITECTURES

LATENT, BATCH, LEARNING_RATE = 2, 250, 1e-3  # of every contestant


class UsualVAE(nn.Module):
    """Encoder, a draw of z, decoder, sigmoid."""

    def __init__(self, architecture: str):
        super().__init__()
        self.encoder = ARCHITECTURES[architecture].encoder(2 * LATENT)
        self.decoder = ARCHITECTURES[architecture].decoder(LATENT, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, 784] -> reconstruction, and mean and log-variance of q(z | x)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return torch.sigmoid(self.decoder(z)), mean, log_variance


def loss_function(model: UsualVAE, x: Tensor) -> Tensor:
    """Minus the ELBO of a batch, in nats an image."""
    reconstruction, mean, log_variance = model(x)
    cross_entropy = F.binary_cross_entropy(reconstruction, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return (cross_entropy + kl) / len(x)


def preloaded(architecture: str, images: data.Images) -> float:
    """Images a second of an epoch on float tensors in memory, in batches of shuffled indices."""
    pixels = data.grey(images.images)
    order = torch.randperm(len(pixels)).split(BATCH)
    return _epoch(architecture, (pixels[index] for index in order), len(pixels))


def data_loader(architecture: str, images: data.Images, workers: int) -> float:
    """Images a second of an epoch on as many from `torchvision.datasets.MNIST` through a `DataLoader`.

    It starts its workers, where it has any, before the time is taken.
    """
    with tempfile.TemporaryDirectory() as folder:  # torchvision reads unpacked files alone, or fetches them
        raw = Path(folder, "MNIST", "raw")
        raw.mkdir(parents=True)
        for packed in (PROJECT_ROOT / "data" / "MNIST" / "raw").glob("*.gz"):
            (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
        mnist = Subset(MNIST(folder, transform=ToTensor()), range(len(images.labels)))
    batches = iter(DataLoader(mnist, BATCH, shuffle=True, num_workers=workers))
    return _epoch(architecture, (x.flatten(1) for x, _ in batches), len(mnist))


def _epoch(architecture: str, batches: Iterable[Tensor], count: int) -> float:
    torch.manual_seed(0)
    model = UsualVAE(architecture)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    total = 0.0
    started = time.perf_counter()
    for x in batches:
        optimiser.zero_grad()
        loss = loss_function(model, x)
        loss.backward()
        total += loss.item()
        optimiser.step()
    return count / (time.perf_counter() - started)
