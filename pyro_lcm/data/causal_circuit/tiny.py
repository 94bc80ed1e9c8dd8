"""The rendered set that comes with the package: 400 pairs of 64 pixels, for tests and the example.

Made by ``pyro-lcm simulate causal_circuit --out tiny --pairs 400 --size 64 --seed 0``.
"""

from __future__ import annotations

from pathlib import Path

from pyro_lcm.data.causal_circuit.reader import CausalCircuit

FOLDER = Path(__file__).parent / "tiny"
"""Where it lies."""


def tiny_set() -> CausalCircuit:
    """The shipped set: 400 simulated pairs of 64 pixels.

    >>> len(tiny_set())
    400
    """
    return CausalCircuit(FOLDER)
