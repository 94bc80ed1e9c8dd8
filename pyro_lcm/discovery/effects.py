"""What a graph means for interventions: who is upstream of whom, and how far each variable moves another.

In a linear SCM z = B^T z + noise with coefficients B[parent, child], raising do(z_i) by one raises the mean
of z_j by the total effect, entry (i, j) of (I - B)^-1 (Pearl, Causality, 2009, section 5.3).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.scores import BoolArray, FloatArray
from pyro_lcm.discovery.scores.linear_gaussian import Mechanism

_ENTRIES_AT_ONCE = 1_000_000


@runtime_checkable
class LinearMechanisms(Protocol):
    """A score that knows the posterior of a linear mechanism's coefficients, as BGe does."""

    def mechanism_posterior(self, child: int, parents: BoolArray) -> Mechanism:
        """Posterior of the coefficients of a variable given its (d,) parents."""


def ancestor_matrices(adjacency: ArrayLike) -> NDArray[np.int8]:
    """Compute who is an ancestor of whom in many DAGs at once.

    Args:
        adjacency: (..., d, d) DAGs, ``[..., parent, child]``.

    Returns:
        (..., d, d) int8, ``[..., ancestor, descendant]``, 1 where a directed path of at least one edge leads.

    Example:
        >>> ancestor_matrices([[[0, 1, 0], [0, 0, 1], [0, 0, 0]]])[0].tolist()
        [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    reach = np.array(adjacency) != 0
    for middle in range(reach.shape[-1]):  # Warshall's algorithm
        reach |= reach[..., :, middle, None] & reach[..., middle, None, :]
    return np.asarray(reach, dtype=np.int8)


def causal_effects(mechanisms: LinearMechanisms, adjacency: ArrayLike, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the average causal effect of each variable on each other, one draw of coefficients a graph.

    Args:
        mechanisms: Posterior of the coefficients given the parents.
        adjacency: (..., d, d) DAGs.
        rng: Source of randomness.

    Returns:
        (..., d, d) float32 ``[..., cause, effect]``: the change of the effect's mean for one unit of the
        cause, in the units of the data; 0 without a path, 1 on the diagonal.
    """
    graphs = np.asarray(adjacency) != 0
    size = graphs.shape[-1]
    flat = graphs.reshape(-1, size, size)
    coefficients = np.zeros(flat.shape)
    for child in range(size):
        sets, inverse = np.unique(flat[:, :, child], axis=0, return_inverse=True)
        groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse.ravel()))[:-1])
        for parents, graph in zip(sets, groups, strict=True):
            if parents.any():
                drawn = mechanisms.mechanism_posterior(child, parents).draw(len(graph), rng)
                coefficients[graph[:, None], np.flatnonzero(parents), child] = drawn
    effects = np.empty(flat.shape, dtype=np.float32)
    step = max(1, _ENTRIES_AT_ONCE // size**2)
    for start in range(0, len(flat), step):
        effects[start : start + step] = total_effects(coefficients[start : start + step])
    return effects.reshape(graphs.shape)


def total_effects(coefficients: ArrayLike) -> FloatArray:
    """Total effects (I - B)^-1 of linear SCMs.

    Args:
        coefficients: (n, d, d) direct effects ``B[parent, child]`` of acyclic models.

    Returns:
        (n, d, d) total effects ``[cause, effect]``, 1 on the diagonal.

    Example:
        >>> total_effects([[[0, 2, 1], [0, 0, 3], [0, 0, 0]]])[0].tolist()
        [[1.0, 2.0, 7.0], [0.0, 1.0, 3.0], [0.0, 0.0, 1.0]]
    """
    direct = np.asarray(coefficients, dtype=np.float64)
    effects = np.broadcast_to(np.eye(direct.shape[-1]), direct.shape).copy()
    # solve by the series I + B + B^2 + ..., which ends because B is nilpotent: exact zeros stay zero
    power = effects
    for _ in range(direct.shape[-1] - 1):
        power = power @ direct
        if not power.any():
            break
        effects = effects + power
    return effects
