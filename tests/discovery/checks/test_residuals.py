"""Noise: its shape and its size, on tables that have it and on many that have not."""

import numpy as np
import pytest

from pyro_lcm.discovery import GraphData
from pyro_lcm.discovery.checks.residuals import noise_shapes, residuals, usual_graph
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore
from pyro_lcm.studies.simulated_tables import simulate_table


def odd(kind, seed, rows=500):
    table = simulate_table(kind, 5, rows, seed)
    data, _ = table.data.in_own_units()
    return noise_shapes(BGeScore(data), data, table.adjacency)


@pytest.mark.parametrize(
    ("kind", "attribute"), [("heavy", "kurtosis"), ("skewed", "skewness"), ("scaled_noise", "explained")]
)
def test_misfits_are_named(kind, attribute):
    assert all(any(getattr(each, attribute) for each in odd(kind, seed)) for seed in range(5))


def test_few_false_alarms():
    """At most .005 a table: three in 60 tables of 5 variables happen once in 400 times."""
    assert sum(bool(odd(kind, seed, 200)) for kind in ("gaussian", "do_gaussian") for seed in range(30)) < 3


def test_residuals_of_nonlinear_mechanisms_are_noise():
    rng = np.random.default_rng(0)
    cause, noise = rng.normal(size=(2, 400))
    data = GraphData(np.stack([cause, np.sin(2 * cause) + 0.3 * noise], 1))
    rest = residuals(NonlinearScore(data), data.values, 1, np.array([0]))
    assert np.corrcoef(rest, noise)[0, 1] > 0.97
    assert np.corrcoef(residuals(BGeScore(data), data.values, 1, np.array([0])), noise)[0, 1] < 0.8


def test_the_usual_graph_is_the_one_drawn_most():
    graphs = np.zeros((10, 2, 2), dtype=np.int8)
    graphs[3:, 0, 1] = 1
    assert usual_graph(graphs)[0, 1] == 1
