"""Where the ELBO's nats go: log p(x) - ELBO = approximation gap + amortisation gap (Cremer et al. 2018).

The approximation gap remains with the best diagonal Gaussian for the image; the amortisation gap is what the
encoder's Gaussian loses against that one.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import roots_hermitenorm
from torch import Tensor

from vaelib import device
from vaelib.exact.quadrature import CUTOFF, Exact, Nodes
from vaelib.models.vae import VAE, Posterior
from vaelib.progress import told
from vaelib.training.objectives import kl_divergence


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
def gaussian_elbo(
    model: VAE, x: Float[Tensor, "images pixels"], posterior: Posterior, order: int = 4
) -> Float[Tensor, " images"]:
    """E_q[log p(x | z)] - KL(q || p) for any diagonal Gaussian q, by Gauss-Hermite quadrature in two dimensions.

    No random draw is involved; `order` nodes a side integrate polynomials of degree 2 order - 1 exactly.
    """
    points, weights = (torch.as_tensor(a, dtype=x.dtype, device=x.device) for a in roots_hermitenorm(order))
    noise = torch.cartesian_prod(points, points)
    weight = torch.cartesian_prod(weights, weights).prod(-1) / (2 * math.pi)
    reconstruction = torch.empty(len(x), device=x.device)
    together = device.rows_at_once(x.device, 4 * x.shape[1] * len(noise))
    for rows in told(torch.arange(len(x), device=x.device).split(together), "ELBO"):
        z = posterior.mean[rows] + noise[:, None] * torch.exp(0.5 * posterior.log_variance[rows])
        reconstruction[rows] = weight @ model.likelihood.log_prob(x[rows], model.decode(z))
    return reconstruction - kl_divergence(posterior)


def moments(nodes: Nodes, images: int) -> Posterior:
    """Mean and log-variance of each image's exact posterior, axis by axis."""
    log_mass = nodes.log_joint + nodes.log_area
    top = log_mass.new_full((images,), -math.inf).scatter_reduce(0, nodes.image, log_mass, "amax")
    weight = (log_mass - top[nodes.image]).exp()[:, None]

    def mean(values: Float[Tensor, "nodes d"]) -> Float[Tensor, "images d"]:
        zero = values.new_zeros(images, values.shape[-1])
        return zero.index_add(0, nodes.image, weight * values) / zero[:, :1].index_add(0, nodes.image, weight)

    centre = mean(nodes.z)
    return Posterior(centre, mean((nodes.z - centre[nodes.image]) ** 2).log())


def highest_mode(nodes: Nodes, log_px: Float[Tensor, " images"]) -> Posterior:
    """A round Gaussian at the highest node of each image's posterior, with the same density there as the posterior."""
    top = log_px.new_full(log_px.shape, -math.inf).scatter_reduce(0, nodes.image, nodes.log_joint, "amax")
    peak = (nodes.log_joint == top[nodes.image]).nonzero()[:, 0]
    first = nodes.image.new_zeros(len(log_px)).scatter_reduce(0, nodes.image[peak], peak, "amin", include_self=False)
    mean = nodes.z[first]  # of several equally high nodes the first, on every device
    log_variance = log_px - top - math.log(2 * math.pi)  # 1 / (2 pi s^2) = p(z | x)
    return Posterior(mean, log_variance[:, None].expand(-1, 2))


def fit_gaussian(nodes: Nodes, start: Posterior, steps: int = 25, rate: float = 0.4) -> Posterior:
    """The diagonal Gaussian of highest ELBO for each image, by natural-gradient ascent on its posterior's nodes.

    With u = (z - m) / s and g = log p(x, z), the gradients of E_q[g] are E_q[u g] / s in the mean and
    E_q[(u^2 - 1) g] / (2 s^2) in the variance (Opper & Archambeau 2009, equations 5 and 6); the step is taken in
    the natural parameters. Expectations are sums over nodes already computed, so a step costs no decoder
    evaluation; where q has mass but the image no node, g counts as CUTOFF below the highest.
    """
    images = len(start.mean)
    top = start.mean.new_full((images,), -math.inf).scatter_reduce(0, nodes.image, nodes.log_joint, "amax")
    height = nodes.log_joint - top[nodes.image] + CUTOFF
    mean, variance = start.mean, start.log_variance.exp()
    for _ in range(steps):
        u = (nodes.z - mean[nodes.image]) * variance.rsqrt()[nodes.image]
        log_q = -0.5 * (u**2).sum(-1) - 0.5 * variance.log().sum(-1)[nodes.image] - math.log(2 * math.pi)
        weighted = ((log_q + nodes.log_area).clamp(min=-60).exp() * height)[:, None]  # see log_sum_exp
        sums = mean.new_zeros(images, 4).index_add(0, nodes.image, weighted * torch.cat([u, u**2 - 1], dim=-1))
        gradient, curvature = sums.split(2, dim=-1)
        # Precision 1/s^2 moves towards -E_q[g'']; bounded, since g need not be concave.
        factor = (1 - rate - rate * curvature).clamp(0.7, 1.5)
        variance = variance / factor
        mean = mean + rate * variance * (gradient / (variance * factor).sqrt())
    return Posterior(mean, variance.log())


def split_gap(model: VAE, x: Float[Tensor, "images pixels"], exact: Exact) -> Gaps:
    """Both gaps of every image. `exact` must be of these images and hold their nodes.

    The Gaussian is fitted from three starts, the encoder's q and the exact posterior's moments and highest mode, and
    each image keeps the best of the fits and of q itself; every ELBO is computed through the decoder, not on the nodes.
    """
    with torch.no_grad():
        q = model.posterior(x)
    elbo = gaussian_elbo(model, x, q)
    best, best_elbo = q, elbo
    for start in (q, moments(exact.nodes, len(x)), highest_mode(exact.nodes, exact.log_px)):
        fitted = fit_gaussian(exact.nodes, start)
        value = gaussian_elbo(model, x, fitted)
        better = value > best_elbo
        best = Posterior(*(torch.where(better[:, None], new, old) for new, old in zip(fitted, best, strict=True)))
        best_elbo = torch.where(better, value, best_elbo)
    return Gaps(exact.log_px, elbo, best_elbo, best)
