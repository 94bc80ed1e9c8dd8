"""Latent causal models in Pyro: causal variables and a graph from pairs before and after an unknown intervention."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_lcm.data import (
        InterventionPairs,
        InterventionSequences,
        ScalingSystem,
        Standardizer,
        VoronoiSystem,
        simulate_scaling,
    )
    from pyro_lcm.dim_choice import DimChoice, choose_dim_z
    from pyro_lcm.fitting.fitted import Encoding
    from pyro_lcm.lcm import LatentCausalModel
    from pyro_lcm.reasoning import Outcome, Range, Shift, Uncertainty
    from pyro_lcm.recipes.budget import Budget
    from pyro_lcm.recipes.initialize import initialize
    from pyro_lcm.recipes.structure import find_order
    from pyro_lcm.training import Phase, TrainingDiverged

__all__ = [
    "Budget",
    "DimChoice",
    "Encoding",
    "InterventionPairs",
    "InterventionSequences",
    "LatentCausalModel",
    "Outcome",
    "Phase",
    "Range",
    "ScalingSystem",
    "Shift",
    "Standardizer",
    "TrainingDiverged",
    "Uncertainty",
    "VoronoiSystem",
    "choose_dim_z",
    "find_order",
    "initialize",
    "simulate_scaling",
]

_HOMES = {
    "Budget": "pyro_lcm.recipes.budget",
    "DimChoice": "pyro_lcm.dim_choice",
    "Encoding": "pyro_lcm.fitting.fitted",
    "InterventionPairs": "pyro_lcm.data",
    "InterventionSequences": "pyro_lcm.data",
    "LatentCausalModel": "pyro_lcm.lcm",
    "Outcome": "pyro_lcm.reasoning",
    "Phase": "pyro_lcm.training",
    "Range": "pyro_lcm.reasoning",
    "ScalingSystem": "pyro_lcm.data",
    "Shift": "pyro_lcm.reasoning",
    "Standardizer": "pyro_lcm.data",
    "TrainingDiverged": "pyro_lcm.training",
    "Uncertainty": "pyro_lcm.reasoning",
    "VoronoiSystem": "pyro_lcm.data",
    "choose_dim_z": "pyro_lcm.dim_choice",
    "find_order": "pyro_lcm.recipes.structure",
    "initialize": "pyro_lcm.recipes.initialize",
    "simulate_scaling": "pyro_lcm.data",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are asked for: ``pyro-lcm --help`` should not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Public names."""
    return __all__
