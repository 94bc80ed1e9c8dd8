"""Paths and causal effects of graphs."""

import itertools

import networkx as nx
import numpy as np

from pyro_lcm.causal.dag import all_dags, ancestors
from pyro_lcm.discovery.effects import ancestor_matrices, causal_effects, total_effects
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianScore


def test_ancestors_of_all_dags():
    graphs = all_dags(4)
    np.testing.assert_array_equal(ancestor_matrices(graphs), [ancestors(g) for g in graphs])
    assert ancestor_matrices(graphs.reshape(3, 181, 4, 4)).shape == (3, 181, 4, 4)


def test_total_effects_add_up_paths():
    rng = np.random.default_rng(0)
    direct = np.triu(rng.normal(size=(5, 5)), 1) * (rng.random((5, 5)) < 0.7)
    graph = nx.DiGraph(direct != 0)
    found = total_effects(direct[None])[0]
    for cause in range(5):
        for outcome in range(5):
            paths = [[outcome]] if cause == outcome else nx.all_simple_paths(graph, cause, outcome)
            expected = sum(np.prod([direct[a, b] for a, b in itertools.pairwise(p)]) for p in paths)
            np.testing.assert_allclose(found[cause, outcome], expected, atol=1e-12)


def test_effects_concentrate_on_the_truth():
    """20,000 rows: posterior mean within 0.05 of the true effects, and exactly zero without a path."""
    rng = np.random.default_rng(0)
    direct = np.array([[0, 1.5, 0], [0, 0, -0.8], [0, 0, 0]])
    rows = rng.normal(size=(20_000, 3)) @ np.linalg.inv(np.eye(3) - direct)
    expected = total_effects(direct[None])[0]
    for score in (BGeScore(GraphData(rows)), LinearGaussianScore(GraphData(rows))):
        draws = causal_effects(score, np.repeat((direct != 0)[None, None], 200, axis=1), rng)
        assert draws.shape == (1, 200, 3, 3)
        np.testing.assert_allclose(draws.mean(axis=(0, 1)), expected, atol=0.05)
        assert (draws[:, :, 2, 0] == 0).all()
        assert (draws[:, :, 0, 0] == 1).all()
        assert draws[:, :, 0, 2].std() > 0


def test_each_graph_gets_the_coefficients_of_its_own_parents():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 2))
    rows[:, 1] += 3 * rows[:, 0]
    graphs = np.array([[[0, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [1, 0]]] * 10)
    effects = causal_effects(BGeScore(GraphData(rows)), graphs, rng)
    forward, none, backward = (effects[i::3] for i in range(3))
    assert np.abs(forward[:, 0, 1] - 3).max() < 0.5
    assert np.abs(backward[:, 1, 0] - 0.3).max() < 0.1
    np.testing.assert_array_equal(none, np.broadcast_to(np.eye(2), none.shape))
