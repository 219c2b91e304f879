"""The loss of a VAE by its bounds, and the phases of its training."""

from collections.abc import Iterator
from dataclasses import dataclass

from vaelib import data
from vaelib.models.vae import VAE
from vaelib.training.lookup import LookupLoss
from vaelib.training.loss import Loss, Phase
from vaelib.training.marginal import MarginalLoss
from vaelib.training.objectives import OBJECTIVES


@dataclass(eq=False)
class VAELoss(Loss):
    """Minus an objective, on pixels sampled afresh (protocol A) or grey (B and C).

    A conditional VAE is given the labels of its images. `samples` is what the objective takes. `beta` is the weight of
    the KL after its warm-up (Higgins et al. 2017); anything but 1 is no bound on log p(x).
    """

    objective: str = "elbo"
    protocol: str = "A"
    samples: int = 1
    kl_warmup_epochs: float = 0.0
    beta: float = 1.0

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """Minus the objective at the KL weight of the moment, and the ELBO with its parts at full weight."""
        x = data.training_pixels(batch.images, self.protocol, rng)
        warming = training and epochs_done < self.kl_warmup_epochs
        kl_weight = self.beta * (epochs_done / self.kl_warmup_epochs if warming else 1.0)
        model = self.model.given(batch.labels)
        terms = OBJECTIVES[self.objective](model, x, rng, samples=self.samples, kl_weight=kl_weight)
        return {
            "loss": -terms.objective,
            "elbo": terms.elbo,
            "reconstruction": terms.reconstruction,
            "kl": terms.kl,
        }


def loss_of(
    model: VAE, objective: str, protocol: str = "A", samples: int = 1, kl_warmup_epochs: float = 0.0
) -> VAELoss | LookupLoss | MarginalLoss:
    """The loss by its name: elbo, iwae, lookup or marginal, for which `samples` are those along each axis."""
    if objective == "marginal":
        return MarginalLoss(model, protocol, samples)
    if objective == "lookup":
        return LookupLoss(model, protocol, samples)
    return VAELoss(model, objective, protocol, samples, kl_warmup_epochs)


def phases(loss: VAELoss | LookupLoss | MarginalLoss, epochs: int, encoder_epochs: int) -> Iterator[Phase]:
    """The training by `loss`, and then that of the encoder alone, for the decoder as it then is.

    The encoder first learns from *dreams*, images that the decoder makes of known latents (Hinton et al. 1995), and
    then by the ELBO of the real images. Each phase finds the model with those parameters trainable that it trains;
    after the last all of them are again.
    """
    model: VAE = loss.model
    model.requires_grad_(True)  # an interrupted training may have left the decoder fixed
    yield Phase("training", loss, epochs)
    if encoder_epochs:
        model.decoder.requires_grad_(False)
        yield Phase("dreams", VAELoss(model, "sleep", loss.protocol), encoder_epochs)
        yield Phase("encoder", VAELoss(model, "elbo", loss.protocol), encoder_epochs)
        model.decoder.requires_grad_(True)
