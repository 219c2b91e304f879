"""Pythae's own trainer, in a process of its own: an architecture's name a line in, images a second of an epoch out.

It trains its VAE through its `TrainingPipeline`, as its README shows, on float tensors in memory and with networks of
the same architecture. Switched off are the progress bar and the log; there are no evaluation images and no checkpoints.
An epoch's time has no part of its checks of data and model, nor of saving the model.

    TQDM_DISABLE=1 PYTHONPATH=.bench python benchmarks/pythae_worker.py IMAGES
"""

import logging
import sys
import tempfile
import time

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn
from usual import BATCH, LATENT, LEARNING_RATE

from vaelib import data
from vaelib.models.networks import ARCHITECTURES


class Encoder(BaseEncoder):
    """Any network as Pythae's encoder."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> ModelOutput:
        """[batch, 784] -> mean and log-variance of q(z | x)."""
        mean, log_variance = self.network(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """Any network as Pythae's decoder, which takes the sigmoid itself."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> ModelOutput:
        """[batch, latent] -> [batch, 784] in [0, 1]."""
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


class Clock(TrainingCallback):
    """The seconds of the last epoch."""

    def on_epoch_begin(self, training_config: BaseTrainerConfig, **kwargs):
        """Before the first batch."""
        self.started = time.perf_counter()

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs):
        """After the last batch, and a copy of the best model."""
        self.seconds = time.perf_counter() - self.started


def epoch(architecture: str, pixels: Tensor, folder: str) -> float:
    """Images a second of an epoch of `TrainingPipeline`."""
    networks, clock = ARCHITECTURES[architecture], Clock()
    config = VAEConfig(input_dim=(data.PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(config, Encoder(networks.encoder(2 * LATENT)), Decoder(networks.decoder(LATENT, 1)))
    training = BaseTrainerConfig(
        output_dir=folder, num_epochs=1, per_device_train_batch_size=BATCH, learning_rate=LEARNING_RATE, no_cuda=True
    )
    TrainingPipeline(model, training)(pixels, callbacks=[clock])
    return len(pixels) / clock.seconds


def main() -> None:
    """Answer line by line."""
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    pixels = data.grey(data.load().images[: int(sys.argv[1])])
    print("ready", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(epoch(line.strip(), pixels, folder), flush=True)


if __name__ == "__main__":
    main()
