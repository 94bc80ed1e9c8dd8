"""What is said of a posterior: edges and knowledge that the rows contradict, directions that a prior alone gives."""

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery import GraphData, GraphPrior, graph_posterior
from pyro_lcm.discovery.checks.prior_knowledge import unexpected_edges
from pyro_lcm.studies.simulated_tables import KINDS, SOUND, simulate_table


def notes(data, **options):
    container = graph_posterior(data, draws=100, effects=False, **({"prior": GraphPrior.suggested()} | options))
    return str(container.attrs["notes"]).splitlines()


def test_gain_of_another_number_of_edges_is_that_of_the_prior_family():
    """The bound, summed over all graphs: an evidence exp(-2 |E|) for each graph moves the posterior to few edges."""
    graphs = all_dags(5)
    edges = graphs.sum(axis=(1, 2))
    prior = GraphPrior(edges_per_node=1.0)
    own = prior.log_prob(graphs)
    weight = np.exp(own - 8.0 * edges)
    mean = weight @ edges / weight.sum()
    found = unexpected_edges(prior, 5, mean)
    assert found.posterior == mean
    assert found.prior == pytest.approx(5.0, abs=1e-5)
    families = [np.logaddexp.reduce(v * edges) for v in (own[edges == 1][0], own[edges == 1][0] - 8.0)]
    assert found.nats == pytest.approx(-8.0 * mean - families[1] + families[0], rel=0.05)


def test_a_prior_that_the_rows_contradict():
    x = np.random.default_rng(0).normal(size=(500, 8))
    said = notes(GraphData(x), prior=GraphPrior(edges_per_node=3.0))
    assert any("the prior expects 14.0 edges" in line for line in said)
    assert notes(GraphData(x)) == []


def test_required_edges_that_the_rows_contradict():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300))
    data = GraphData(np.stack([a, b, a + 0.3 * rng.normal(size=300)], 1), names=("a", "b", "c"))
    (said,) = notes(data, prior=GraphPrior(forbidden=((0, 2), (2, 0))))
    assert "required and forbidden edges" in said
    assert notes(data, prior=GraphPrior(forbidden=((2, 0),))) == []


def test_directions_that_rest_on_the_prior_of_the_linear_score():
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 400))
    data = GraphData(np.stack([a, 0.1 * a + 0.1 * noise, rng.normal(size=400)], 1), names=("a", "b", "c"))
    said = notes(data, score="linear", standardize=False)
    assert any("b -> a rests on the prior of the score linear" in line for line in said)
    assert not any("rests on" in line for line in notes(data))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("confounded", "do_confounded", "do_soft")])
def test_kinds_of_tables(kind):
    """Misfits have a note, sound tables have none; bent mechanisms are one for bge alone."""
    data = simulate_table(kind, 5, 600, seed=3).data
    assert bool(notes(data, score="nonlinear" if kind == "sines" else "bge")) == (kind not in SOUND)


def test_checks_can_be_left_out():
    data = simulate_table("heavy", 4, 300, seed=0).data
    assert notes(data, checks=False) == []
