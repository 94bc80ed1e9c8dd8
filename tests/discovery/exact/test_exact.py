"""Dynamic programming against enumeration; exact draws against exact probabilities."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.effects import ancestor_matrices
from pyro_lcm.discovery.exact import count_dags, exact_posterior, log_prior_normalizer
from pyro_lcm.discovery.exact.layers import LayerSums
from pyro_lcm.discovery.exact.orders import OrderSums
from pyro_lcm.discovery.exact.subsets import code_sets, set_codes, sum_over_subsets, sum_over_supersets
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from tables import each_row


def linear_data(size, rows=60, seed=0, interventions=False):
    rng = np.random.default_rng(seed)
    direct = np.triu(rng.normal(size=(size, size)), 1) * (rng.random((size, size)) < 0.5)
    noise = rng.normal(size=(rows, size))
    order = rng.permutation(size)
    values = (noise @ np.linalg.inv(np.eye(size) - direct))[:, order]
    targets = None
    if interventions:
        targets = rng.integers(0, size + 1, size=rows)
        hit = targets[:, None] == np.arange(1, size + 1)
        values = np.where(hit, rng.normal(size=values.shape), values)
    return GraphData(values, targets=targets)


PRIORS = {
    "uniform": GraphPrior(),
    "sparse": GraphPrior(edge_probability=0.2),
    "suggested": GraphPrior(edges_per_node=0.5, hierarchical=True),
    "limited": GraphPrior(max_parents=1, sparsity=0.5),
    "knowledge": GraphPrior(required=((0, 1),), forbidden=((2, 0),), tiers=((0, 1), (2,))),
}


@pytest.mark.parametrize("interventions", [False, True])
@pytest.mark.parametrize("order_modular", [False, True])
@pytest.mark.parametrize("prior_name", list(PRIORS))
@pytest.mark.parametrize("size", [3, 4, 5])
def test_dynamic_programming_equals_enumeration(size, prior_name, order_modular, interventions):
    settings = {**vars(PRIORS[prior_name]), "order_modular": order_modular}
    prior = GraphPrior(**settings)
    score = BGeScore(linear_data(size, interventions=interventions))
    listed = exact_posterior(score, prior, method="enumeration")
    summed = exact_posterior(score, prior, method="orders" if order_modular else "layers")
    np.testing.assert_allclose(summed.edge_probability, listed.edge_probability, atol=1e-9)
    np.testing.assert_allclose(summed.ancestor_probability, listed.ancestor_probability, atol=1e-9)
    assert summed.log_evidence == pytest.approx(listed.log_evidence, abs=1e-9)


def test_enumeration_is_the_definition():
    score, prior = BGeScore(linear_data(4)), GraphPrior(sparsity=0.3)
    graphs = all_dags(4)
    log_weight = score.total(graphs) + prior.log_prob(graphs)
    probability = np.exp(log_weight - logsumexp(log_weight))
    posterior = exact_posterior(score, prior)
    np.testing.assert_allclose(posterior.probability, probability, atol=1e-12)
    np.testing.assert_allclose(
        posterior.ancestor_probability, np.tensordot(probability, ancestor_matrices(graphs), 1), atol=1e-12
    )
    evidence = logsumexp(log_weight) - logsumexp(prior.log_prob(graphs))
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize("size", [2, 3, 6, 9])
def test_layers_count_all_dags(size):
    weights = np.where((np.arange(1 << size) >> np.arange(size)[:, None]) & 1, -np.inf, 0.0)
    assert math.exp(LayerSums(weights).log_total) == pytest.approx(count_dags(size), rel=1e-10)


def test_orders_count_orders_with_their_dags():
    """Each of d! orders agrees with 2^(d (d - 1) / 2) graphs."""
    weights = np.where((np.arange(1 << 7) >> np.arange(7)[:, None]) & 1, -np.inf, 0.0)
    expected = math.lgamma(8) + 21 * math.log(2)
    assert OrderSums(weights).log_total == pytest.approx(expected, rel=1e-12)


def test_layers_keep_graphs_whose_weights_lie_hundreds_of_orders_apart():
    """A chain 0 -> 1 -> ... beats all else by e^900 at each step: no underflow, no cancellation."""
    size = 7
    weights = np.where((np.arange(1 << size) >> np.arange(size)[:, None]) & 1, -np.inf, -900.0)
    for child in range(size):
        weights[child, 1 << (child - 1) if child else 0] = 0.0
    sums = LayerSums(weights)
    probability = sums.parent_set_probabilities()
    assert sums.log_total == pytest.approx(0.0, abs=1e-12)
    for child in range(size):
        assert probability[child, 1 << (child - 1) if child else 0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("order_modular", [False, True])
def test_parent_sets_are_distributions(order_modular):
    weights = np.random.default_rng(0).normal(scale=20, size=(8, 256))
    weights[(np.arange(256) >> np.arange(8)[:, None]) & 1 == 1] = -np.inf
    sums = OrderSums(weights) if order_modular else LayerSums(weights)
    np.testing.assert_allclose(sums.parent_set_probabilities().sum(axis=1), 1.0, atol=1e-10)


@pytest.mark.parametrize(("method", "order_modular"), [("enumeration", False), ("layers", False), ("orders", True)])
def test_draws_have_the_exact_distribution(method, order_modular):
    """Chi-square on all 25 DAGs of three variables; fails by chance once in 10,000 seeds."""
    from scipy import stats

    score, prior = BGeScore(linear_data(3, rows=8)), GraphPrior(order_modular=order_modular)
    listed = exact_posterior(score, prior, method="enumeration")
    draws = exact_posterior(score, prior, method=method).sample(20_000, seed=1)
    codes = set_codes((listed.graphs != 0).reshape(-1, 9))
    drawn = set_codes((draws != 0).reshape(-1, 9))
    counts = np.array([(drawn == code).sum() for code in codes])
    assert counts.sum() == 20_000
    expected = listed.probability * 20_000
    common = expected > 5
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], max(expected[~common].sum(), 1e-9))
    keep = wanted > 1
    assert stats.chisquare(observed[keep], wanted[keep] * observed[keep].sum() / wanted[keep].sum()).pvalue > 1e-4


@pytest.mark.parametrize("order_modular", [False, True])
def test_draws_agree_with_edge_probabilities_on_eight_variables(order_modular):
    """Largest of 112 deviations within 4.5 binomial standard errors: fails by chance once in 1,300 seeds."""
    posterior = exact_posterior(BGeScore(linear_data(8)), GraphPrior(order_modular=order_modular))
    draws = posterior.sample(4000)
    error = np.sqrt(posterior.edge_probability * (1 - posterior.edge_probability) / 4000)
    deviation = np.abs(draws.mean(axis=0) - posterior.edge_probability)
    assert (deviation <= 4.5 * error + 1e-3).all()
    paths = posterior.ancestor_probability
    error = np.sqrt(paths * (1 - paths) / 4000)
    assert (np.abs(ancestor_matrices(draws).mean(axis=0) - paths) <= 4.5 * error + 1e-3).all()
    assert not ancestor_matrices(draws).diagonal(axis1=1, axis2=2).any()


def test_sixteen_variables_under_the_order_modular_prior():
    score = BGeScore(linear_data(16, rows=100))
    prior = GraphPrior(max_parents=3, order_modular=True)
    posterior = exact_posterior(score, prior)
    assert posterior.edge_probability.sum(axis=0).max() <= 3 + 1e-9
    # The number of edges in independent draws against the marginals, within 5 standard errors.
    draws = posterior.sample(1000)
    edges = draws.sum(axis=(1, 2))
    assert abs(edges.mean() - posterior.edge_probability.sum()) < 5 * edges.std() / np.sqrt(1000) + 1e-6


def test_prior_normalizer_is_the_sum_over_dags():
    prior = GraphPrior(max_parents=2, forbidden=((0, 1),))
    assert log_prior_normalizer(prior, 4) == pytest.approx(logsumexp(prior.log_prob(all_dags(4))))
    layers = LayerSums(_prior_weights(prior, 4)).log_total
    assert layers == pytest.approx(log_prior_normalizer(prior, 4))


def _prior_weights(prior, size):
    weights = np.full((size, 1 << size), -np.inf)
    for child in range(size):
        sets = prior.allowed_parent_sets(child, size)
        weights[child, set_codes(sets)] = prior.log_local(child, sets)
    return weights


def test_subset_sums_against_loops():
    table = np.random.default_rng(0).normal(size=(2, 16))
    for code in range(16):
        inside = [c for c in range(16) if c & ~code == 0]
        above = [c for c in range(16) if code & ~c == 0]
        np.testing.assert_allclose(sum_over_subsets(table)[:, code], logsumexp(table[:, inside], axis=1))
        np.testing.assert_allclose(sum_over_supersets(table)[:, code], logsumexp(table[:, above], axis=1))
    assert (set_codes(code_sets(np.arange(16), 4)) == np.arange(16)).all()


@each_row(
    ("size", "prior", "method", "message"),
    [
        (6, GraphPrior(), "enumeration", "at most 5"),
        (15, GraphPrior(), "auto", "at most 14"),
        (3, GraphPrior(order_modular=True), "layers", "order_modular"),
        (3, GraphPrior(), "orders", "order_modular"),
        (3, GraphPrior(), "brute", "method"),
        (2, GraphPrior(required=((0, 2),)), "auto", "speaks of variables"),
    ],
)
def test_what_cannot_be_done_is_said(size, prior, method, message):
    score = BGeScore(GraphData(np.random.default_rng(0).normal(size=(5, size))))
    with pytest.raises(ValueError, match=message):
        exact_posterior(score, prior, method=method)


class Impossible:
    def __init__(self, size):
        self.num_variables, self.names = size, tuple("abcdefgh"[:size])

    def local(self, child, parent_sets):
        return np.full(len(parent_sets), -np.inf)

    def total(self, adjacency):
        return np.full(len(adjacency), -np.inf)


@each_row("size", [3, 6])
def test_a_score_that_rules_out_every_graph_is_an_error(size):
    with pytest.raises(ValueError, match="score"):
        exact_posterior(Impossible(size))
