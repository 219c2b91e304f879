"""log p(x), exact posteriors, and where the ELBO's nats go."""
