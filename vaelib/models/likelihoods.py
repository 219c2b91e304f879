"""Pixel likelihoods p(x | z), each an exponential family in its decoder outputs.

log p(x | z) = T(x) . eta(z) - A(z): written so, many images against many latents are one matrix product, which is
what makes the exact likelihood of `vaelib.exact.quadrature` affordable. All values are in nats, summed over pixels.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Likelihood:
    """Base of the pixel likelihoods; `channels` decoder outputs describe each pixel."""

    channels = 1

    def __init__(self, limited: bool = True):
        self.limited = limited  # without it outputs are what they say, however large the density may become

    def natural(
        self, outputs: Float[Tensor, "*batch outputs"]
    ) -> tuple[Float[Tensor, "*batch features"], Float[Tensor, "*batch"]]:
        """Natural parameters eta and log-partition A of decoder outputs."""
        raise NotImplementedError

    def statistics(self, x: Float[Tensor, "*batch pixels"]) -> Float[Tensor, "*batch features"]:
        """Sufficient statistics T(x)."""
        return x

    def mean(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch pixels"]:
        """E[x | z]: the image to show."""
        raise NotImplementedError

    def sample(self, outputs: Float[Tensor, "*batch outputs"], rng: torch.Generator) -> Float[Tensor, "*batch pixels"]:
        """One draw of every pixel."""
        raise NotImplementedError

    def log_prob(
        self, x: Float[Tensor, "*#batch pixels"], outputs: Float[Tensor, "*#batch outputs"]
    ) -> Float[Tensor, "*batch"]:
        """log p(x | z), summed over pixels."""
        eta, log_partition = self.natural(outputs)
        return (self.statistics(x) * eta).sum(-1) - log_partition


class Bernoulli(Likelihood):
    """Bernoulli pixels with logits l (Kingma & Welling, appendix C.1): x l - log(1 + exp l).

    With grey x in [0, 1] the same formula is the cross-entropy of protocol B.
    """

    def natural(self, outputs):
        """The logits themselves, and sum softplus(l)."""
        return outputs, F.softplus(outputs).sum(-1)

    def mean(self, outputs):
        """P(x = 1)."""
        return outputs.sigmoid()

    def sample(self, outputs, rng):
        """Pixels 0 or 1."""
        return torch.bernoulli(outputs.sigmoid(), generator=rng)


class ContinuousBernoulli(Likelihood):
    """A density on [0, 1] proportional to exp(l x) (Loaiza-Ganem & Cunningham 2019).

    A(l) = log of the integral of exp(l x) over [0, 1] = log((exp l - 1) / l).

    The logit has a soft limit, l = L tanh(output / L): border pixels are always 0, where the density is |l|, so without
    one it grows without bound.
    """

    largest_logit = 20.0  # L: a pixel lies 0.05 from its end on average, as far as the Gaussian's least deviation

    series_below = 0.1  # |l| at which the series is more exact than the closed form in float32

    def _logits(self, outputs: Tensor) -> Tensor:
        return self.largest_logit * torch.tanh(outputs / self.largest_logit) if self.limited else outputs

    def natural(self, outputs):
        """The logits, and sum A(l) = sum l/2 + log(sinh(l/2) / (l/2))."""
        logits = self._logits(outputs)
        small = logits.abs() < self.series_below
        safe = torch.where(small, 1.0, logits).abs()
        closed = safe / 2 + ((1 - torch.exp(-safe)) / safe).log()
        squares = logits**2  # and their square below: a fourth power takes five times as long
        series = squares / 24 - squares**2 / 2880
        return logits, (logits / 2 + torch.where(small, series, closed)).sum(-1)

    def mean(self, outputs):
        """A'(l) = 1 / (1 - exp(-l)) - 1 / l; not the parameter lambda = sigmoid(l)."""
        logits = self._logits(outputs)
        small = logits.abs() < self.series_below
        safe = torch.where(small, 1.0, logits)
        return torch.where(small, 0.5 + logits / 12 - logits**3 / 720, 1 / -torch.expm1(-safe) - 1 / safe)

    def sample(self, outputs, rng):
        """Inverse of the distribution function: x = log(1 + u (exp l - 1)) / l."""
        u = torch.rand(outputs.shape, generator=rng, device=outputs.device)
        logits = self._logits(outputs)
        small = logits.abs() < 1e-6  # uniform to float32's precision
        safe = torch.where(small, 1.0, logits)
        # For l > 0 count down from 1, so that exp never overflows.
        flip = safe > 0
        v = torch.where(flip, 1 - u, u)
        x = torch.log1p(v * torch.expm1(-safe.abs())) / -safe.abs()
        return torch.where(small, u, torch.where(flip, 1 - x, x)).clamp(0, 1)


class Gaussian(Likelihood):
    """Gaussian pixels with learnt mean and log-variance (Kingma & Welling, appendix C.2).

    The log-variance has a soft floor: border pixels are always 0, so without one the density grows without bound.
    """

    channels = 2
    log_variance_floor = -6.0  # a standard deviation of 0.05, about 13 grey levels of 255

    def _moments(self, outputs):
        mean, raw = outputs.chunk(2, dim=-1)
        return mean, self.log_variance_floor + F.softplus(raw - self.log_variance_floor) if self.limited else raw

    def natural(self, outputs):
        """eta = (m / s^2, -1 / (2 s^2)), A = sum m^2 / (2 s^2) + log s + log(2 pi) / 2."""
        mean, log_variance = self._moments(outputs)
        precision = torch.exp(-log_variance)
        log_partition = 0.5 * (mean**2 * precision + log_variance + math.log(2 * math.pi)).sum(-1)
        return torch.cat([mean * precision, -0.5 * precision], dim=-1), log_partition

    def statistics(self, x):
        """(x, x^2)."""
        return torch.cat([x, x**2], dim=-1)

    def mean(self, outputs):
        """The learnt mean."""
        return self._moments(outputs)[0]

    def sample(self, outputs, rng):
        """Mean plus noise of the learnt variance."""
        mean, log_variance = self._moments(outputs)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        return mean + torch.exp(0.5 * log_variance) * noise


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Bernoulli(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "gaussian": Gaussian(),
}
UNLIMITED: dict[str, Likelihood] = {name: type(known)(limited=False) for name, known in LIKELIHOODS.items()}
