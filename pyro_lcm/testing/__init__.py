"""Tests that a new model and guide inherit, the checks behind them, and the oracle for the ELBO.

Write a class in a test file of your own; pytest finds the inherited tests:

    from pyro_lcm.testing import PairProgramTests

    class TestMyProgram(PairProgramTests):
        def make(self):
            return MyModel(3, decoder), MyGuide(3, encoder)

        def batch(self):
            return {"x": torch.randn(6, 5), "x_after": torch.randn(6, 5)}
"""

from pyro_lcm.testing.brute_force import brute_force_elbo
from pyro_lcm.testing.contract import PairProgramTests
from pyro_lcm.testing.guards import check_pair_program

__all__ = ["PairProgramTests", "brute_force_elbo", "check_pair_program"]
