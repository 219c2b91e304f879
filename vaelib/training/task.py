"""A classifier in the loss of a VAE: what it makes must show a class, and the one that it was asked for."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.training.loss import Loss
from vaelib.training.objectives import kl_divergence


@dataclass(eq=False)
class TaskLoss(Loss):
    """Minus the ELBO, plus `weight` times what the critic has against reconstructions and prior samples.

    Against a reconstruction that is its cross-entropy with the image's label, and against a sample of a conditional
    VAE that with the label asked for. A VAE without labels was asked for none: there it is the entropy of the critic's
    answer, which is low where a sample clearly shows some digit, as in semi-supervised learning (Grandvalet & Bengio
    2004). Pixels are grey (protocol B), as the critic knows them. It is a classifier trained beforehand; from here on
    its weights are frozen, since otherwise generator and critic could agree on a private code instead of on digits.
    Gradients pass through it to the decoder, and by way of the reconstructions to the encoder.
    """

    critic: Classifier
    weight: float
    beta: float = 1.0

    def __post_init__(self):
        self.critic.eval().requires_grad_(False)

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """beta KL - log p(x | z, y) + weight (-log c(y | reconstruction) - log c(y | sample)), and its parts.

        Without labels H(c(. | sample)) = -sum_y c(y | sample) log c(y | sample) stands for the last term.
        """
        x = data.grey(batch.images)
        given = self.model.given(batch.labels)
        posterior = given.posterior(x)
        z = posterior.sample(1, rng)[0]
        prior = torch.randn(z.shape, generator=rng, device=z.device)
        outputs = given.decode(torch.stack([z, prior]))
        reconstruction, kl = self.model.likelihood.log_prob(x, outputs[0]), kl_divergence(posterior)
        log_c = self.critic(self.model.likelihood.mean(outputs).flatten(0, 1)).log_softmax(-1).unflatten(0, (2, -1))
        seen = F.nll_loss(log_c[0], batch.labels, reduction="none")
        if self.model.classes:
            sampled = F.nll_loss(log_c[1], batch.labels, reduction="none")
        else:
            sampled = -(log_c[1].exp() * log_c[1]).sum(-1)
        return {
            "loss": self.beta * kl - reconstruction + self.weight * (seen + sampled),
            "elbo": reconstruction - kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "task": seen + sampled,
            "task_prior": sampled,
        }
