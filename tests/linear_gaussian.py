"""A VAE about which everything is known: its decoder is affine and its pixels have unit Gaussian noise."""

import math

import torch
from torch import distributions, nn

from vaelib.models.likelihoods import Likelihood
from vaelib.models.vae import VAE, Posterior


class UnitGaussian(Likelihood):
    """Pixels N(output, 1): T(x) = (x, x^2), eta = (output, -1/2)."""

    def natural(self, outputs):
        constant = 0.5 * math.log(2 * math.pi) * outputs.shape[-1]
        return torch.cat([outputs, torch.full_like(outputs, -0.5)], dim=-1), 0.5 * (outputs**2).sum(-1) + constant

    def statistics(self, x):
        return torch.cat([x, x**2], dim=-1)

    def log_prob(self, x, outputs):
        """Without the digits that the difference of large squares in the base's formula costs."""
        return -0.5 * ((x - outputs) ** 2 + math.log(2 * math.pi)).sum(-1)

    def sample(self, outputs, rng):
        return outputs + torch.randn(outputs.shape, generator=rng)


class LinearGaussian(VAE):
    """x = W (z - centre) + noise, so that p(x) and p(z | x) are Gaussian (Bishop 2006, section 2.3.3).

    The encoder has the exact mean and, of each latent, the variance of the best diagonal Gaussian, unless `shift` (in
    standard deviations) and `stretch` (of the deviation) set it off.
    """

    def __init__(self, weight, centre=None, shift=0.0, stretch=1.0):
        nn.Module.__init__(self)
        self.weight = torch.as_tensor(weight, dtype=torch.float32)
        self.latent_dim = self.weight.shape[1]
        self.centre = torch.zeros(self.latent_dim) if centre is None else torch.as_tensor(centre, dtype=torch.float32)
        self.likelihood = UnitGaussian()
        self.shift, self.stretch = shift, stretch

    def decode(self, z):
        return (z - self.centre) @ self.weight.T

    def posterior(self, x):
        exact = self.exact_posterior(x)
        deviation = exact.precision_matrix.diagonal(dim1=-2, dim2=-1).rsqrt()
        mean, deviation = exact.mean + self.shift * deviation, self.stretch * deviation
        return Posterior(mean.float(), 2 * deviation.log().float())

    def exact_posterior(self, x):
        """p(z | x) of each image: precision I + W^T W, mean W^T (x + W centre) divided by it."""
        w, centre = self.weight.double(), self.centre.double()
        precision = torch.eye(self.latent_dim, dtype=torch.float64) + w.T @ w
        mean = torch.linalg.solve(precision, w.T @ (x.double() + w @ centre).T).T
        return distributions.MultivariateNormal(mean, precision_matrix=precision.expand(len(x), -1, -1))

    def log_px(self, x):
        """log N(x; -W centre, W W^T + I)."""
        w = self.weight.double()
        covariance = torch.eye(len(w), dtype=torch.float64) + w @ w.T
        return distributions.MultivariateNormal(-(w @ self.centre.double()), covariance).log_prob(x.double())

    def gap(self, x, q):
        """KL(q || p(z | x)) = log p(x) - ELBO for a diagonal Gaussian q."""
        q = distributions.MultivariateNormal(q.mean.double(), torch.diag_embed(q.log_variance.double().exp()))
        return distributions.kl_divergence(q, self.exact_posterior(x))


def with_posterior(wide, narrow, degrees=0.0, centre=(0.0, 0.0), **encoder):
    """A model of three pixels whose posteriors have these standard deviations along axes turned by `degrees`."""
    angle = math.radians(degrees)
    axes = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    scales = torch.tensor([wide, narrow]) ** -2 - 1  # precision 1 / s^2 = 1 + |w|^2
    return LinearGaussian(torch.cat([scales.sqrt()[:, None] * axes, torch.zeros(1, 2)]), centre, **encoder)


def with_widths(widths, centre=None):
    """A model whose posteriors have these standard deviations along slanted axes, as many as it has latents."""
    latent_dim = len(widths)
    noise = torch.randn(latent_dim, latent_dim, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor(widths) ** -2 - 1
    return LinearGaussian(scales.sqrt()[:, None] * torch.linalg.qr(noise).Q, centre)


def images_near(model, count, spread=1.0, seed=0):
    """Images of latents within `spread` of the model's centre."""
    rng = torch.Generator().manual_seed(seed)
    z = model.centre + spread * (torch.rand(count, model.latent_dim, generator=rng) - 0.5)
    return model.decode(z) + torch.randn(count, len(model.weight), generator=rng)
