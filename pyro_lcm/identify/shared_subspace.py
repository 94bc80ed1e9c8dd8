"""What the two sides of a pair share: the directions of x that carry variables, told from those of noise.

Whitening gives a direction of pure noise the same variance as one that carries a variable. Over a pair the two differ:
noise is new on the other side, while a variable keeps its noise encoding unless it is the target. So with whitened x,

    C = (E[x x~'] + E[x~ x']) / 2

has an eigenvalue of about 0, the correlation between the sides, for directions of noise and a positive one for those of
variables (the shared part of canonical correlation analysis, Bach and Jordan 2005). Their number is that of the
variables where the mixing is linear, and an upper bound where it is not.

What it is whitened by matters. A variable with strong causes that is set regardless of them has a new noise encoding
far out, and of 16 variables a variance of 30 over both sides for 1 before: its direction would share as little as noise
does. Among observations before, noise encodings all have variance one, and each direction shares what its variable is
not the target of; so C is that of x whitened by the side before, over the pairs whose other side is not far out in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyro_lcm.identify.directions import Array

_NULL = 1e-10
"""Share of the largest variance of x below which a direction is taken as without any."""
_MARGIN = 1.5
"""Correlation taken as none, in units of the largest that N pairs of pure noise have."""
_NEAR = 0.8
"""Share of the pairs that is looked at, those whose other side is least far out."""


@dataclass(frozen=True)
class SharedDirections:
    """Directions of whitened x by how much the two sides of a pair have in common.

    Attributes:
        correlations: (D,) correlation of the two sides, the largest first, over pairs that are not far out.
        directions: (D, D) orthonormal, a row each; the first k span what the k largest correlations are of.
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
    whitener = _whitener(before.T @ before)
    size = np.square(after @ whitener).sum(1)
    near = size <= np.quantile(size, _NEAR)
    before, after = before[near], after[near]
    whitener = _whitener((before.T @ before + after.T @ after) / 2)
    count, width = before.shape
    cross = whitener.T @ (before.T @ after) @ whitener
    values, vectors = np.linalg.eigh((cross + cross.T) / 2)
    # What is not correlated with noise is so in any units: the span of the readouts is that of the directions.
    directions = np.linalg.qr(whitener @ vectors[:, ::-1])[0].T
    chance = chance_correlation(count, width)
    return SharedDirections(values[::-1], directions, int((values > chance).sum()))


def _whitener(scatter: Array) -> Array:
    """Map (D, D) to coordinates in which the scatter is the identity."""
    values, vectors = np.linalg.eigh(scatter)
    return np.asarray(vectors / np.sqrt(np.maximum(values, max(_NULL * values[-1], np.finfo(float).tiny))))


def chance_correlation(count: int, width: int) -> float:
    """Correlation up to which so many pairs of so many whitened directions say nothing.

    >>> round(chance_correlation(20_000, 6), 3)
    0.037
    """
    return float(_MARGIN * np.sqrt(2 * width / count))
