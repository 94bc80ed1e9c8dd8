"""Causal reasoning with a fitted model: programs, interventions, effects, planning, exchange with other tools.

Every function takes a fitted :class:`pyro_lcm.LatentCausalModel`, of which it is a method too, or a
:class:`StructuralModel` that is known.
"""

from pyro_lcm.reasoning.chains import Uncertainty
from pyro_lcm.reasoning.dowhy_gcm import to_dowhy
from pyro_lcm.reasoning.effects import average_effects, dose_response, effects_frame, individual_effects
from pyro_lcm.reasoning.fitted import FittedStructure, structural_model
from pyro_lcm.reasoning.graphs import causal_graph, edge_list, edge_probabilities, mutilated, to_dot
from pyro_lcm.reasoning.interventions import Outcome, Shift, counterfactual, edit, intervene
from pyro_lcm.reasoning.known import KnownStructure
from pyro_lcm.reasoning.linear import LinearStructure
from pyro_lcm.reasoning.parameters import ParameterPosterior
from pyro_lcm.reasoning.planning import Plan, Range, plan
from pyro_lcm.reasoning.programs import DensityProgram, SCMProgram, density_program, noise_draws, program
from pyro_lcm.reasoning.structure import StructuralModel, World

__all__ = [
    "DensityProgram",
    "FittedStructure",
    "KnownStructure",
    "LinearStructure",
    "Outcome",
    "ParameterPosterior",
    "Plan",
    "Range",
    "SCMProgram",
    "Shift",
    "StructuralModel",
    "Uncertainty",
    "World",
    "average_effects",
    "causal_graph",
    "counterfactual",
    "density_program",
    "dose_response",
    "edge_list",
    "edge_probabilities",
    "edit",
    "effects_frame",
    "individual_effects",
    "intervene",
    "mutilated",
    "noise_draws",
    "plan",
    "program",
    "structural_model",
    "to_dot",
    "to_dowhy",
]
