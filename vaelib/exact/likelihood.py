"""The exact log p(x) of anybody's decoder, of this package or not: a function from latents to what describes pixels."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib import device
from vaelib.exact.quadrature import BOX, WIDE_BOX, Exact, Nodes, exact_log_likelihood
from vaelib.models.likelihoods import UNLIMITED
from vaelib.models.vae import VAE, log_normal

ON_A_LINE = 2**15  # nodes of a latent of one dimension: a step of 0.0005, a tenth of the narrowest posteriors seen
TRIED = 16  # latents by which a decoder is tried before anything is computed with it

Decode = Callable[[Tensor], Tensor]


@torch.no_grad()
def log_likelihood(
    decode: Decode,
    x: Float[Tensor, "images *pixels"],
    likelihood: str = "bernoulli",
    latent_dim: int = 2,
    tolerance: float = 0.01,
) -> Exact:
    """log p(x) in nats of each image under a decoder and the prior N(0, I), by quadrature over all latents.

    `decode` maps latents [n, latent_dim], float32 on the device of `x`, to outputs [n, ...] of the same device: for the
    likelihoods "bernoulli" and "continuous_bernoulli" a logit a pixel (not its sigmoid), in the order of the pixels of
    `x`; for "gaussian" the means of 784 pixels and then as many log-variances. `x` has values in [0, 1].

    Returns `log_px` and its `error` for each image. With `latent_dim` 2 that is the adaptive quadrature of
    `vaelib.exact.quadrature`; a latent of one dimension is integrated on 32,768 nodes, whatever `tolerance` says.

    Raises `ValueError` for other latents, for pixels beyond [0, 1], and for a decoder that gives outputs of another
    shape, probabilities instead of logits, or something else for the same latents the second time.
    """
    if latent_dim not in (1, 2):
        raise ValueError(f"latent_dim = {latent_dim}: log p(x) is computed for latents of 1 or 2 dimensions")
    if likelihood not in UNLIMITED:
        raise ValueError(f"likelihood = {likelihood!r}: it must be one of {', '.join(UNLIMITED)}")
    x = x.flatten(1).float()
    if len(x) and not (x.amin() >= 0 and x.amax() <= 1):
        raise ValueError(f"pixels must lie in [0, 1], and x has some from {x.amin():.3g} to {x.amax():.3g}")
    model = Foreign(decode, likelihood, latent_dim)
    _try(model, x)
    return exact_log_likelihood(model, x, tolerance) if latent_dim == 2 else _on_a_line(model, x)


class Foreign(VAE):
    """Somebody else's decoder in the shape of a VAE, as far as the quadrature looks at one; it has no encoder."""

    def __init__(self, decode: Decode, likelihood: str, latent_dim: int):
        nn.Module.__init__(self)
        self.latent_dim, self.classes, self.likelihood = latent_dim, 0, UNLIMITED[likelihood]
        self._decode = decode

    def decode(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch outputs"]:
        """The decoder's outputs, one row a latent."""
        return self._decode(z.flatten(0, -2)).flatten(1).float().unflatten(0, z.shape[:-1])


def _try(model: Foreign, x: Float[Tensor, "images pixels"]) -> None:
    """Raises `ValueError` for a decoder with which no likelihood can be computed."""
    z = torch.randn(TRIED, model.latent_dim, generator=torch.Generator().manual_seed(0)).to(x.device)
    outputs = model.decode(z)
    wanted = (TRIED, model.likelihood.channels * x.shape[1])
    if outputs.shape != wanted:
        raise ValueError(f"for {TRIED} latents decode gave outputs {tuple(outputs.shape)}; {wanted} are needed")
    if not outputs.isfinite().all():
        raise ValueError("decode gave outputs that are not finite numbers")
    if not torch.allclose(outputs[:1], model.decode(z[:1]), rtol=1e-3, atol=1e-3):
        raise ValueError(
            "decode gives the same latent other outputs the second time, or in other company: of a torch module, "
            "call eval() first, which switches dropout and the statistics of batches off"
        )
    if model.likelihood.channels == 1 and outputs.amin() >= 0 and outputs.amax() <= 1 and outputs.std() > 0:
        raise ValueError("decode seems to give probabilities; leave out its last sigmoid, since logits are needed")


def _on_a_line(model: Foreign, x: Float[Tensor, "images pixels"]) -> Exact:
    """log p(x) for a latent of one dimension, by the trapezoid rule; every other node gives the rule of twice the step.

    Beyond the box the prior has e^-32, so that the ends need no half weights.
    """
    statistics = torch.cat([model.likelihood.statistics(x), x.new_ones(len(x), 1)], dim=1)
    step = 2 * WIDE_BOX / ON_A_LINE
    nodes = (step * torch.arange(ON_A_LINE, device=x.device) - WIDE_BOX)[:, None]
    everywhere, every_other, inside = (x.new_full((len(x),), -math.inf) for _ in range(3))
    together = 2 * max(1, device.rows_at_once(x.device, 16 * (len(x) + statistics.shape[1])) // 2)
    for z in nodes.split(together):
        eta, log_partition = model.likelihood.natural(model.decode(z))
        log_joint = statistics @ torch.cat([eta, (log_normal(z) - log_partition)[:, None]], dim=1).T
        everywhere = everywhere.logaddexp(log_joint.logsumexp(1))
        every_other = every_other.logaddexp(log_joint[:, ::2].logsumexp(1))
        inside = inside.logaddexp(log_joint[:, z[:, 0].abs() <= BOX].logsumexp(1))
    nothing = x.new_empty(0)
    none = Nodes(nothing.long(), nothing.reshape(0, 2), nothing, nothing)
    halving_error = (everywhere - every_other - math.log(2)).abs()
    return Exact(everywhere + math.log(step), halving_error, everywhere - inside, none)
