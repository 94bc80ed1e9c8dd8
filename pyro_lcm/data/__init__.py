"""Pairs of observations: the container, its files, its standardisation, and simulators that make them."""

from pyro_lcm.data.pairs import UNKNOWN_TARGET, InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem, simulate_scaling
from pyro_lcm.data.standardize import Standardizer

__all__ = ["UNKNOWN_TARGET", "InterventionPairs", "ScalingSystem", "Standardizer", "simulate_scaling"]
