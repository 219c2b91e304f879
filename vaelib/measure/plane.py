"""What figures of the latent plane show, as arrays: the manifold, exact posteriors, telling images, paths."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vaelib import data, device
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.exact.result import Nodes
from vaelib.models.vae import VAE, Posterior, log_normal
from vaelib.progress import told

PANEL_POINTS = 128  # a side of the grid on which an exact posterior is drawn
PATHS = ((0, 1), (4, 9), (3, 8), (7, 2), (5, 6))  # the digits that paths in the plane lead from and to
SEEN = 8.0  # nats below the highest node down to which a panel shows an exact posterior


def manifold_grid(side: int = 20) -> Float[Tensor, "points 2"]:
    """Latents, side * side of them: an even grid of the unit square through the inverse normal CDF, top row first.

    Kingma & Welling (2014), figure 4: the grid's points are equally likely under the prior.
    """
    quantiles = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side)
    return torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1).float()


@torch.no_grad()
def posterior_panels(
    model: VAE, x: Float[Tensor, "images 784"], q: Posterior, best: Posterior, close: bool = False
) -> dict[str, np.ndarray]:
    """The exact posteriors of images, each on a grid that shows it whole, and q too, or with `close` only the best.

    Returns what `plots.figures.posteriors` draws: `image` [images, 784] as bytes, `log_density` [images, n, n] on the
    grid `extent` [images, 4] (left, right, bottom, top; first axis z_1), and [images, 2] the means and standard
    deviations of both Gaussians: `q_mean`, `q_deviation`, `best_mean`, `best_deviation`. Raises `ValueError` unless the
    latent has two dimensions.
    """
    if model.latent_dim != 2:
        raise ValueError(f"a panel shows a plane: latent_dim is {model.latent_dim}, and 2 is needed")
    everything = torch.ones(len(x), dtype=torch.bool)
    exact = exact_log_likelihood(model, x, keep_nodes=everything)
    densities, extents = [], []
    for i, image in enumerate(told(list(x), "exact posteriors")):
        one, shown = exact.part(i, 1), best if close else q
        centre, half = _square(one.nodes, shown.mean[i], torch.exp(0.5 * shown.log_variance[i]))
        axes = [torch.linspace(-1, 1, PANEL_POINTS, device=x.device) * half + c for c in centre]
        z = torch.cartesian_prod(*axes)
        blocks = z.split(device.rows_at_once(z.device, 8 * data.PIXELS))
        log_px_given_z = torch.cat([model.likelihood.log_prob(image, model.decode(block)) for block in blocks])
        density = log_px_given_z + log_normal(z) - one.log_px
        densities.append(density.reshape(PANEL_POINTS, PANEL_POINTS))
        extents.append(torch.stack([centre - half, centre + half], 1).flatten())
    panels = {"log_density": torch.stack(densities), "extent": torch.stack(extents)}
    for name, gaussian in (("q", q), ("best", best)):
        panels |= {f"{name}_mean": gaussian.mean, f"{name}_deviation": torch.exp(0.5 * gaussian.log_variance)}
    return {"image": data.to_bytes(x), **{name: values.cpu().numpy() for name, values in panels.items()}}


def _square(
    nodes: Nodes, mean: Float[Tensor, " 2"], deviation: Float[Tensor, " 2"]
) -> tuple[Float[Tensor, " 2"], Float[Tensor, ""]]:
    """Centre and half the side of a square around the nodes that matter and a Gaussian, on the same scale both ways."""
    seen = nodes.z[nodes.log_joint > nodes.log_joint.max() - SEEN]
    corners = torch.cat([seen, (mean - 2.5 * deviation)[None], (mean + 2.5 * deviation)[None]])
    low, high = corners.amin(0), corners.amax(0)
    return (low + high) / 2, 0.55 * (high - low).max()


def telling_images(approximation: np.ndarray, amortisation: np.ndarray, log_px: np.ndarray) -> dict[str, int]:
    """Images chosen by a number: typical and extreme gaps, and the least likely; their places by what they show."""
    gap = approximation + amortisation
    return {
        "median gap": int(np.argsort(gap)[len(gap) // 2]),
        "largest approximation gap": int(approximation.argmax()),
        "largest amortisation gap": int(amortisation.argmax()),
        "lowest log p(x)": int(log_px[: len(gap)].argmin()),
    }


@torch.no_grad()
def paths(
    model: VAE,
    means: Float[Tensor, "images 2"],
    labels: Int64[Tensor, " images"],
    elbo: Float[Tensor, " images"],
    pairs: Sequence[tuple[int, int]],
    steps: int = 14,
) -> Float[Tensor, "steps_of_all 784"]:
    """Decoded points of straight lines between digits, from one digit's image of highest ELBO to the other's.

    Where there is no image of one of the two, the points are black.
    """
    pairs = torch.as_tensor(pairs, device=means.device)
    there = torch.isin(pairs, labels).all(1)[:, None, None]
    clearest = torch.stack([elbo.where(labels == digit, -torch.inf).argmax() for digit in range(data.CLASSES)])
    ends = means[clearest[pairs]]
    share = torch.linspace(0, 1, steps, device=means.device)[None, :, None]
    return (there * model.images(ends[:, :1] * (1 - share) + ends[:, 1:] * share)).flatten(0, 1)
