"""What is said against draws that are not to be trusted."""

import numpy as np
import pytest

from pyro_lcm.discovery.draws import GraphDraws
from pyro_lcm.discovery.posterior import graph_posterior, to_container
from pyro_lcm.discovery.problems import posterior_problems
from pyro_lcm.discovery.summary import graph_summary


def problems(adjacency, **attrs):
    draws = GraphDraws(
        adjacency=adjacency, log_score=np.zeros(adjacency.shape[:2]), method="mcmc", names=("a", "b"), attrs=attrs
    )
    container = to_container(draws)
    return posterior_problems(container, graph_summary(container))


@pytest.fixture
def agreeing():
    """(4, 100, 2, 2) draws in which a -> b has probability one half in every chain."""
    adjacency = np.zeros((4, 100, 2, 2), dtype=np.int8)
    adjacency[..., 0, 1] = np.arange(100) % 2
    return adjacency


def test_nothing_is_said_against_good_draws(agreeing):
    assert problems(agreeing) == ()
    assert problems(agreeing, missed_edges=0.1, candidates=8, efficiency=0.9) == ()


def test_chains_that_disagree(agreeing):
    agreeing[:2, :, 0, 1] = 0
    (line,) = problems(agreeing)
    assert "disagree on 1 of 2 edges" in line
    assert "a -> b" in line


def test_edges_beyond_the_candidates(agreeing):
    (line,) = problems(agreeing, missed_edges=4.6, candidates=8)
    assert "about 4.6 edges a graph are left out" in line
    assert "8 candidates" in line


def test_a_poor_variational_fit(agreeing):
    (line,) = problems(agreeing, efficiency=0.004)
    assert "efficiency of 0.004" in line
    assert "mcmc" in line


def test_exact_draws_are_no_problem():
    container = graph_posterior(np.random.default_rng(0).normal(size=(30, 3)), draws=8)
    assert posterior_problems(container, graph_summary(container)) == ()
