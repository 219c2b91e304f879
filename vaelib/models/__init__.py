"""Networks, likelihoods and the models made of them."""
