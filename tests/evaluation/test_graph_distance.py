import itertools

import networkx as nx
import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.evaluation import compare_graphs


def edges(adjacency):
    return set(zip(*map(list, np.nonzero(adjacency)), strict=True))


def fewest_edits(first, second):
    """Fewest additions, removals and reversals between two graphs, by breadth-first search."""
    graph = nx.Graph()
    states = [tuple(m) for m in itertools.product(("none", "->", "<-"), repeat=3)]
    graph.add_edges_from(
        (a, b) for a, b in itertools.combinations(states, 2) if sum(x != y for x, y in zip(a, b, strict=True)) == 1
    )

    def state(adjacency):
        pairs = itertools.combinations(range(3), 2)
        return tuple("->" if adjacency[i, j] else "<-" if adjacency[j, i] else "none" for i, j in pairs)

    return nx.shortest_path_length(graph, state(first), state(second))


def test_every_pair_of_small_graphs_against_sets_and_search():
    for guess, truth in itertools.product(all_dags(3), repeat=2):
        result = compare_graphs(guess, truth)
        assert result.shd == fewest_edits(guess, truth)
        a, b = edges(guess), edges(truth)
        if a or b:
            assert result.edge_precision == (len(a & b) / len(a) if a else 0)
            assert result.edge_recall == (len(a & b) / len(b) if b else 0)
            assert result.edge_f1 == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
        else:
            assert (result.edge_precision, result.edge_recall, result.edge_f1) == (1, 1, 1)


def test_a_two_cycle_is_one_difference():
    assert compare_graphs([[0, 1], [1, 0]], [[0, 1], [0, 0]]).shd == 1


def test_wrong_graphs_are_named():
    with pytest.raises(ValueError, match=r"learned: got .*float64.* other than 0 and 1"):
        compare_graphs([[0, 0.5], [0, 0]], np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"true: got shape \(2, 3\)"):
        compare_graphs(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"learned: got shape \(2, 2\), expected \(3, 3\)"):
        compare_graphs(np.zeros((2, 2)), np.zeros((3, 3)))
