"""Evidence of other scores: a bound that holds, and a choice that leaves sound tables alone."""

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery import GraphData, GraphPrior, exact_posterior, graph_posterior
from pyro_lcm.discovery.checks.climb import climb
from pyro_lcm.discovery.checks.other_scores import choose_score, entropy_bound, evidence_beside
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore
from pyro_lcm.studies.simulated_tables import simulate_table

BUILDERS = {"bge": BGeScore, "linear": LinearGaussianScore, "nonlinear": NonlinearScore}


@pytest.mark.parametrize("kind", ["gaussian", "bent", "squares"])
def test_bounds_hold_and_tell_what_is_clear(kind):
    data, _ = simulate_table(kind, 4, 200, seed=1).data.in_own_units()
    prior = GraphPrior.suggested()
    score = BGeScore(data)
    own = exact_posterior(score, prior)
    others = {name: build(data) for name, build in BUILDERS.items() if name != "bge"}
    found = evidence_beside(score, others, prior, own.sample(400))
    for name, other in others.items():
        exact = exact_posterior(other, prior).log_evidence - own.log_evidence
        assert found[name] < exact + 0.5
        assert (found[name] > 10) == (exact > 12)
    assert choose_score(data, BUILDERS, prior) == ("bge" if kind == "gaussian" else "nonlinear")


def test_a_square_without_correlation_is_seen():
    """Neither draw of bge has the edge: the bound comes from a graph that the other score likes."""
    x = np.random.default_rng(0).normal(size=200)
    data = GraphData(np.stack([x, x**2 + 0.3 * np.random.default_rng(1).normal(size=200)], 1))
    container = graph_posterior(data, draws=50, effects=False)
    assert "score nonlinear explains these rows better" in container.attrs["notes"]
    assert graph_posterior(data, score="auto", draws=50, effects=False).attrs["score"] == "nonlinear"


def test_climbing_ends_where_no_single_edge_helps():
    score, prior = BGeScore(simulate_table("gaussian", 4, 100, seed=2).data), GraphPrior(sparsity=0.5)
    graph, value = climb(score, prior)
    graphs = all_dags(4)
    apart = (graphs != graph).sum(axis=(1, 2))
    near = score.total(graphs[apart == 1]) + prior.log_prob(graphs[apart == 1])
    assert value == pytest.approx(float(score.total(graph) + prior.log_prob(graph)))
    assert near.max() <= value + 1e-9


def test_entropy_of_independent_pairs_is_exact():
    rng = np.random.default_rng(0)
    graphs = np.zeros((4000, 4, 4), dtype=np.int8)
    graphs[:, 0, 1], graphs[:, 2, 3] = rng.random((2, 4000)) < 0.5
    assert entropy_bound(graphs) == pytest.approx(2 * np.log(2), abs=0.01)
