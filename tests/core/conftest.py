"""One small system and one fit of it, which many tests read and none changes."""

import pytest

from pyro_lcm import LatentCausalModel
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.recipes.budget import Budget


@pytest.fixture(scope="session")
def small():
    """A budget that takes seconds and is enough for linear data."""
    return Budget(reconstruct=30, unmix=20, refine=60, solutions=10, batch_size=256)


@pytest.fixture(scope="session")
def system():
    """Three variables, linear, the chain 1 -> 2 -> 3."""
    system = ScalingSystem(3, seed=3)
    assert system.adjacency.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    return system


@pytest.fixture(scope="session")
def train(system):
    return system.sample(3000)


@pytest.fixture(scope="session")
def held_out(system):
    return system.sample(1500, seed=1)


@pytest.fixture(scope="session")
def lcm(train, small):
    """A good fit."""
    return LatentCausalModel().fit(train, budget=small, seed=0, progress=False)
