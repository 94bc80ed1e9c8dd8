"""Readouts of many features: causal variables as weighted sums of, say, the principal components of images.

Where x is an image, a causal variable is no weighted sum of d numbers, but nearly one of a hundred components, in
which each variable z_j has a subspace of its own: what is seen of it is a curve there,

    x = sum_j h_j(z_j) + ...,      h_j(z_j) in V_j.

Targets are known by then, as are noise encodings and an order (:mod:`pyro_lcm.identify.causal_order`), so that the
nested lines of :mod:`pyro_lcm.identify.linear_readouts` become nested subspaces:

1. *Effects before causes.* Pairs whose target is i differ in V_i and in the subspaces of its effects; V_i are the
   leading directions of these differences off the subspaces that have been found.
2. *Causes before effects.* The coordinates l_i = x V_i say nothing of effects, but may say something of causes, and a
   perfect intervention breaks the tie, because what it draws depends on nothing (Brehmer et al., NeurIPS 2022, arXiv
   2203.16437): with pairs of target i, l~_i is regressed on the coordinates of the predecessors, those that have a say
   are kept (:func:`~pyro_lcm.identify.parents.sparse_regression`), and what they explain is taken off.
3. *One number.* All that is left depends on z_i alone. The readout is the combination that explains the redrawn noise
   encoding e~_i best, and so increases with it.

An error in step 3 changes the scale on which z_i is read and mixes nothing into it; what may mix something in are the
few coefficients of step 2. A solution function that learns from what was redrawn has as many rows and more to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pyro_lcm.identify.explained import explained_share
from pyro_lcm.identify.linear_readouts import MIN_ROWS
from pyro_lcm.identify.parents import sparse_regression

__all__ = ["SubspaceReadouts", "subspace_readouts"]

Array = NDArray[np.float64]

_WIDTH, _FLOOR = 20, 3e-3
"""Most directions that a variable is read from, and the share of the leading one's variance that each has to have."""
_WIDTH_OFF, _FLOOR_OFF = 40, 1e-3
"""The same of the directions that are taken off for its causes: what they leave of it would be read as theirs."""
_SHRINKAGE = 1e-4
"""Of the combination of coordinates, in parts of their variances."""
KNOTS = 101
"""Quantiles by which a readout is brought to the normal distribution."""


@dataclass(frozen=True)
class SubspaceReadouts:
    """Weighted sums of features, one for each variable, and what is to be thought of them.

    Attributes:
        weight: (k, d), a column for each variable.
        quantiles: (d, KNOTS) increasing, of the readouts where their variable was redrawn.
        scores: (KNOTS,) the same quantiles of a standard normal distribution: the readout on the scale of z~.
        explained: (d,) share of the variance of what was redrawn, or of its square, that the other noise encodings
            explain in held-out pairs; 0 for a variable alone.
        moved: (d,) mean squared change in pairs whose target is neither the variable nor one of its predecessors, in
            units of that of two observations at random; 0 for a variable alone.
    """

    weight: Array
    quantiles: Array
    scores: Array
    explained: Array
    moved: Array


