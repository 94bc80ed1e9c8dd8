"""How many edges a prior expects, against all DAGs."""

import math

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.edge_counts import expected_edges, log_dag_sum, weight_of_edges
from pyro_lcm.discovery.exact.posterior import count_dags


@pytest.mark.parametrize("weight", [-3.0, -0.4, 0.0, 1.5])
def test_sum_and_mean_over_all_graphs(weight):
    edges = all_dags(5).sum(axis=(1, 2))
    factor = np.exp(weight * edges)
    assert log_dag_sum(5, weight) == pytest.approx(np.log(factor.sum()), abs=1e-10)
    assert expected_edges(5, weight) == pytest.approx(factor @ edges / factor.sum(), abs=1e-6)


def test_many_variables():
    assert log_dag_sum(40, 0.0) == pytest.approx(math.log(count_dags(40)), abs=1e-9)
    # so sparse that cycles hardly matter: each of d (d - 1) ordered pairs by itself, less what a pair excludes
    weight = weight_of_edges(300, 3.0)
    assert np.exp(weight) * 300 * 299 == pytest.approx(3.0, rel=0.01)
    assert expected_edges(100, weight_of_edges(100, 200.0)) == pytest.approx(200.0)


@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_means_that_no_graph_has(mean):
    with pytest.raises(ValueError, match="mean"):
        weight_of_edges(5, mean)
