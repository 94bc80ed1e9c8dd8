"""Classes of graphs: against a score that cannot tell members apart, and the union of all members."""

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.equivalence import class_keys, completed_graph, equivalence_classes, target_sets
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore


@pytest.fixture(scope="module", params=[(), ((0,),), ((0,), (1, 2))], ids=["observed", "one", "sets"])
def problem(request):
    """Four variables, rows under interventions on some sets of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)) @ (np.eye(4) + np.triu(rng.normal(size=(4, 4)), 1))
    targets = np.zeros((60, 4), bool)
    for number, members in enumerate(request.param, start=1):
        targets[10 * number : 10 * number + 10, list(members)] = True
    return GraphData(x, targets=targets)


def test_members_have_one_score_and_classes_different_ones(problem):
    graphs = all_dags(4)
    keys = class_keys(graphs, target_sets(problem))
    score = BGeScore(problem).total(graphs)
    values = [score[keys == k] for k in range(keys.max() + 1)]
    assert max(np.ptp(value) for value in values) < 1e-9
    means = np.sort([value[0] for value in values])
    assert np.diff(means).min() > 1e-9


def test_completed_graph_is_the_union_of_all_members(problem):
    graphs, sets = all_dags(4), target_sets(problem)
    keys = class_keys(graphs, sets)
    for k in range(keys.max() + 1):
        members = graphs[keys == k]
        union = members.any(axis=0).astype(np.int8)
        for member in members[:3]:
            np.testing.assert_array_equal(completed_graph(member, sets), union)


def test_masses_add_up():
    graphs = all_dags(3)
    found = equivalence_classes(graphs, np.full(25, 0.04), top=25)
    assert len(found) == 11
    assert sum(each.graphs for each in found) == 25
    assert found[0].graphs == 6  # three adjacent pairs, any order
    assert found[0].probability == pytest.approx(0.24)
