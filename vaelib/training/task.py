"""A classifier in the loss of a conditional VAE: what it makes must show the class it was asked for."""

import torch
import torch.nn.functional as F

from vaelib import data
from vaelib.classifier import Classifier
from vaelib.objectives import kl_divergence
from vaelib.training import Loss
from vaelib.vae import VAE


def task_loss(model: VAE, critic: Classifier, weight: float, beta: float = 1.0) -> Loss:
    """Minus the ELBO, plus `weight` times the critic's cross-entropy on reconstructions and on prior samples.

    Pixels are grey (protocol B), as the critic knows them. It is a classifier trained
    beforehand; from here on its weights are frozen, since otherwise generator and critic could agree on a private code
    instead of on digits. Gradients pass through it to the decoder, and by way of the reconstructions to the encoder.
    """
    critic.eval().requires_grad_(False)

    def loss(batch: data.Images, generator: torch.Generator, epochs_done: float):
        x = data.grey(batch.images)
        given = model.given(batch.labels)
        posterior = given.posterior(x)
        z = posterior.sample(1, generator)[0]
        prior = torch.randn(z.shape, generator=generator, device=z.device)
        outputs = given.decode(torch.stack([z, prior]))
        reconstruction, kl = model.likelihood.log_prob(x, outputs[0]), kl_divergence(posterior)
        logits = critic(model.likelihood.mean(outputs).flatten(0, 1))
        costs = F.cross_entropy(logits, batch.labels.repeat(2), reduction="none").unflatten(0, (2, -1))
        return {
            "loss": beta * kl - reconstruction + weight * costs.sum(0),
            "elbo": reconstruction - kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "task": costs.sum(0),
            "task_prior": costs[1],
        }

    return loss
