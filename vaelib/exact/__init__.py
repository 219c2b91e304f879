"""log p(x), exact posteriors, and where the ELBO's nats go."""

from vaelib.exact.likelihood import log_likelihood

__all__ = ["log_likelihood"]
