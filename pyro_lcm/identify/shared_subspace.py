"""What the two sides of a pair share: the directions of x that carry variables, told from those of noise.

Whitening gives a direction of pure noise the same variance as one that carries a variable. Over a pair the two differ:
noise is new on the other side, while a variable keeps its noise encoding unless it is the target. So with whitened x,

    C = (E[x x~'] + E[x~ x']) / 2

has an eigenvalue of about 0, the correlation between the sides, for directions of noise and a positive one for those of
variables (the shared part of canonical correlation analysis, Bach and Jordan 2005). Their number is that of the
variables where the mixing is linear, and an upper bound where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyro_lcm.identify.directions import Array

_NULL = 1e-10
"""Share of the largest variance of x below which a direction is taken as without any."""
_MARGIN = 1.5
"""Correlation taken as none, in units of the largest that N pairs of pure noise have."""


@dataclass(frozen=True)
class SharedDirections:
    """Directions of whitened x by how much the two sides of a pair have in common.

    Attributes:
        correlations: (D,) correlation of the two sides along each direction, the largest first.
        directions: (D, D) orthonormal, a row each.
        number: how many correlations chance does not explain.
    """

    correlations: Array
    directions: Array
    number: int


def shared_of_any(before: Array, after: Array) -> tuple[SharedDirections, Array, Array]:
    """Shared directions of observations that need not be white.

    Args:
        before: (N, D).
        after: (N, D), the other sides.

    Returns:
        The directions, of whitened x; the mean (D,) of x; and the map (D, k) that whitens x - mean.
    """
    both = np.concatenate([before, after])
    centre = both.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(both.T)))
    kept = values > _NULL * values[-1]
    whitener = vectors[:, kept] / np.sqrt(values[kept])
    return shared_directions(*((side - centre) @ whitener for side in (before, after))), centre, whitener


def shared_directions(before: Array, after: Array) -> SharedDirections:
    """Order the directions of whitened observations by what the sides share.

    Args:
        before: (N, D), whitened.
        after: (N, D), the other sides.

    Returns:
        The directions. The number is of correlations beyond 1.5 sqrt(2 D / N), the spectrum of noise ending at
        sqrt(2 D / N).
    """
    count, width = before.shape
    cross = before.T @ after / count
    values, vectors = np.linalg.eigh((cross + cross.T) / 2)
    chance = chance_correlation(count, width)
    return SharedDirections(values[::-1], vectors.T[::-1], int((values > chance).sum()))


def chance_correlation(count: int, width: int) -> float:
    """Correlation up to which so many pairs of so many whitened directions say nothing.

    >>> round(chance_correlation(20_000, 6), 3)
    0.037
    """
    return float(_MARGIN * np.sqrt(2 * width / count))
