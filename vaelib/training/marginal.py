"""The loss of a decoder trained on log p(x) itself, for few latent dimensions: no encoder takes part.

p(x) is the mean of p(x | z) over draws of the prior, thousands of them, since posteriors are narrow. They are
stratified, and all images share them, so that they are decoded once. The posterior of an image on them is a softmax.
Given it, the gradient needs one draw of it an image, not all of them (Fisher's identity):

    grad log p(x) = E[grad log p(x | z)],  z ~ p(z | x).

The draws and the posteriors on them may even be a few steps old: the gradient is then that of a bound that touches
log p(x) where they were made, as in generalised EM (Neal & Hinton 1998). So the draws are decoded anew, without
gradient, every few steps alone.
"""

import math
from dataclasses import dataclass

import torch

from vaelib import data
from vaelib.training.loss import Loss
from vaelib.training.objectives import draw, log_sum_exp
from vaelib.training.table import POINTS, decoded, stratified_normal


@dataclass(eq=False)
class MarginalLoss(Loss):
    """Minus the logarithm of the mean of p(x | z) over `side`^d stratified draws of the prior.

    The mean is unbiased for p(x), its logarithm low by what the posterior's width leaves unresolved.
    """

    protocol: str = "A"
    side: int = POINTS

    def prepare(self, rng):
        """Draw the latents anew and decode them."""
        self.table = decoded(self.model, stratified_normal(self.side, self.model.latent_dim, rng, rng.device))

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """-log p(x), and the ELBO of the exact posterior, which is log p(x), with its parts.

        With f for the decoder of `prepare` and g for that of now, log p_g(x) >= log p_f(x) + E[log p_g(x | z) -
        log p_f(x | z)] over z ~ p_f(z | x). Where they are the same, as in an evaluation, z does not matter.
        """
        x = data.training_pixels(batch.images, self.protocol, rng)
        with torch.no_grad():
            then = self.table.log_likelihood(self.model.likelihood.statistics(x))  # log p_f(x | z) for all z
            log_px = log_sum_exp(then) - math.log(len(self.table.z))
            drawn = draw(then.softmax(-1), rng)  # of p_f(z | x)
        now = self.model.likelihood.log_prob(x, self.model.decode(self.table.z[drawn]))
        log_px = log_px + now - then.gather(1, drawn[:, None])[:, 0]
        reconstruction, elbo = now.detach(), log_px.detach()
        return {"loss": -log_px, "elbo": elbo, "reconstruction": reconstruction, "kl": reconstruction - elbo}
