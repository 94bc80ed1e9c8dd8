"""Structures with known answers, and one small fit, for all tests of causal reasoning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyro_lcm import Budget, LatentCausalModel, ScalingSystem
from pyro_lcm.reasoning import KnownStructure

GRAPHS = {
    "chain": [(0, 1), (1, 2)],
    "fork": [(0, 1), (0, 2)],
    "collider": [(0, 2), (1, 2)],
    "full": [(0, 1), (0, 2), (1, 2)],
}


class Linear:
    """z_i = sum_j w_ji z_j + sd_i e_i."""

    def __init__(self, weights, sd):
        self.weights, self.sd = torch.as_tensor(weights), torch.as_tensor(sd)

    def location_scale(self, variable, parents):
        rows = np.flatnonzero(self.weights[:, variable])
        return parents @ self.weights[rows, variable], self.sd[variable]


@pytest.fixture(params=sorted(GRAPHS))
def linear(request):
    """Structure, weights and noise sd of one of the graphs."""
    rng = np.random.default_rng(sorted(GRAPHS).index(request.param))
    weights, sd = np.zeros((3, 3)), rng.uniform(0.5, 2.0, 3)
    for edge in GRAPHS[request.param]:
        weights[edge] = rng.normal()
    return KnownStructure(Linear(weights, sd), weights != 0, ["a", "b", "c"]), weights, sd


@pytest.fixture(scope="session")
def system():
    return ScalingSystem(3, seed=1, edge_probability=1.0)


@pytest.fixture(scope="session")
def fitted(system):
    """A quick fit: linear, so that the warm start finds almost everything."""
    budget = Budget(refine=20, solutions=20, batch_size=256)
    options = {"solution_hidden": (16,)}
    pairs = system.sample(4000)
    return LatentCausalModel("ilcm", dim_z=3, names=["a", "b", "c"], options=options).fit(
        pairs, seed=0, budget=budget, progress=False
    )


@pytest.fixture(scope="session")
def observations(system):
    return system.sample(200, seed=5).x
