"""Triplets: are variables of two frames put together to a third one by their latents?

Of two frames a and b and a choice for each variable, the third frame has the variables chosen of a, and the others of
b. Its latents are put together in the same way, group by group, and decoded; what variables the result shows, a
regression of variables on frames says that was fitted on other frames (the "causal encoder" of CITRIS: Lippe et al.,
ICML 2022, arXiv 2202.03169, section 6). A latent that tells of two variables, or a variable that a latent of another
group tells of too, gives a frame that is neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

Array = NDArray[np.float64]

__all__ = ["TripletScores", "triplet_scores"]

_MIN_ROWS = 200


class TripletScores(NamedTuple):
    """How well variables of frames that were put together are those that they should be, the mean R2 over variables."""

    r2: float
    """Of frames decoded from latents that were put together."""
    ceiling: float
    """Of the frames themselves: what the regression can tell at most."""


def triplet_scores(
    x: ArrayLike,
    latents: ArrayLike,
    assignment: ArrayLike,
    z: ArrayLike,
    variables: ArrayLike,
    decode: Callable[[Array], ArrayLike],
    *,
    triplets: int = 2000,
    seed: int = 0,
) -> TripletScores:
    """Score latents by frames that are put together.

    Args:
        x: Frames, shape (N, D).
        latents: Their latents, shape (N, M).
        assignment: The variable, 1 to K, or 0 for none, of each latent, shape (M,).
        z: True variables, shape (N, n).
        variables: Which variable each column belongs to, 0 for none, shape (n,).
        decode: Frames (rows, D) of latents (rows, M).
        triplets: How many to make.
        seed: Of all that is drawn.

    Raises:
        ValueError: If shapes do not fit, or there are fewer than 200 rows.

    >>> z = np.random.default_rng(0).normal(size=(2000, 2))
    >>> found = triplet_scores(z @ [[1, 1], [1, -1]], z**3, [1, 2], z, [1, 2], lambda c: np.cbrt(c) @ [[1, 1], [1, -1]])
    >>> found.r2 > 0.9, found.ceiling > 0.9
    (True, True)
    """
    frames, codes, truth = (np.asarray(each, dtype=np.float64) for each in (x, latents, z))
    groups, columns = np.asarray(assignment), np.asarray(variables)
    if frames.ndim != 2 or not len(frames) == len(codes) == len(truth) or len(frames) < _MIN_ROWS:
        raise ValueError(
            f"x, latents, z: got shapes {frames.shape}, {codes.shape} and {truth.shape},"
            f" expected (N, D), (N, M) and (N, n), N of at least {_MIN_ROWS}"
        )
    if groups.shape != codes.shape[1:] or columns.shape != truth.shape[1:]:
        raise ValueError(
            f"assignment, variables: got shapes {groups.shape} and {columns.shape}, expected {codes.shape[1:]} and"
            f" {truth.shape[1:]}"
        )
    rng = np.random.default_rng(seed)
    fit, test = np.array_split(rng.permutation(len(frames)), 2)
    regressors = [HistGradientBoostingRegressor(random_state=0).fit(frames[fit], column) for column in truth[fit].T]

    def shown(of: Array) -> Array:
        return np.column_stack([regressor.predict(of) for regressor in regressors])

    first, second = rng.choice(test, triplets), rng.choice(test, triplets)
    chosen = rng.random((triplets, 1 + max(int(groups.max()), int(columns.max())))) < 0.5
    code = np.where(chosen[:, groups], codes[first], codes[second])
    expected = np.where(chosen[:, columns], truth[first], truth[second])
    made = np.asarray(decode(code), dtype=np.float64).reshape(triplets, -1)
    return TripletScores(_mean_r2(shown(made), expected), _mean_r2(shown(frames[test]), truth[test]))


def _mean_r2(prediction: Array, truth: Array) -> float:
    total = np.square(truth - truth.mean(0)).sum(0)
    left = np.square(truth - prediction).sum(0)
    return float(np.mean(1 - left / np.maximum(total, 1e-12)))
