"""Posteriors over graphs by Markov chain Monte Carlo on ordered partitions, or on orders, of the variables."""

from pyro_lcm.discovery.mcmc.chains import mcmc_posterior

__all__ = ["mcmc_posterior"]
