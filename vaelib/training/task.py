"""A classifier in the loss of a conditional VAE: what it makes must show the class it was asked for."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.training.loss import Loss
from vaelib.training.objectives import kl_divergence


@dataclass(eq=False)
class TaskLoss(Loss):
    """Minus the ELBO, plus `weight` times the critic's cross-entropy on reconstructions and on prior samples.

    Pixels are grey (protocol B), as the critic knows them. It is a classifier trained beforehand; from here on its
    weights are frozen, since otherwise generator and critic could agree on a private code instead of on digits.
    Gradients pass through it to the decoder, and by way of the reconstructions to the encoder.
    """

    critic: Classifier
    weight: float
    beta: float = 1.0

    def __post_init__(self):
        self.critic.eval().requires_grad_(False)

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """beta KL - log p(x | z, y) + weight (-log c(y | reconstruction) - log c(y | sample)), and its parts."""
        x = data.grey(batch.images)
        given = self.model.given(batch.labels)
        posterior = given.posterior(x)
        z = posterior.sample(1, rng)[0]
        prior = torch.randn(z.shape, generator=rng, device=z.device)
        outputs = given.decode(torch.stack([z, prior]))
        reconstruction, kl = self.model.likelihood.log_prob(x, outputs[0]), kl_divergence(posterior)
        logits = self.critic(self.model.likelihood.mean(outputs).flatten(0, 1))
        costs = F.cross_entropy(logits, batch.labels.repeat(2), reduction="none").unflatten(0, (2, -1))
        return {
            "loss": self.beta * kl - reconstruction + self.weight * costs.sum(0),
            "elbo": reconstruction - kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "task": costs.sum(0),
            "task_prior": costs[1],
        }
