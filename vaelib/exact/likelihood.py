"""The exact log p(x) of anybody's decoder, of this package or not: a function from latents to what describes pixels."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib.exact.cells import BOXES
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.exact.result import Exact
from vaelib.models.likelihoods import UNLIMITED
from vaelib.models.vae import VAE

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
    `x`; for "gaussian" the means of the pixels and then as many log-variances. `x` has values in [0, 1]. Of a VAE of
    this package, `model.decode`, the likelihood and the dimension are its own, whatever is given here.

    Returns `log_px` and its `error` for each image, by the adaptive quadrature of `vaelib.exact.quadrature`: each image
    is refined until halving its step changes its value by less than `tolerance`. `latent_dim` is 1, 2 or 3; three
    dimensions take some ten times as long as two.

    Raises `ValueError` for other latents, for pixels beyond [0, 1], and for a decoder that gives outputs of another
    shape, probabilities instead of logits, something else for the same latents the second time, or densities beyond
    what float32 holds.
    """
    if likelihood not in UNLIMITED:
        raise ValueError(f"likelihood = {likelihood!r}: it must be one of {', '.join(UNLIMITED)}")
    owner = getattr(decode, "__self__", None)
    model = owner if isinstance(owner, VAE) else Foreign(decode, likelihood, latent_dim)
    if model.latent_dim not in BOXES:
        raise ValueError(f"latent_dim = {model.latent_dim}: log p(x) is computed for latents of 1, 2 or 3 dimensions")
    x = x.flatten(1).float()
    if len(x) and not (x.amin() >= 0 and x.amax() <= 1):
        raise ValueError(f"pixels must lie in [0, 1], and x has some from {x.amin():.3g} to {x.amax():.3g}")
    _try(model, x)
    result = exact_log_likelihood(model, x, tolerance)
    if not result.log_px.isfinite().all():
        raise ValueError(
            "log p(x) is no finite number: decode's densities are too narrow; keep its log-variances above -80"
        )
    return result


class Foreign(VAE):
    """Somebody else's decoder in the shape of a VAE, as far as the quadrature looks at one; it has no encoder."""

    def __init__(self, decode: Decode, likelihood: str, latent_dim: int):
        nn.Module.__init__(self)
        self.latent_dim, self.classes, self.likelihood = latent_dim, 0, UNLIMITED[likelihood]
        self._decode = decode

    def decode(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch outputs"]:
        """The decoder's outputs, one row a latent."""
        return self._decode(z.flatten(0, -2)).flatten(1).float().unflatten(0, z.shape[:-1])


def _try(model: VAE, x: Float[Tensor, "images pixels"]) -> None:
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
