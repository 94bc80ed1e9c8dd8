"""Latent causal models in Pyro: causal variables and a graph from pairs before and after an unknown intervention."""

from pyro_lcm.data import InterventionPairs, ScalingSystem, Standardizer, simulate_scaling
from pyro_lcm.fitted import Encoding, Intervened
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.training import Phase, TrainingDiverged
from pyro_lcm.training.recipe import Budget

__all__ = [
    "Budget",
    "Encoding",
    "Intervened",
    "InterventionPairs",
    "LatentCausalModel",
    "Phase",
    "ScalingSystem",
    "Standardizer",
    "TrainingDiverged",
    "simulate_scaling",
]
