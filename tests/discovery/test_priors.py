"""The prior over graphs: what it allows, what it weighs, and which knowledge contradicts itself."""

from itertools import permutations

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.edge_counts import expected_edges
from pyro_lcm.discovery.priors import GraphPrior, log_linear_extensions
from tables import each_row


def agreeing_orders(graph):
    edges = list(zip(*np.nonzero(graph), strict=True))
    return sum(all(order.index(a) < order.index(b) for a, b in edges) for order in permutations(range(len(graph))))


def test_uniform_by_default():
    assert (GraphPrior().log_prob(all_dags(4)) == 0).all()


def test_cycles_have_no_mass():
    graphs = np.array([[[0, 1], [1, 0]], [[0, 1], [0, 0]]])
    assert GraphPrior().log_prob(graphs).tolist() == [-np.inf, 0.0]


def test_an_edge_costs_the_stated_factor():
    graphs = all_dags(3)
    edges = graphs.sum(axis=(1, 2))
    np.testing.assert_allclose(GraphPrior(edge_probability=0.2).log_prob(graphs), np.log(0.25) * edges)
    np.testing.assert_allclose(GraphPrior(sparsity=0.7).log_prob(graphs), -0.7 * edges)


def test_knowledge_keeps_exactly_the_graphs_that_agree_with_it():
    prior = GraphPrior(max_parents=2, required=((0, 2),), forbidden=((3, 1),), tiers=((0, 1), (3,)))
    graphs = all_dags(4)
    agree = graphs[:, 0, 2] == 1
    agree &= graphs[:, 3, 1] == 0
    agree &= graphs[:, 3, 0] == 0  # 3 is in the later tier; 2 is in none
    agree &= graphs.sum(axis=1).max(axis=1) <= 2
    assert 0 < agree.sum() < len(graphs)
    np.testing.assert_array_equal(np.isfinite(prior.log_prob(graphs)), agree)


def test_allowed_parent_sets_are_those_with_a_finite_factor():
    prior = GraphPrior(max_parents=2, required=((0, 2),), forbidden=((3, 1),), tiers=((0, 1), (3,)))
    for child in range(4):
        others = [i for i in range(4) if i != child]
        every = np.zeros((8, 4), dtype=bool)
        every[:, others] = (np.arange(8)[:, None] >> np.arange(3)) & 1
        allowed = {tuple(row) for row in every[np.isfinite(prior.log_local(child, every))]}
        listed = prior.allowed_parent_sets(child, 4)
        assert {tuple(row) for row in listed} == allowed
        assert len(listed) == len(allowed)


def test_expected_number_of_edges():
    graphs = all_dags(5)
    mass = np.exp(GraphPrior(edges_per_node=0.8).log_prob(graphs))
    assert mass @ graphs.sum(axis=(1, 2)) / mass.sum() == pytest.approx(4.0, abs=1e-6)
    assert expected_edges(3, GraphPrior.suggested().edge_weight(3)) == pytest.approx(1.5)  # half of three pairs


def test_hierarchical_prior_averages_over_the_probability_of_an_edge():
    """k of 3 possible parents: the integral of p^k (1 - p)^(3 - k) under Beta(1, b), b the odds against an edge."""
    prior = GraphPrior(edge_probability=0.2, hierarchical=True)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    p = (nodes + 1) / 2
    integral = np.array([weights @ (p**k * (1 - p) ** (3 - k + 4 - 1)) for k in range(4)])
    np.testing.assert_allclose(prior.size_weights(4), np.log(integral / integral[0]))
    assert prior.log_local(0, [[0, 1, 0, 1]])[0] == pytest.approx(prior.size_weights(4)[2])


def test_suggested_prior_expects_fewer_edges_than_the_uniform_one():
    graphs = all_dags(5)
    counts = graphs.sum(axis=(1, 2))
    means = []
    for prior in (GraphPrior.suggested(max_parents=3), GraphPrior()):
        mass = np.exp(prior.log_prob(graphs))
        means.append(mass @ counts / mass.sum())
    assert means[0] < 4.5 < 6.0 < means[1]


def test_order_modular_prior_counts_linear_extensions():
    graphs = all_dags(4)
    np.testing.assert_allclose(
        GraphPrior(order_modular=True).log_prob(graphs), np.log([agreeing_orders(g) for g in graphs])
    )
    assert np.exp(log_linear_extensions(np.zeros((1, 8, 8))))[0] == pytest.approx(40320)


@each_row(
    ("settings", "message"),
    [
        ({"edge_probability": 0.0}, "edge_probability"),
        ({"edge_probability": 0.5, "sparsity": 1.0}, "sparsity"),
        ({"sparsity": float("nan")}, "sparsity"),
        ({"edges_per_node": 0.0}, "edges_per_node"),
        ({"edges_per_node": 1.0, "edge_probability": 0.5}, "edges_per_node"),
        ({"max_parents": -1}, "max_parents"),
        ({"required": ((1, 1),)}, "required"),
        ({"forbidden": ((1, 1),)}, "forbidden"),
        ({"required": ((0, 1),), "forbidden": ((0, 1),)}, "forbidden too"),
        ({"required": ((0, 1), (1, 2), (2, 0))}, "cycle"),
        ({"required": ((0, 2), (1, 2)), "max_parents": 1}, "max_parents"),
        ({"required": ((0, 1),), "tiers": ((1,), (0,))}, "earlier tier"),
        ({"tiers": ((0, 1), (1,))}, "twice"),
    ],
)
def test_contradictions_are_errors_that_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        GraphPrior(**settings)


def test_edges_of_variables_without_a_tier_are_not_held_against_it():
    assert GraphPrior(required=((2, 0),), tiers=((0,), (1,))).allowed_edges(3)[2, 0]


def test_too_many_parent_sets_name_the_remedy():
    with pytest.raises(ValueError, match="max_parents"):
        GraphPrior().allowed_parent_sets(0, 50)
    assert len(GraphPrior(max_parents=2).allowed_parent_sets(0, 50)) == 1 + 49 + 49 * 48 // 2


def test_variables_beyond_the_data():
    with pytest.raises(ValueError, match="variables \\[5\\]"):
        GraphPrior(required=((0, 5),)).check(3)


def test_shape_of_adjacency():
    with pytest.raises(ValueError, match="adjacency"):
        GraphPrior().log_prob(np.zeros((2, 3)))
