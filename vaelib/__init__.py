"""Variational autoencoders with a two-dimensional latent space: models, training, exact likelihood, report."""

import atexit
import gc

atexit.register(gc.freeze)  # else the interpreter walks through all of torch's objects on its way out, which takes 2 s
