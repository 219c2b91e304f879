"""Where the ELBO's nats go: log p(x) - ELBO = approximation gap + amortisation gap (Cremer et al. 2018).

The approximation gap remains with the best diagonal Gaussian for the image; the amortisation gap is what the
encoder's Gaussian loses against that one.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.exact.inference import gaussian_elbo, lookup
from vaelib.exact.result import Exact
from vaelib.models.vae import VAE, Posterior
from vaelib.training.fitting import Fit, climb, expand

STEPS = 12  # of each fit: the last few move no ELBO by a thousandth
SIDE = 256  # of the table: with 128 a few more images in a thousand are fitted at a wrong place
SQUARE = 0.25  # side of the squares of which one holds most of an image's posterior: several widths of most


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
def split_gap(model: VAE, x: Float[Tensor, "images pixels"], exact: Exact) -> Gaps:
    """Both gaps of every image, whose exact log p(x) is given with its nodes.

    The best Gaussian is looked for from the encoder's q, in a table of decoded latents, and from where the exact
    posterior has most of its mass; each image keeps the best of the three fits and of q itself.
    """
    q = model.posterior(x)
    best, best_elbo = q, elbo = q, gaussian_elbo(model, x, q)
    starts = q, heaviest_square(exact, q)
    fits = [climb(model, x, Fit(start, expand(model, x, start)), STEPS).q for start in starts]
    for fit in (*fits, lookup(model, x, SIDE, STEPS)):
        value = gaussian_elbo(model, x, fit)
        better = value > best_elbo
        best = Posterior(*(torch.where(better[:, None], new, old) for new, old in zip(fit, best, strict=True)))
        best_elbo = torch.where(better, value, best_elbo)
    return Gaps(exact.log_px, elbo, best_elbo, best)


def heaviest_square(exact: Exact, otherwise: Posterior) -> Posterior:
    """Mean and variance of each image's exact posterior within that square of the plane which holds most of it.

    Where a posterior lies in several spots, that is the heaviest of them, not the one of highest density. An image of
    which no node was kept, since its posterior is narrower than the finest step, gets what it is `otherwise`. Raises
    `ValueError` where there are no nodes at all.
    """
    image, z, log_joint, log_area = exact.nodes
    if len(image) == 0:
        raise ValueError("the exact posteriors are needed: compute log p(x) with keep_nodes")
    mass = (log_joint + log_area - exact.log_px[image]).exp()
    of_square = torch.cat([image[:, None], (z / SQUARE).floor().long()], dim=1)
    squares, square = of_square.unique(dim=0, return_inverse=True)
    total = mass.new_zeros(len(squares)).index_add(0, square, mass)
    most = torch.zeros_like(exact.log_px).scatter_reduce(0, squares[:, 0], total, "amax")
    weight = torch.where(total[square] == most[image], mass / most[image], 0.0)[:, None]

    def mean(values: Float[Tensor, "nodes 2"]) -> Float[Tensor, "images 2"]:
        return values.new_zeros(len(most), 2).index_add(0, image, weight * values)

    centre = mean(z)
    variance = mean((z - centre[image]).square() + log_area.exp()[:, None] / 12)  # a node stands for a whole cell
    found = (most > 0)[:, None]
    return Posterior(centre.where(found, otherwise.mean), variance.log().where(found, otherwise.log_variance))
