"""Latent causal models in Pyro: causal variables and a graph from pairs before and after an unknown intervention."""
