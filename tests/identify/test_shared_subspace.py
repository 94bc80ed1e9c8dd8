"""Directions that both sides of a pair share: as many as there are variables under noise."""

import numpy as np
import pytest

from pyro_lcm import ScalingSystem
from pyro_lcm.fitting.design import fit_standardizer
from pyro_lcm.identify.shared_subspace import shared_directions


def _whitened(pairs):
    standardizer = fit_standardizer(pairs, units="whiten")
    return [standardizer.transform(side).astype(np.float64) for side in (pairs.x, pairs.x_after)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_directions_are_told_from_variables(seed):
    pairs = ScalingSystem(4, seed=seed, dim_x=9, observation_noise=0.02).sample(8000)
    before, after = _whitened(pairs)
    found = shared_directions(before, after)
    assert found.number == 4
    assert (np.diff(found.correlations) <= 0).all()
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(9), atol=1e-9)
    # What is left of x after the four directions says nothing about the variables.
    code = before @ found.directions.T
    fit = np.linalg.lstsq(code, pairs.noise, rcond=None)[0]
    assert np.abs(fit[4:]).max() < 0.05 < np.abs(fit[:4]).max()


def test_sides_without_anything_in_common_share_no_direction():
    before, after = np.random.default_rng(0).normal(size=(2, 5000, 6))
    assert shared_directions(before, after).number == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_variables_with_strong_causes_share_as_much_as_others(seed):
    # Whitened by both sides, new noise encodings are so wide that three of these directions share nothing.
    pairs = ScalingSystem(16, seed=seed, dim_x=32, observation_noise=0.01).sample(8000)
    before, after = _whitened(pairs)
    found = shared_directions(before, after)
    assert found.number == 16
    code = before @ found.directions[:16].T
    left = pairs.noise - code @ np.linalg.lstsq(code, pairs.noise, rcond=None)[0]
    assert (left.var(0) / pairs.noise.var(0)).max() < 0.15


def test_a_direction_that_moves_on_the_other_side_alone_shares_nothing():
    before, after = np.random.default_rng(0).normal(size=(2, 2000, 2))
    before[:, 1] = 0.0
    after[:, 0] = before[:, 0]
    found = shared_directions(before, after)
    assert found.number == 1
    np.testing.assert_allclose(np.abs(found.directions), np.eye(2), atol=0.05)
