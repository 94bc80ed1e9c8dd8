"""Posteriors over graphs by stochastic variational inference: a Pyro model and a guide whose draws are DAGs."""

from pyro_lcm.discovery.variational.fit import draw_from_guide, fit_guide, variational_posterior

__all__ = ["draw_from_guide", "fit_guide", "variational_posterior"]
