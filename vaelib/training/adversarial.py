"""The loss of a VAE-GAN (Larsen et al. 2016): a discriminator as critic of the decoder and as measure of similarity.

The pixel likelihood is replaced by a Gaussian around a hidden layer D_l of the discriminator, p(D_l(x) | z) =
N(D_l(x); D_l(decoded), s^2 I). What distinguishes the method is which loss reaches which network (algorithm 1):

    encoder          KL + feature likelihood
    decoder          gamma * feature likelihood, and to be taken for real
    discriminator    to tell real images from decoded ones, and nothing else

Here that is one sum for one optimiser: each part sees the networks it must not train with their weights detached.
There is no likelihood of pixels, so no ELBO and no log p(x).

With two latent dimensions the decoder cannot make all of the data, and a discriminator that is free to do so tells the
difference too well, until its gradients are of no use. Two measures keep it in bounds: its slope at real images is
penalised (Mescheder et al. 2018), and D_l is normalised image by image, so that features can neither shrink nor grow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaelib import data
from vaelib.models.vaegan import VAEGAN
from vaelib.training.loss import Loss
from vaelib.training.objectives import kl_divergence

SLOPE_PENALTY = 5.0  # the weight of R1, half the squared gradient of the discriminator's logit at real images
BETAS = (0.5, 0.99)  # of Adam: less momentum, since what the networks play against changes under way
FEATURE_VARIANCE = 10.0  # of the Gaussian around D_l: 1,568 normalised features would otherwise drown the KL


class Parts(NamedTuple):
    """What each network minimises, image by image."""

    kl: Float[Tensor, " batch"]
    feature_for_encoder: Float[Tensor, " batch"]
    feature_for_decoder: Float[Tensor, " batch"]
    mislead: Float[Tensor, " batch"]
    tell_apart: Float[Tensor, " batch"]
    slope: Float[Tensor, " batch"]


def parts(model: VAEGAN, x: Float[Tensor, "batch 784"], rng: torch.Generator) -> Parts:
    """The losses, each with gradients for the one network that it trains; gradients must be enabled."""
    fixed_decoder, fixed_discriminator = _detached(model.vae.decoder), _detached(model.discriminator)
    posterior = model.vae.posterior(x)
    z = posterior.sample(1, rng)[0]
    prior = torch.randn(z.shape, generator=rng, device=z.device)
    x = x.detach().requires_grad_()
    real_features, of_real = model.discriminator(x)
    (gradient,) = torch.autograd.grad(of_real.sum(), x, create_graph=True)

    def similarity(features: Tensor) -> Tensor:
        """-log N(D_l(x); features, FEATURE_VARIANCE I) up to a constant."""
        return 0.5 * ((features - real_features.detach()) ** 2).sum(-1) / FEATURE_VARIANCE

    features, _ = fixed_discriminator(fixed_decoder(z).float().sigmoid())
    decoded = model.vae.decoder(torch.cat([z.detach(), prior])).float().sigmoid()
    features_of_decoded, logits = fixed_discriminator(decoded)
    _, of_decoded = model.discriminator(decoded.detach())
    return Parts(
        kl=kl_divergence(posterior),
        feature_for_encoder=similarity(features),
        feature_for_decoder=similarity(features_of_decoded[: len(x)]),
        mislead=F.softplus(-logits).unflatten(0, (2, -1)).sum(0),  # -log D of reconstruction and of prior sample
        tell_apart=F.softplus(-of_real) + F.softplus(of_decoded).unflatten(0, (2, -1)).sum(0),
        slope=SLOPE_PENALTY / 2 * (gradient**2).sum(-1),
    )


@dataclass(eq=False)
class VAEGANLoss(Loss):
    """The sum of all parts on grey images; `gamma` weighs fidelity to the image against plausibility in the decoder."""

    gamma: float = 1.0

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """The sum, and the parts that show who is winning."""
        terms = parts(self.model, data.grey(batch.images), rng)
        total = terms.kl + terms.feature_for_encoder + self.gamma * terms.feature_for_decoder
        return {
            "loss": total + terms.mislead + terms.tell_apart + terms.slope,
            "kl": terms.kl,
            "feature": terms.feature_for_decoder,
            "mislead": terms.mislead,
            "tell_apart": terms.tell_apart,
            "slope": terms.slope,
        }

    def networks(self):
        """Each on its own: a steep discriminator must not shorten the steps of encoder and decoder."""
        return [self.model.vae.encoder, self.model.vae.decoder, self.model.discriminator]


def _detached(network: nn.Module) -> Callable:
    """The network with weights that receive no gradient; its inputs still do."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return lambda x: torch.func.functional_call(network, fixed, (x,))
