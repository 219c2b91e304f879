"""A small VAE, trained for seconds, and what a page needs to know of it: enough for posteriors that are narrow."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from vaelib import data
from vaelib.exact.inference import gaussian_elbo
from vaelib.exact.quadrature import exact_log_likelihood
from vaelib.exact.result import Exact
from vaelib.measure import offline
from vaelib.models.vae import VAE, Posterior, log_normal

STEPS, BATCH, TESTS = 400, 100, 100


class Small(NamedTuple):
    """The model, its test images with their exact log p(x), the quadrature's nodes, and the arrays of its page."""

    model: VAE
    test: offline.Test
    exact: Exact
    arrays: Mapping[str, np.ndarray]


def trained(train: data.Images) -> VAE:
    """An `mlp` after some hundred steps of Adam on the ELBO: what it is to be tested with, not a good model."""
    torch.manual_seed(0)
    model, rng = VAE("mlp"), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(STEPS):
        rows = torch.randint(len(train.labels), (BATCH,), generator=rng)
        x = data.binarise(train.images[rows], rng)
        q = model.posterior(x)
        z = q.sample(1, rng)[0]
        elbo = model.likelihood.log_prob(x, model.decode(z)) + log_normal(z) - q.log_prob(z)
        optimiser.zero_grad()
        (-elbo.mean()).backward()
        optimiser.step()
    return model.eval()


def make(train: data.Images, test: data.Images) -> Small:
    """All of it, on the first `TESTS` test images."""
    model, images = trained(train), test.take(TESTS)
    x = data.evaluation_pixels(images.images, "A")
    exact = exact_log_likelihood(model, x, keep_nodes=torch.ones(TESTS, dtype=torch.bool))
    with torch.no_grad():
        q = model.posterior(x)
    elbo = gaussian_elbo(model, x, q)
    known = offline.Test(images, "A", q, exact.log_px.numpy(), elbo.numpy())
    gap = (exact.log_px - elbo).numpy()
    named = offline.examples(known, gap, gap)
    return Small(model, known, exact, offline.offline(model, known, named))


def moments(exact: Exact, images: int) -> Posterior:
    """The Gaussians that have the means and the standard deviations of the exact posteriors."""
    nodes, means, variances = exact.nodes, [], []
    for i in range(images):
        own = nodes.image == i
        weight = (nodes.log_joint + nodes.log_area)[own].softmax(0)[:, None]
        means.append((weight * nodes.z[own]).sum(0))
        variances.append((weight * (nodes.z[own] - means[-1]) ** 2).sum(0))
    return Posterior(torch.stack(means), torch.stack(variances).log())
