"""Variables whose noise differs from regime to regime: joint diagonalisation of what is left of frames, a closed form.

Let x' = A z', with variables whose noise is independent given the frame before, of a variance that depends on the
regime. What regressions on functions of the frame before leave then has in regime r the covariance A D_r A', with a
diagonal D_r, so one matrix makes all of them diagonal, and if no two variables have the same variances but for a factor
it is the inverse of A' (unmixing by nonstationary variances: Pham and Cardoso, IEEE Transactions on Signal Processing
2001; rotations after Cardoso and Souloumiac, SIAM Journal on Matrix Analysis 1996).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.identify.intervened_directions import features_of

Array = NDArray[np.float64]

_SWEEPS = 100


class DiagonalDirections(NamedTuple):
    """Latents as linear functions of observations, and how noisy they are in each regime."""

    unmixing: Array
    """(M, M): latents are x' @ unmixing, of standard deviation 1."""
    regimes: NDArray[np.int8]
    """(R, A) the different rows of actions, of which there were enough."""
    variances: Array
    """(R, M) of what is left of each latent in each regime, relative to their mean."""


def diagonal_directions(before: Array, after: Array, actions: NDArray[np.integer]) -> DiagonalDirections:
    """Find latents that are linear in observations.

    Args:
        before: (N, M) frames before, whitened.
        after: (N, M) frames after, likewise.
        actions: (N, A) 0 and 1; a regime is a row of these.

    Raises:
        ValueError: if there are fewer than two regimes of steps enough.

    >>> rng = np.random.default_rng(0)
    >>> z, actions = rng.normal(size=(4000, 2)), np.eye(2, dtype=int)[rng.integers(0, 2, 4000)]
    >>> after = z[:, ::-1] + np.where(actions, 2.0, 0.5) * rng.normal(size=z.shape)
    >>> mixing = np.array([[1.0, 0.5], [-0.5, 1.0]])
    >>> found = diagonal_directions(z @ mixing, after @ mixing, actions)
    >>> np.sort(np.abs(np.corrcoef(after.T, (after @ mixing @ found.unmixing).T)[:2, 2:]).max(0)).round(1)
    array([1., 1.])
    """
    functions = features_of(before)
    rows, label = np.unique(actions, axis=0, return_inverse=True)
    kept, covariances = [], []
    for regime in range(len(rows)):
        chosen = label.reshape(-1) == regime
        if chosen.sum() < 2 * functions.shape[1]:
            continue
        told, seen = functions[chosen], after[chosen]
        rest = seen - told @ np.linalg.lstsq(told, seen, rcond=None)[0]
        kept.append(regime)
        covariances.append(rest.T @ rest / len(rest))
    if len(kept) < 2:
        raise ValueError(f"actions: got {len(kept)} kinds with steps enough, expected at least 2")
    values, axes = np.linalg.eigh(np.mean(covariances, 0))
    root = axes / np.sqrt(np.maximum(values, 1e-9 * values[-1]))
    rotation, diagonals = jointly_diagonal(root.T @ np.stack(covariances) @ root)
    unmixing = root @ rotation
    return DiagonalDirections(unmixing / (after @ unmixing).std(0), rows[kept].astype(np.int8), diagonals)


def jointly_diagonal(matrices: Array) -> tuple[Array, Array]:
    """The rotation (M, M) under which symmetric (R, M, M) are as diagonal as can be, and their diagonals (R, M).

    >>> rotation = np.array([[0.8, -0.6], [0.6, 0.8]])
    >>> matrices = np.stack([rotation @ np.diag(d) @ rotation.T for d in ((1.0, 2.0), (3.0, 1.0))])
    >>> np.sort(jointly_diagonal(matrices)[1][0]).round(6).tolist()
    [1.0, 2.0]
    """
    turned, size = matrices.copy(), matrices.shape[1]
    total = np.eye(size)
    for _ in range(_SWEEPS):
        largest = 0.0
        for i in range(size):
            for j in range(i + 1, size):
                parts = np.stack([turned[:, i, i] - turned[:, j, j], 2 * turned[:, i, j]], 1)
                gram = parts.T @ parts
                angle = np.arctan2(2 * gram[0, 1], gram[0, 0] - gram[1, 1]) / 4
                step = np.eye(size)
                step[[i, j], [i, j]] = np.cos(angle)
                step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
                turned, total = step.T @ turned @ step, total @ step
                largest = max(largest, abs(float(angle)))
        if largest < 1e-9:
            break
    return total, np.diagonal(turned, axis1=1, axis2=2).copy()
