"""Units do not matter to a posterior over graphs, and effects are in them."""

import numpy as np
import pytest

from pyro_lcm.discovery import GraphData, graph_posterior, graph_summary
from pyro_lcm.discovery.arviz_compat import group

RNG = np.random.default_rng(0)
A = RNG.normal(size=200)
B = A + RNG.normal(size=200)
C = B + RNG.normal(size=200)
CHAIN = np.column_stack([A, B, C])
TARGETS = np.r_[np.zeros(150, int), np.full(50, 2)]


def probabilities(values, targets=None, **options):
    found = graph_posterior(GraphData(values, targets=targets, names=("a", "b", "c")), draws=50, chains=1, **options)
    return group(found, "constant_data")["edge_probability"].values


@pytest.mark.parametrize("score", ["bge", "linear", "nonlinear"])
@pytest.mark.parametrize("targets", [None, TARGETS], ids=["seen", "set"])
def test_any_column_in_any_unit(score, targets):
    """The goal of issue 18: the same probabilities to 1e-9 for any column times 1e-6 to 1e6."""
    expected = probabilities(CHAIN, targets, score=score)
    for column in range(3):
        for factor in (1e-6, 1e-3, 1e3, 1e6):
            scaled = CHAIN.copy()
            scaled[:, column] *= factor
            np.testing.assert_allclose(probabilities(scaled, targets, score=score), expected, atol=1e-9)
    np.testing.assert_allclose(probabilities(CHAIN + np.array([0, 0, 50.0]), targets, score=score), expected, atol=1e-7)


def test_a_chain_in_thousandths_has_no_edge_across():
    """As it was found: with b in thousandths, a and c were joined for sure."""
    scaled = CHAIN * [1, 1e-3, 1]
    across = [probability[0, 2] + probability[2, 0] for probability in map(probabilities, (CHAIN, scaled))]
    assert across[0] == pytest.approx(across[1], abs=1e-9)
    assert across[0] < 0.2
    as_given = probabilities(scaled, standardize=False)
    assert as_given[0, 2] + as_given[2, 0] > 0.9


def test_effects_stay_in_the_units_of_the_data():
    plain, scaled = (graph_posterior(CHAIN * unit, draws=400, chains=1) for unit in ([1, 1, 1], [1, 1e3, 1]))
    of_plain, of_scaled = (group(each, "posterior")["effect"].values for each in (plain, scaled))
    np.testing.assert_allclose(of_scaled[..., 0, 1], 1e3 * of_plain[..., 0, 1], rtol=1e-5)
    np.testing.assert_allclose(of_scaled[..., 1, 2], 1e-3 * of_plain[..., 1, 2], rtol=1e-5)
    np.testing.assert_allclose(of_scaled[..., 1, 1], 1.0, rtol=1e-6)


def test_what_is_constant_keeps_its_unit():
    rows = np.column_stack([CHAIN[:, 0], np.full(200, 7.0), CHAIN[:, 2]])
    data, unit = GraphData(rows).in_own_units()
    np.testing.assert_array_equal(data.values[:, 1], 0.0)
    assert unit[1] == 1.0
    hit = np.r_[np.zeros(150, int), np.full(50, 2)]
    rows[150:, 1] = RNG.normal(size=50)
    assert GraphData(rows, targets=hit).in_own_units()[1][1] == pytest.approx(rows[:, 1].std())
    assert graph_summary(graph_posterior(GraphData(rows, targets=hit), draws=10)).expected_edges > 0
