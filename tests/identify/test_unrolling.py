"""Curves that are unrolled: winding ones, ones with gaps, and surfaces, which are told from them."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pyro_lcm.identify.unrolling import unroll_curve


def _winding(t):
    return np.column_stack([np.sin(9 * t), np.cos(5 * t + 1), np.sin(4 * t + 2)])


def _rank_correlation(a, b):
    return abs(spearmanr(a, b)[0])


def test_a_winding_curve_is_unrolled_though_no_coordinate_is_monotone():
    rng = np.random.default_rng(0)
    t = rng.uniform(size=4000)
    points = _winding(t) + 0.03 * rng.normal(size=(4000, 3))
    assert max(_rank_correlation(column, t) for column in points.T) < 0.9
    found = unroll_curve(points)
    assert _rank_correlation(found.place, t) > 0.995
    assert found.slender > 2
    np.testing.assert_allclose([found.place.mean(), found.place.std()], [0, 1], atol=0.01)


def test_islands_are_joined_at_their_nearest_ends():
    t = np.random.default_rng(1).uniform(size=3000)
    t = t[(t < 0.4) | (t > 0.5)]
    found = unroll_curve(np.column_stack([t, t**2]))
    assert _rank_correlation(found.place, t) > 0.999


def test_a_surface_is_not_slender():
    points = np.random.default_rng(2).uniform(size=(3000, 2))
    assert unroll_curve(points).slender < 1.5


def test_few_points_will_do():
    t = np.linspace(0, 1, 5)
    assert _rank_correlation(unroll_curve(t[:, None]).place, t) == pytest.approx(1.0)


def test_what_is_no_set_of_points_is_refused():
    with pytest.raises(ValueError, match=r"^points: got shape \(5,\), expected \(N, r\)"):
        unroll_curve(np.zeros(5))
