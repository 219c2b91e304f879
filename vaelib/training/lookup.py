"""The loss of a decoder trained by the ELBO, with q(z | x) looked up instead of encoded: no encoder takes part.

Training is then generalised EM (Neal & Hinton 1998): q is the Gaussian that a table of the decoder's own latents finds
for an image, and is held fixed while the decoder takes a step. It is the same bound as with an encoder, so that what
remains between the two trainings is the price of the encoder.
"""

from dataclasses import dataclass

import torch

from vaelib import data
from vaelib.training.loss import Loss
from vaelib.training.objectives import kl_divergence
from vaelib.training.table import decoded, places, stratified_normal


@dataclass(eq=False)
class LookupLoss(Loss):
    """Minus the ELBO of `samples` draws from the q of a table with `side`^2 latents, for a latent of two dimensions."""

    protocol: str = "A"
    samples: int = 1
    side: int = 96  # finer than for log p(x), which needs an image's mass, and not its shape: 2 nats better than 64

    def prepare(self, rng):
        """Decode the latents anew."""
        self.table = decoded(self.model, stratified_normal(self.side, self.model.latent_dim, None, rng.device))

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """-ELBO of the q that is looked up, and its parts."""
        x = data.training_pixels(batch.images, self.protocol, rng)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):  # a parabola needs its values' digits
            q = places(self.table, self.model.likelihood.statistics(x), most=1).q
            z = q.sample(self.samples, rng)
        reconstruction = self.model.likelihood.log_prob(x, self.model.decode(z)).mean(0)
        kl = kl_divergence(q)
        elbo = reconstruction - kl
        return {"loss": -elbo, "elbo": elbo.detach(), "reconstruction": reconstruction.detach(), "kl": kl}
