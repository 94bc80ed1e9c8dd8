"""Hooks of the recipe of iCITRIS: a pair in the wrong order is turned, and graphs are read."""

import numpy as np
import pytest
import torch

from pyro_lcm import VoronoiSystem
from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.recipes.simultaneous import FindSetVariables, ReadGraphs, TurnPairs, complete, simultaneous
from pyro_lcm.registry import build
from pyro_lcm.training.sources import TensorSource

LINEAR = {"flow_layers": 0, "solution_hidden": (16,), "activation": "leaky_relu", "invertible": True}


def _started(instantaneous):
    """A model that has the variables of a linear system of two, and the source they are of."""
    system = VoronoiSystem(2, seed=1, mixing="linear", instantaneous=instantaneous)
    steps = system.sample(4000).transitions()
    x, x_after, targets = (torch.as_tensor(np.asarray(part)) for part in (steps.x, steps.x_after, steps.targets))
    source = TensorSource({"x": x.float(), "x_after": x_after.float(), "targets": targets})
    model, guide = build(Architecture("icitris", 2, 2, variables=2, graph="permutations", **LINEAR))
    objective = RecipeObjective(model, guide)
    with torch.no_grad():
        FindSetVariables()(objective, source, 0)
    return system, objective, source


@torch.no_grad()
def test_a_pair_in_the_wrong_order_is_turned_and_graphs_are_read():
    system, objective, source = _started(1.0)
    parent, child = np.argwhere(system.graphs[1])[0].tolist()
    objective.guide.graphs.set_order([child, parent])
    torch.manual_seed(0)
    assert TurnPairs(100, batch_size=256)(objective, source, 0) == {"turned": 1.0}
    scores = objective.guide.graphs.score
    assert scores[parent] > scores[child]
    ReadGraphs(rows=1000)(objective, source, 0)
    np.testing.assert_array_equal(objective.model.adjacency, system.graphs[1])
    assert (np.asarray(objective.model.temporal_adjacency) != system.graphs[0]).sum() <= 1


@torch.no_grad()
def test_no_edge_is_read_where_there_is_none_whatever_the_order():
    system, objective, source = _started(0.0)
    for order in ([0, 1], [1, 0]):
        objective.guide.graphs.set_order(order)
        TurnPairs(0)(objective, source, 0)
        torch.testing.assert_close(objective.model.adjacency, complete(order))
        ReadGraphs(rows=1000)(objective, source, 0)
        assert not objective.model.adjacency.any()
        assert (np.asarray(objective.model.temporal_adjacency) != system.graphs[0]).sum() <= 1


def test_phases_take_the_steps_of_the_budget():
    phases = {phase.name: phase.steps for phase in simultaneous(dim=5)}
    assert phases["order"] + phases["variables"] + phases["graph"] == 5000
    assert simultaneous(dim=2, invertible=False)[0].name == "autoencoder"


def test_a_latent_for_each_variable_is_asked_for():
    with pytest.raises(ValueError, match=r"^dim_z: got 3, expected 2: icitris has a latent for each variable"):
        build(Architecture("icitris", 3, 3, variables=2))
    with pytest.raises(ValueError, match=r"^actions: got None for biscuit"):
        build(Architecture("biscuit", 3, 3, variables=3))
