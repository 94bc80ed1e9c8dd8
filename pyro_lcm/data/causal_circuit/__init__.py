"""CausalCircuit: a robot arm, buttons and lamps, seen as images before and after an unknown intervention.

The data of Brehmer, de Haan, Lippe, Cohen (NeurIPS 2022, arXiv 2203.16437): :class:`CausalCircuit` reads the published
files; :mod:`~pyro_lcm.data.causal_circuit.simulate` renders a system like it; :func:`tiny_set` comes with the package.
"""

from pyro_lcm.data.causal_circuit.program import ADJACENCY, NAMES
from pyro_lcm.data.causal_circuit.reader import CausalCircuit
from pyro_lcm.data.causal_circuit.tiny import tiny_set

__all__ = ["ADJACENCY", "NAMES", "CausalCircuit", "tiny_set"]
