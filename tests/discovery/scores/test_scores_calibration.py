"""A small version of benchmarks/graph_calibration.py, and the error itself by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pyro_lcm.discovery.calibration import edge_calibration
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from tables import each_row


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[3] / "benchmarks" / "graph_calibration.py"
    spec = importlib.util.spec_from_file_location("graph_calibration", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exact_edge_probabilities_are_calibrated(benchmark):
    """200 problems of four variables: sampling error alone gave at most 0.028 over 20 seeds."""
    assert benchmark.measure("exact", 200, 4, 30).error < 0.04


def test_generator_is_the_prior_of_the_score(benchmark):
    """Average evidence ratio E[p(x | other graph) / p(x | graph)] is one under data from the graph.

    800 data sets of three rows; the ratio has heavy tails, so it is its bounded form p1 / (p1 + p0) whose
    means under both graphs must mirror each other: E0[p1 / (p0 + p1)] = E1[p0 / (p0 + p1)].
    """
    rng = np.random.default_rng(0)
    graphs = [np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]])]
    other = [[], []]
    for graph in range(2):
        for _ in range(800):
            score = BGeScore(GraphData(benchmark.draw_rows(graphs[graph], 3, rng)))
            own, rival = score.total(graphs[graph]), score.total(graphs[1 - graph])
            other[graph].append(1 / (1 + np.exp(own - rival)))
    assert stats.ttest_ind(*other).pvalue > 1e-3


def test_error_by_hand():
    found = edge_calibration([0.05, 0.15, 0.15, 1.0], [True, False, True, True])
    assert found.counts.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.error == pytest.approx((0.95 + 2 * 0.35 + 0.0) / 4)
    assert np.isnan(found.predicted[5])


@each_row(
    ("probability", "truth", "bins", "message"),
    [
        ([], [], 10, "probability"),
        ([0.5], [True, False], 10, "probability"),
        ([1.5], [True], 10, "within"),
        ([0.5], [True], 0, "bins"),
    ],
)
def test_bad_input(probability, truth, bins, message):
    with pytest.raises(ValueError, match=message):
        edge_calibration(probability, truth, bins=bins)
