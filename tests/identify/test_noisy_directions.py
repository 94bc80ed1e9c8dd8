"""Lines under noise: known moves and a known noise covariance are recovered, and curved lines are noticed."""

import numpy as np
import pytest

from pyro_lcm.fitting.linearity import MAX_CURVATURE, MAX_UNEVENNESS
from pyro_lcm.identify.directions import find_directions
from pyro_lcm.identify.noisy_directions import fit_noisy_directions


def _noisy(dim, rows=6000, *, noise=0.1, seed=0, curve=0.0, causes=9):
    """Differences of one-sparse moves under a mixing, with correlated noise; a curve bends the first lines."""
    rng = np.random.default_rng(seed)
    target = rng.choice(dim + 1, size=rows)
    moves = rng.normal(size=rows)[:, None] * np.eye(dim + 1)[target][:, 1:]
    mixing = rng.normal(size=(dim, dim)) + 2 * np.eye(dim)
    root = noise * rng.normal(size=(dim, dim))
    bent = moves + curve * np.roll(moves**2, 1, axis=1) * (np.arange(dim) < causes)
    return bent @ mixing + rng.normal(size=(rows, dim)) @ root, mixing, root.T @ root


def _fit(differences):
    return fit_noisy_directions(differences, find_directions(differences, seed=1))


@pytest.mark.parametrize("dim", [2, 4])
def test_moves_noise_and_shares_are_recovered(dim):
    differences, mixing, noise = _noisy(dim)
    found = _fit(differences)
    cosines = np.abs(found.loadings @ mixing.T) / np.linalg.norm(mixing, axis=1)
    cosines /= np.linalg.norm(found.loadings, axis=1)[:, None]
    match = cosines.argmax(1)
    assert sorted(match) == list(range(dim))
    assert cosines.max(1).min() > 0.998
    np.testing.assert_allclose(
        np.linalg.norm(found.loadings, axis=1), np.linalg.norm(mixing, axis=1)[match], rtol=0.1
    )  # moves have unit variance
    assert np.linalg.norm(found.noise - noise) < 0.15 * np.linalg.norm(noise)
    np.testing.assert_allclose(found.shares, 1 / (dim + 1), atol=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.1])
def test_noise_alone_does_not_bend_lines_and_curves_do(noise):
    assert _fit(_noisy(3, noise=noise)[0]).curvature < 1.1
    assert _fit(_noisy(3, noise=noise, curve=0.5)[0]).curvature > MAX_CURVATURE


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.03])
def test_one_line_that_bends_is_further_off_than_the_others(noise):
    found = _fit(_noisy(3, noise=noise, curve=0.3, causes=1)[0])
    assert found.unevenness > MAX_UNEVENNESS


def test_heavy_tails_do_not_bend_lines():
    differences, *_ = _noisy(3, noise=0.01)
    found = _fit(differences + 0.1 * np.random.default_rng(1).standard_t(2, differences.shape))
    assert found.curvature < MAX_CURVATURE
    assert found.unevenness < MAX_UNEVENNESS


def test_a_single_variable_has_a_straight_line():
    found = _fit(_noisy(1)[0])
    assert (found.curvature, found.unevenness) == (1.0, 1.0)
