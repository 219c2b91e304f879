"""A Gaussian q(z | x) fitted to an image through the decoder itself, on nodes scaled to the fit: no encoder takes part.

The expectations under q that the fit needs are Gauss-Hermite sums, whose nodes lie where q does. So nothing has to be
resolved beforehand, however narrow or slanted the posterior is. Nats per image.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import roots_hermitenorm
from torch import Tensor

from vaelib import device
from vaelib.models.vae import VAE, Posterior, log_normal
from vaelib.progress import told

ORDER = 3  # nodes a side while fitting: a step to the optimum of a Gaussian posterior needs no more
LONGEST = 3.0  # deviations of q that a mean moves in a step at most
NARROWER, WIDER = 100.0, 0.01  # a step changes a precision by no more than these factors,
DOUBTFUL = 0.25  # and by this one where log p(x, z) is not concave: q gets twice as wide
CORRELATION = 1 - 1e-5  # of a curvature, at most: rounding must not turn its sign


class Expansion(NamedTuple):
    """g = log p(x, z) seen by q = N(m, s^2) of each image, in units of s: u = (z - m) / s. All from the same nodes."""

    elbo: Float[Tensor, " images"]  # E_q[g] + the entropy of q
    slope: Float[Tensor, "images 2"]  # E_q[u g] = s E_q[g']
    curvature: Float[Tensor, "images 2 2"]  # -E_q[(u u^T - I) g] = -s s^T E_q[g'']


class Fit(NamedTuple):
    """A diagonal Gaussian for each image, with what the decoder says of it."""

    q: Posterior
    seen: Expansion

    def where(self, chosen: Tensor, other: "Fit") -> "Fit":
        """The images that are `chosen` from this fit, the others from the other."""

        def pick(ours: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(chosen.reshape(-1, *[1] * (ours.ndim - 1)), ours, theirs)

        return Fit(Posterior(*map(pick, self.q, other.q)), Expansion(*map(pick, self.seen, other.seen)))


def nodes(order: int, like: Tensor) -> tuple[Float[Tensor, "nodes 2"], Float[Tensor, " nodes"]]:
    """Nodes and weights for E[f(u)], u ~ N(0, I) in two dimensions: exact for polynomials of degree 2 order - 1."""
    points, weights = (torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in roots_hermitenorm(order))
    return torch.cartesian_prod(points, points), torch.cartesian_prod(weights, weights).prod(-1) / (2 * math.pi)


@torch.no_grad()
def expand(model: VAE, x: Float[Tensor, "images pixels"], q: Posterior, order: int = ORDER) -> Expansion:
    """The ELBO of q, and where it would be higher, from order^2 latents decoded for each image."""
    u, weight = nodes(order, x)
    second = u[:, :, None] * u[:, None] - torch.eye(2, device=x.device)
    parts = []
    together = device.rows_at_once(x.device, 4 * x.shape[1] * len(u))
    for rows in told(torch.arange(len(x), device=x.device).split(together), "fitted Gaussians"):
        z = q.mean[rows] + u[:, None] * torch.exp(0.5 * q.log_variance[rows])
        g = model.likelihood.log_prob(x[rows], model.decode(z)) + log_normal(z)
        entropy = 0.5 * q.log_variance[rows].sum(-1) + math.log(2 * math.pi) + 1
        height = weight[:, None] * (g - g[:1])  # a constant changes no slope, but costs digits
        slope, curvature = torch.einsum("ni,nd->id", height, u), -torch.einsum("ni,nde->ide", height, second)
        parts.append(Expansion(weight @ g + entropy, slope, curvature))
    return Expansion(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def step(q: Posterior, slope: Tensor, curvature: Tensor, rate: Float[Tensor, " images"]) -> Posterior:
    """A natural-gradient step: with rate 1 straight to the best diagonal Gaussian of a Gaussian posterior.

    By the gradients of E_q[g] (Opper & Archambeau 2009, equations 5 and 6) the optimum has precisions -E_q[g''] on the
    diagonal and E_q[g'] = 0. The mean takes Newton's step to that, with the whole curvature: on the diagonal of it
    alone it would creep along a slanted ridge. Both are bounded, since g need not be concave.
    """
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)
    concave = diagonal > WIDER
    bent = torch.where(concave, diagonal, 1.0)  # elsewhere a step of gradient ascent
    most = CORRELATION * bent.prod(-1).sqrt() * concave.all(-1)
    across = curvature[:, 0, 1].clamp(-most, most)[:, None]
    move = (bent.flip(-1) * slope - across * slope.flip(-1)) / (bent.prod(-1, keepdim=True) - across**2)
    move = move * rate[:, None]
    move = move * (LONGEST / move.norm(dim=-1, keepdim=True).clamp(min=LONGEST))
    factor = 1 + rate[:, None] * (torch.where(concave, diagonal.clamp(max=NARROWER), DOUBTFUL) - 1)
    return Posterior(q.mean + move * torch.exp(0.5 * q.log_variance), q.log_variance - factor.log())


def climb(model: VAE, x: Float[Tensor, "images pixels"], fit: Fit, steps: int) -> Fit:
    """Steps of which none lowers an ELBO: one that would is not taken, and the next is four times as short."""
    rate = torch.ones_like(fit.seen.elbo)
    for _ in range(steps):
        q = step(fit.q, fit.seen.slope, fit.seen.curvature, rate)
        tried = Fit(q, expand(model, x, q))
        better = tried.seen.elbo > fit.seen.elbo
        fit = tried.where(better, fit)
        rate = torch.where(better, (2 * rate).clamp(max=1.0), rate / 4)
    return fit
