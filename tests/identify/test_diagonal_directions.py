"""One matrix makes covariances diagonal, and variances that regimes do not tell apart are no regimes."""

import numpy as np
import pytest

from pyro_lcm.identify.diagonal_directions import diagonal_directions, jointly_diagonal


def test_a_rotation_is_found_from_matrices_that_are_diagonal_in_it():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    diagonals = rng.uniform(1, 5, (4, 5))
    matrices = np.stack([rotation @ np.diag(d) @ rotation.T for d in diagonals])
    found, values = jointly_diagonal(matrices)
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-10)
    overlap = np.abs(found.T @ rotation)
    np.testing.assert_allclose(np.sort(overlap, 1)[:, -1], 1, atol=1e-8)
    np.testing.assert_allclose(values[:, overlap.argmax(0)], diagonals, atol=1e-8)


def test_one_regime_says_nothing():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="actions: got 1 kinds"):
        diagonal_directions(rng.normal(size=(500, 2)), rng.normal(size=(500, 2)), np.ones((500, 1), dtype=int))
