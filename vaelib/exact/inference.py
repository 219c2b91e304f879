"""q(z | x) without an encoder's mistakes: looked up among decoded latents, or the best of the encoder's nine answers.

What an encoder has to guess can also be searched for: an image is compared with the decoder's images of a table of
latents, and Gaussians are fitted where they agree. That needs a latent of two dimensions. Nats per image.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vaelib import data, device
from vaelib.models.vae import VAE, Posterior
from vaelib.progress import told
from vaelib.training.fitting import Expansion, Fit, climb, expand, nodes
from vaelib.training.objectives import kl_divergence
from vaelib.training.table import decoded, places, stratified_normal

SIDE = 128  # cells a side of the table: with 64, some images in a hundred are fitted at a wrong place
PLACES = 4  # at most, where an image is fitted;
PLACE_STEPS, STEPS = 1, 2  # steps at each of them, and then at the best


@torch.no_grad()
def gaussian_elbo(
    model: VAE, x: Float[Tensor, "images pixels"], posterior: Posterior, order: int = 4
) -> Float[Tensor, " images"]:
    """E_q[log p(x | z)] - KL(q || p) for any diagonal Gaussian q, by Gauss-Hermite quadrature in two dimensions.

    No random draw is involved; `order` nodes a side integrate polynomials of degree 2 order - 1 exactly. Raises
    `ValueError` unless the latent has two dimensions.
    """
    if model.latent_dim != 2:
        raise ValueError(f"the ELBO on nodes needs latent_dim 2, not {model.latent_dim}: take its mean over draws")
    noise, weight = nodes(order, x)
    reconstruction = torch.empty(len(x), device=x.device)
    together = device.rows_at_once(x.device, 4 * x.shape[1] * len(noise))
    for rows in told(torch.arange(len(x), device=x.device).split(together), "ELBO"):
        z = posterior.mean[rows] + noise[:, None] * torch.exp(0.5 * posterior.log_variance[rows])
        reconstruction[rows] = weight @ model.likelihood.log_prob(x[rows], model.decode(z))
    return reconstruction - kl_divergence(posterior)


def lookup(model: VAE, x: Float[Tensor, "images pixels"], side: int = SIDE, steps: int = STEPS) -> Posterior:
    """A diagonal Gaussian for each image without an encoder, close to the one of highest ELBO.

    Up to four places are taken from a table of `side`^2 latents of equal prior probability. Each is improved by a
    natural-gradient step through the decoder, and the best place by `steps` more. Recompute the ELBO by
    `gaussian_elbo`, on other nodes, or by draws. Raises `ValueError` unless the latent has two dimensions.
    """
    if model.latent_dim != 2:
        raise ValueError(f"a table needs latent_dim 2, not {model.latent_dim}")
    table = decoded(model, stratified_normal(side, 2, None, x.device))
    found = places(table, model.likelihood.statistics(x), PLACES)
    images = x[found.image]
    fits = climb(model, images, Fit(found.q, expand(model, images, found.q)), PLACE_STEPS)
    return climb(model, x, _best(fits, found.image, len(x)), steps).q


def _best(fits: Fit, image: Tensor, images: int) -> Fit:
    """The fit of highest ELBO of each image."""
    elbo = fits.seen.elbo
    top = elbo.new_full((images,), -torch.inf).scatter_reduce(0, image, elbo, "amax")
    peak = (elbo == top[image]).nonzero()[:, 0]
    first = peak.new_zeros(images).scatter_reduce(0, image[peak], peak, "amin", include_self=False)
    return Fit(Posterior(*(t[first] for t in fits.q)), Expansion(*(t[first] for t in fits.seen)))


@torch.no_grad()
def best_of_nine(model: VAE, x: Float[Tensor, "images pixels"]) -> Posterior:
    """Of the encoder's answers to an image and to its eight shifts by a pixel, the one of highest ELBO for the image.

    The choice is made on four nodes an answer. An encoder that points to the wrong place for an image often points to
    the right one for nearly the same image.
    """
    framed = F.pad(x.unflatten(1, (data.SIDE, data.SIDE)), (1, 1, 1, 1))
    best, best_elbo = None, None
    for down in range(3):
        for right in range(3):
            shifted = framed[:, down : down + data.SIDE, right : right + data.SIDE].flatten(1)
            q = model.posterior(shifted)
            elbo = gaussian_elbo(model, x, q, order=2)
            if best is None:
                best, best_elbo = q, elbo
            better = elbo > best_elbo
            best = Posterior(*(torch.where(better[:, None], new, old) for new, old in zip(q, best, strict=True)))
            best_elbo = torch.where(better, elbo, best_elbo)
    return best
