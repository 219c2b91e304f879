"""Variational autoencoders with a two-dimensional latent space: models, training, exact likelihood, report."""
