"""Where the ELBO's nats go: log p(x) - ELBO = approximation gap + amortisation gap (Cremer et al. 2018).

The approximation gap remains with the best diagonal Gaussian for the image; the amortisation gap is what the
encoder's Gaussian loses against that one.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.exact.inference import gaussian_elbo, lookup
from vaelib.models.vae import VAE, Posterior
from vaelib.training.fitting import Fit, climb, expand

STEPS = 12  # of each fit: the last few move no ELBO by a thousandth
SIDE = 256  # of the table: with 128 a few images in a thousand are fitted at a wrong place


class Gaps(NamedTuple):
    """Per-image values in nats, with the Gaussian that the approximation gap belongs to."""

    log_px: Float[Tensor, " images"]
    elbo: Float[Tensor, " images"]
    best_elbo: Float[Tensor, " images"]
    best: Posterior

    @property
    def approximation(self) -> Float[Tensor, " images"]:
        """KL(q* || p(z | x)): no diagonal Gaussian does better."""
        return self.log_px - self.best_elbo

    @property
    def amortisation(self) -> Float[Tensor, " images"]:
        """What the encoder loses against fitting image by image."""
        return self.best_elbo - self.elbo


@torch.no_grad()
def split_gap(model: VAE, x: Float[Tensor, "images pixels"], log_px: Float[Tensor, " images"]) -> Gaps:
    """Both gaps of every image, whose exact log p(x) is given.

    The best Gaussian is looked for from the encoder's q and from a table, which knows nothing of it; each image keeps
    the better of the two fits and of q itself.
    """
    q = model.posterior(x)
    fits = climb(model, x, Fit(q, expand(model, x, q)), STEPS).q, lookup(model, x, SIDE, STEPS)
    best, best_elbo = q, elbo = q, gaussian_elbo(model, x, q)
    for fit in fits:
        value = gaussian_elbo(model, x, fit)
        better = value > best_elbo
        best = Posterior(*(torch.where(better[:, None], new, old) for new, old in zip(fit, best, strict=True)))
        best_elbo = torch.where(better, value, best_elbo)
    return Gaps(log_px, elbo, best_elbo, best)
