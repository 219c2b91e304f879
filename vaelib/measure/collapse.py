"""Whether a VAE has collapsed: the encoder says the prior of every image, or the decoder makes one image of all z."""

import torch

from vaelib.models.vae import VAE
from vaelib.progress import say

LEAST_KL = 0.1  # nats: an encoder that tells two halves of the images apart says log 2 of each
LEAST_SPREAD = 0.05  # of the range of grey values; of a decoder that uses its latent some pixels are black and white
SAMPLES = 500


@torch.no_grad()
def sample_spread(model: VAE) -> float:
    """The largest standard deviation of a pixel among mean images of prior samples, in shares of the grey values."""
    z = torch.randn(SAMPLES, model.latent_dim, generator=torch.Generator().manual_seed(0)).to(model.device)
    return model.images(z).std(0).amax().item()


def verdict(kl: float, spread: float) -> str:
    """A line for a model that has collapsed, by its mean KL in nats and its `sample_spread`; else nothing."""
    if kl >= LEAST_KL and spread >= LEAST_SPREAD:
        return ""
    if spread < LEAST_SPREAD:
        found = f"all samples are alike (no pixel varies by more than {spread:.0%} of its range)"
    else:
        found = "the encoder says of no image where it lies"
    return (
        f"collapsed: the KL is {kl:.3f} nats, and {found}. The model has learnt nothing but an average; try another "
        "learning_rate, more epochs, or kl_warmup_epochs"
    )


def tell(kl: float, spread: float) -> None:
    """Print that line, if there is one."""
    if line := verdict(kl, spread):
        say(line)
