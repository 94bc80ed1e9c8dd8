"""Pairs and sequences of observations: containers, files, standardisation, and simulators that make them."""

from pyro_lcm.data.pairs import UNKNOWN_TARGET, InterventionPairs
from pyro_lcm.data.scaling import ScalingSystem, simulate_scaling
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.data.voronoi import VoronoiSystem

__all__ = [
    "UNKNOWN_TARGET",
    "InterventionPairs",
    "InterventionSequences",
    "ScalingSystem",
    "Standardizer",
    "VoronoiSystem",
    "simulate_scaling",
]
