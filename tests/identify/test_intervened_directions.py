"""Directions of known interventions in closed form: exact where the mixing is linear."""

import numpy as np
import pytest

from pyro_lcm.identify.intervened_directions import intervened_directions


def _sequence(variables, targets, rng):
    """Latents before and after; each follows the one before it, or is drawn anew where its variable is set."""
    n, width = len(targets), len(variables)
    before = rng.normal(size=(n, width))
    follow = 0.9 * np.roll(before, 1, axis=1) + 0.3 * before**2 - 0.3
    natural = follow + 0.4 * rng.normal(size=(n, width))
    hit = np.column_stack([np.zeros(n, dtype=int), targets])[:, variables] > 0
    return before, np.where(hit, rng.normal(size=(n, width)), natural)


def _correlations(found, after, x):
    codes = x @ found.unmixing
    return np.abs(np.corrcoef(after.T, codes.T)[: after.shape[1], after.shape[1] :])


def _whiten(before, after, mixing):
    values = np.concatenate([before, after]) @ mixing
    variances, axes = np.linalg.eigh(np.cov(values.T))
    root = axes / np.sqrt(variances)
    return before @ mixing @ root, after @ mixing @ root


@pytest.mark.parametrize("single", [False, True])
def test_one_latent_a_variable(single):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (20_000, 3))
    if single:
        chosen = rng.integers(0, 4, 20_000)
        targets = (chosen[:, None] == np.arange(1, 4)).astype(int)
    before, after = _sequence([1, 2, 3], targets, rng)
    x, x_after = _whiten(before, after, rng.normal(size=(3, 3)))
    found = intervened_directions(x, x_after, targets)
    assert found.assignment.tolist() == [1, 2, 3]
    assert np.diagonal(_correlations(found, after, x_after)).min() > 0.99


def test_a_latent_that_nothing_acts_on_comes_last():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, (20_000, 2))
    before, after = _sequence([1, 2, 0], targets, rng)
    x, x_after = _whiten(before, after, rng.normal(size=(3, 3)))
    found = intervened_directions(x, x_after, targets)
    assert found.assignment.tolist() == [1, 2, 0]
    # What is orthogonal to the others' columns is a function of the latent of none alone.
    assert _correlations(found, after, x_after)[2, 2] > 0.99


def test_two_latents_of_a_variable():
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 2, (40_000, 2))
    before, after = _sequence([1, 1, 2], targets, rng)
    x, x_after = _whiten(before, after, rng.normal(size=(3, 3)))
    found = intervened_directions(x, x_after, targets)
    assert found.assignment.tolist() == [1, 1, 2]
    codes = x_after @ found.unmixing
    # The two are coordinates of the variable's plane: linear in its latents and in nothing else.
    coefficients = np.linalg.lstsq(after - after.mean(0), codes - codes.mean(0), rcond=None)[0]
    assert np.abs(coefficients[2, :2]).max() < 0.03 * np.abs(coefficients[:2, :2]).max()
    assert np.abs(coefficients[:2, 2]).max() < 0.03 * np.abs(coefficients[2, 2])


def test_more_variables_than_directions_are_refused():
    with pytest.raises(ValueError, match=r"^targets: got 3 variables, expected at most 2"):
        intervened_directions(np.zeros((5, 2)), np.zeros((5, 2)), np.zeros((5, 3), dtype=int))
