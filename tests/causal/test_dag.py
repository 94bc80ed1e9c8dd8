import itertools

import networkx as nx
import numpy as np
import pytest

from pyro_lcm.causal.dag import (
    all_dags,
    ancestors,
    as_adjacency,
    is_dag,
    random_dag,
    to_networkx,
    topological_order,
)
from tables import each_row


@pytest.mark.parametrize(("dim", "count"), [(1, 1), (2, 3), (3, 25), (4, 543), (5, 29281)])
def test_all_dags_has_every_dag_once(dim, count):
    graphs = all_dags(dim)
    assert graphs.shape == (count, dim, dim)
    assert graphs.dtype == np.int8
    assert len(np.unique(graphs.reshape(count, -1), axis=0)) == count
    assert not graphs[0].any()


def test_all_dags_equals_filtering_every_matrix():
    off_diagonal = [(i, j) for i in range(3) for j in range(3) if i != j]
    expected = set()
    for bits in itertools.product((0, 1), repeat=6):
        matrix = np.zeros((3, 3), dtype=np.int8)
        matrix[tuple(zip(*off_diagonal, strict=True))] = bits
        if is_dag(matrix):
            expected.add(matrix.tobytes())
    assert {graph.tobytes() for graph in all_dags(3)} == expected


def test_every_enumerated_graph_is_ordered_and_closed():
    for graph in all_dags(4):
        order = topological_order(graph)
        position = np.argsort(order)
        parents, children = np.nonzero(graph)
        assert (position[parents] < position[children]).all()
        powers = sum(np.linalg.matrix_power(graph.astype(int), k) for k in range(1, 4))
        np.testing.assert_array_equal(ancestors(graph), powers > 0)


@each_row("dim", [0, 6])
def test_all_dags_refuses_other_sizes(dim):
    with pytest.raises(ValueError, match=f"dim: got {dim}"):
        all_dags(dim)


def test_ancestors_of_a_cycle_are_all():
    assert ancestors([[0, 1, 0], [0, 0, 1], [1, 0, 0]]).all()


def test_topological_order_of_a_cycle_names_it():
    with pytest.raises(ValueError, match="cycle"):
        topological_order([[0, 1], [1, 0]])


def test_random_dag_is_acyclic_and_its_orders_and_edges_are_uniform():
    rng = np.random.default_rng(0)
    graphs = np.stack([random_dag(4, 0.3, rng) for _ in range(4000)])
    assert all(is_dag(graph) for graph in graphs[:200])
    # Each ordered pair is an edge with probability 0.3 / 2; 5 standard errors over 12 pairs: 1e-5 to fail.
    frequency = graphs.mean(axis=0)[~np.eye(4, dtype=bool)]
    assert np.abs(frequency - 0.15).max() < 5 * np.sqrt(0.15 * 0.85 / 4000)


def test_random_dag_extremes_and_seed():
    rng = np.random.default_rng
    assert random_dag(5, 0.0, rng(0)).sum() == 0
    assert random_dag(5, 1.0, rng(0)).sum() == 10
    np.testing.assert_array_equal(random_dag(6, 0.5, rng(3)), random_dag(6, 0.5, rng(3)))
    fixed = random_dag(6, 0.5, rng(3), random_order=False)
    np.testing.assert_array_equal(fixed, np.triu(fixed, 1))


@each_row(("dim", "probability"), [(0, 0.5), (3, -0.1), (3, 1.1)])
def test_random_dag_refuses_bad_arguments(dim, probability):
    with pytest.raises(ValueError, match="expected"):
        random_dag(dim, probability, np.random.default_rng(0))


def test_a_networkx_graph_has_the_edges_and_names():
    adjacency = random_dag(5, 0.6, np.random.default_rng(1))
    names = ["e", "d", "c", "b", "a"]
    graph = to_networkx(adjacency, names)
    assert list(graph.nodes) == names
    np.testing.assert_array_equal(nx.to_numpy_array(graph, nodelist=names), adjacency)


@each_row("bad", [np.zeros((2, 3)), np.zeros(4), np.eye(2), np.full((2, 2), 0.5), [["a", "b"], ["c", "d"]]])
def test_what_is_not_an_adjacency_matrix_is_refused(bad):
    with pytest.raises(ValueError, match="adjacency: got"):
        as_adjacency(bad)


@each_row("names", [["a"], ["a", "a"]])
def test_names_must_fit(names):
    with pytest.raises(ValueError, match="names"):
        to_networkx(np.zeros((2, 2)), names)
