"""One coordinate along a curve, from points that lie about it.

Several functions of one variable, none of which need be monotone, put the variable on a curve, which may wind as it
likes as long as it does not cross itself. The graph of nearest neighbours of points on a curve is a path but for some
width, whose slowest motion, the first eigenvector of its Laplacian that is not constant, rises from one end to the
other (Belkin and Niyogi 2003, Laplacian eigenmaps); on a path the second one is four times as fast, on a surface as
wide as it is long just as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_matrix, csgraph, csr_matrix
from scipy.spatial import cKDTree
from scipy.stats import norm

__all__ = ["Unrolled", "unroll_curve"]

_LANDMARKS = 800
_NEIGHBOURS = 12
_NEAREST = 5
"""Landmarks that the place of another point is the mean of."""
_BRIDGE = 0.5
"""Weight between two islands, where neighbours at one scale have weights up to 1."""


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Places on a curve.

    Attributes:
        place: (N,) of each point, brought to a standard normal distribution by its ranks; which end is high is chance.
        slender: how many times faster the second motion of the graph is than the first: about 4 for a curve, 1 for a
            surface as wide as it is long.
    """

    place: NDArray[np.float64]
    slender: float


def unroll_curve(points: NDArray[np.floating], *, seed: int = 0) -> Unrolled:
    """Find how far along a curve points are.

    Args:
        points: (N, r), N at least 3.
        seed: of the choice of landmarks.

    Returns:
        Their places.

    Raises:
        ValueError: if the shape is another one.

    >>> t = np.random.default_rng(0).uniform(size=2000)
    >>> curve = np.column_stack([np.cos(9 * t), np.sin(6 * t), np.cos(4 * t)])    # no coordinate is monotone
    >>> found = unroll_curve(curve)
    >>> bool(abs(np.corrcoef(np.argsort(np.argsort(found.place)), np.argsort(np.argsort(t)))[0, 1]) > 0.99)
    True
    >>> found.slender > 2
    True
    """
    if points.ndim != 2 or len(points) < 3:
        raise ValueError(f"points: got shape {points.shape}, expected (N, r), N at least 3")
    rows = np.random.default_rng(seed).permutation(len(points))[:_LANDMARKS]
    landmarks = np.asarray(points[rows], dtype=np.float64)
    tree = cKDTree(landmarks)
    weights = _connected(_neighbours(tree, landmarks), landmarks)
    last = min(2, len(landmarks) - 1)
    values, vectors = eigh(csgraph.laplacian(weights, normed=True).toarray(), subset_by_index=[0, last])
    along = vectors[:, 1] / np.sqrt(np.asarray(weights.sum(1)).ravel())
    nearest = min(_NEAREST, len(landmarks))
    distance, index = (part.reshape(len(points), nearest) for part in tree.query(points, nearest))
    closeness = 1 / (distance + 1e-3 * landmarks.std() + 1e-12)
    place = (along[index] * closeness).sum(1) / closeness.sum(1)
    rank = np.argsort(np.argsort(place, kind="stable"), kind="stable")
    return Unrolled(norm.ppf((rank + 0.5) / len(rank)), float(values[2] / max(values[1], 1e-12)))


def _neighbours(tree: cKDTree, landmarks: NDArray[np.float64]) -> csr_matrix:
    """Symmetric weights (n, n) of nearest neighbours."""
    number = len(landmarks)
    count = min(_NEIGHBOURS, number - 1)
    distance, index = tree.query(landmarks, count + 1)
    distance, index = distance[:, 1:], index[:, 1:]
    scale = max(float(np.median(distance)), 1e-12)
    near = np.exp(-np.square(distance / scale) / 2) + 1e-3
    one_way = coo_matrix((near.ravel(), (np.repeat(np.arange(number), count), index.ravel())), (number, number))
    weights = one_way.tocsr()
    return weights.maximum(weights.T)


def _connected(weights: csr_matrix, landmarks: NDArray[np.float64]) -> csr_matrix:
    """The same with islands joined where they are nearest to each other."""
    number, island = csgraph.connected_components(weights)
    while number > 1:
        here, there = np.flatnonzero(island == island[0]), np.flatnonzero(island != island[0])
        distance, index = cKDTree(landmarks[there]).query(landmarks[here])
        a = int(distance.argmin())
        ends = [here[a], there[index[a]]]
        weights = (weights + coo_matrix(([_BRIDGE] * 2, (ends, ends[::-1])), weights.shape)).tocsr()
        number, island = csgraph.connected_components(weights)
    return weights
