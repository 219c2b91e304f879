"""How the two pixel protocols hang together, measured on a trained model.

With b_i ~ Bernoulli(x_i), log p(b | z) is linear in b. So the expected ELBO of b under a q that sees the grey image
equals the grey ELBO of x; and as the log of an integral of exponentials is convex, E[-log p(b)] never exceeds the grey
"-log p(x)" of protocol B. No grey cross-entropy falls below the entropy of the pixels themselves.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib import data, device
from vaelib.exact.inference import gaussian_elbo
from vaelib.exact.result import Exact
from vaelib.models.vae import VAE

IMAGES = 10  # how many images the identities are checked on,
DRAWS = 4  # each with this many binary samples for log p(b), which needs quadrature,
ELBO_DRAWS = 4000  # and this many for the ELBO, which does not


def pixel_entropy(images: data.Images) -> float:
    """Mean entropy of Bernoulli(x) pixels in nats per image: the floor of protocol B."""
    x = torch.arange(256, dtype=torch.float64) / 255
    entropy = -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x))  # of a pixel of each grey value
    pixels_of_value = images.images.flatten().cpu().bincount(minlength=256)
    return (pixels_of_value * entropy).sum().item() / len(images.labels)


def pixels(images: data.Images) -> Float[Tensor, "rows 784"]:
    """The first images grey, then their binary samples draw by draw: what `measure` needs log p(x) of."""
    few = images.images[:IMAGES].cpu()  # drawn on the processor, since each kind of device draws differently
    rng = torch.Generator().manual_seed(1)
    rows = torch.cat([data.grey(few), data.binarise(few.repeat(DRAWS, 1, 1, 1), rng)])
    return rows.to(images.images.device)


@torch.no_grad()
def measure(model: VAE, images: data.Images, exact: Exact) -> dict[str, float]:
    """The identities on the first images; `exact` is that of `pixels(images)`, with the grey images' nodes.

    The gradient of log p(x) in x is E[l(z)] under the exact posterior, so convexity says of every single sample that
    log p(b) >= log p(x) + E[l(z)] . (b - x). The mean of the difference is the excess of the grey "NLL" over the
    expected dynamic one, without the noise of the last term, whose expectation is 0.
    """
    rows = pixels(images)
    count = len(rows) // (DRAWS + 1)
    x, b = rows[:count], rows[count:].unflatten(0, (DRAWS, count))
    log_px, log_pb = exact.log_px[:count], exact.log_px[count:].unflatten(0, (DRAWS, count))
    excess = log_pb - log_px - (posterior_mean_logits(model, exact, count) * (b - x)).sum(-1)

    q = model.posterior(x)
    rng, probabilities = torch.Generator().manual_seed(2), x.cpu()
    frequency = sum(torch.bernoulli(probabilities, generator=rng) for _ in range(ELBO_DRAWS)).to(x) / ELBO_DRAWS
    difference = gaussian_elbo(model, frequency, q) - gaussian_elbo(model, x, q)
    return {
        "identity_grey_nll": -log_px.mean().item(),
        "identity_dynamic_nll": -(log_px + excess.mean(0)).mean().item(),
        "identity_smallest_excess": excess.min().item(),
        "identity_elbo_difference": difference.mean().item(),
        "identity_elbo_standard_error": difference.std().item() / count**0.5,
        "pixel_entropy": pixel_entropy(images),
    }


def posterior_mean_logits(model: VAE, exact: Exact, count: int) -> Float[Tensor, "images pixels"]:
    """E[l(z)] of the first `count` images under their exact posteriors."""
    nodes = exact.part(0, count).nodes
    weight = (nodes.log_joint + nodes.log_area - exact.log_px[nodes.image]).exp()
    places, place = nodes.z.unique(dim=0, return_inverse=True)  # images share nodes: each is decoded once
    total = weight.new_zeros(count, data.PIXELS)
    together = device.rows_at_once(places.device, 4 * data.PIXELS)
    for first in range(0, len(places), together):
        block = places[first : first + together]
        inside = (place >= first) & (place < first + len(block))
        share = weight.new_zeros(count, len(block))
        share[nodes.image[inside], place[inside] - first] = weight[inside]
        total += share @ model.decode(block)
    return total