def subspace_readouts(
    before: Array, after: Array, noise: Array, noise_after: Array, target: NDArray[np.int64], order: Sequence[int]
) -> SubspaceReadouts | None:
    """Find readouts of features.

    Args:
        before: (N, k) features before.
        after: (N, k) the same features after.
        noise: (N, d) noise encodings before.
        noise_after: (N, d) noise encodings after.
        target: (N,) inferred targets 1..d, 0 for none.
        order: variables 0..d-1 from causes to effects.

    Returns:
        The readouts, or None if a variable is the target of fewer than :data:`~.linear_readouts.MIN_ROWS` pairs.

    Raises:
        ValueError: if the shapes do not fit.
    """
    dim = noise.shape[1]
    if before.shape != after.shape or len(before) != len(noise) or noise.shape != noise_after.shape:
        shapes = ", ".join(str(part.shape) for part in (before, after, noise, noise_after))
        raise ValueError(f"before, after, noise, noise_after: got shapes {shapes}, expected (N, k) twice, (N, d) twice")
    if sorted(order) != list(range(dim)):
        raise ValueError(f"order: got {list(order)}, expected an order of 0..{dim - 1}")
    hit = [np.flatnonzero(target == i + 1) for i in range(dim)]
    if min(len(rows) for rows in hit) < MIN_ROWS:
        return None
    difference = after - before
    spaces = _subspaces(difference, hit, order)
    weight = np.zeros((before.shape[1], dim))
    quantiles = np.zeros((dim, KNOTS))
    levels = (np.arange(KNOTS) + 0.5) / KNOTS
    explained, moved = np.zeros(dim), np.zeros(dim)
    own: dict[int, Array] = {}
    for place, i in enumerate(order):
        redrawn = after[hit[i]] - after[hit[i]].mean(0)
        causes = [own[j] for j in order[:place]]
        own[i] = _without_causes(spaces[i], redrawn, causes)
        coordinates, response = redrawn @ own[i], noise_after[hit[i], i]
        gram = coordinates.T @ coordinates
        gram += _SHRINKAGE * np.diag(gram.diagonal())
        weight[:, i] = own[i] @ np.linalg.solve(gram, coordinates.T @ (response - response.mean()))
        quantiles[i] = _increasing(np.quantile(after[hit[i]] @ weight[:, i], levels))
        others = [j for j in range(dim) if j != i]
        if others:
            drawn = norm.ppf(np.interp(after[hit[i]] @ weight[:, i], quantiles[i], levels))
            told_by = noise[hit[i]][:, others]
            explained[i] = max(explained_share(told_by, drawn), explained_share(told_by, np.square(drawn)))
        apart = [hit[j] for j in others if j not in order[:place]]
        if apart:
            change = difference[np.concatenate(apart)] @ weight[:, i]
            moved[i] = np.square(change).mean() / (2 * (before @ weight[:, i]).var())
    return SubspaceReadouts(weight, quantiles, norm.ppf(levels), explained, moved)


def _subspaces(difference: Array, hit: Sequence[NDArray[np.int64]], order: Sequence[int]) -> dict[int, Array]:
    """Orthonormal directions (k, r) of each variable, those of its effects left out."""
    left = np.eye(difference.shape[1])
    spaces = {}
    for i in reversed(order):
        moves = difference[hit[i]] @ left
        values, vectors = np.linalg.eigh(moves.T @ moves)
        rows = max(1, len(moves) // _WIDTH)
        wide, wider = (
            min(int((values > floor * values[-1]).sum()), width, rows)
            for floor, width in ((_FLOOR, _WIDTH), (_FLOOR_OFF, _WIDTH_OFF))
        )
        spaces[i] = vectors[:, ::-1][:, :wide]
        taken = vectors[:, ::-1][:, :wider]
        left = left - taken @ (taken.T @ left)
    return spaces


def _without_causes(space: Array, redrawn: Array, causes: Sequence[Array]) -> Array:
    """Directions (k, r) less what the coordinates of causes, (k, r') each, explain of theirs where z_i was redrawn."""
    if not causes:
        return space
    earlier = np.concatenate(causes, 1)
    values = redrawn @ earlier
    scale = np.maximum(values.std(0), 1e-12)
    result = space.copy()
    for column in range(space.shape[1]):
        kept, coefficients, _ = sparse_regression(values / scale, redrawn @ space[:, column])
        result[:, column] -= (earlier[:, kept] / scale[kept]) @ coefficients[:-1]
    return result


def _increasing(values: Array) -> Array:
    """Sorted numbers, ties parted by a little."""
    return np.asarray(values + 1e-9 * max(values[-1] - values[0], 1e-12) * np.arange(len(values)))
