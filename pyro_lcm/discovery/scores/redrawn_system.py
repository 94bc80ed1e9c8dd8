"""The linear system of a graph, fitted to pairs by all that they say at once.

Given a graph, z = B^T z + A e, and in a pair with target i the encoding after the intervention satisfies

    a_i e~_i + sum over parents j of B_ji z_j ~ N(0, 1),    z = L e,  L = (I - B^T)^-1 A,

with z and e those before (`scores.redrawn`). The coefficients of j's mechanism are in the likelihood of its own pairs
and in those of its children. Both count here: coefficients from j's pairs alone would give z_j an error that j's
children see as an edge from j's parents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pyro_lcm.discovery.graph_data import FloatArray

_RIDGE = 0.5


def fit_system(
    graph: NDArray[np.int8], noise: FloatArray, noise_after: FloatArray, targets: NDArray[np.integer]
) -> FloatArray:
    """Most probable map from noise encodings to causal variables, given a graph.

    Args:
        graph: (d, d) DAG [parent, child].
        noise: (N, d) noise encodings before.
        noise_after: (N, d) noise encodings after.
        targets: (N,) targets, 0 none.

    Returns:
        (d, d) matrix L with z = L e, for e without its mean.
    """
    size = len(graph)
    parent, child = np.nonzero(graph)
    moments = [_moments(noise[targets == i + 1], noise_after[targets == i + 1, i]) for i in range(size)]

    def unpack(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """A, B and (I - B^T)^-1."""
        direct = np.zeros((size, size))
        direct[parent, child] = values[size:]
        return np.exp(values[:size]), direct, np.asarray(np.linalg.inv(np.eye(size) - direct.T))

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        slope, direct, inverse = unpack(values)
        system = inverse * slope
        total = 0.5 * _RIDGE * float(values @ values)
        by_slope, by_direct, by_system = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
        for i, (count, square, cross, second) in enumerate(moments):
            b, a = direct[:, i], slope[i]
            weight = b @ system
            pull = a * cross + second @ weight
            total += 0.5 * (a * a * square + 2 * a * weight @ cross + weight @ second @ weight) - count * np.log(a)
            by_slope[i] += a * a * square + a * weight @ cross - count
            by_direct[:, i] += system @ pull
            by_system += np.outer(b, pull)
        through = inverse.T @ by_system
        by_slope += slope * np.diagonal(through)
        by_direct += system @ through.T
        return total, np.concatenate([by_slope, by_direct[parent, child]]) + _RIDGE * values

    found = minimize(loss, np.zeros(size + len(parent)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    slope, _, inverse = unpack(found.x)
    return inverse * slope


def _moments(noise: FloatArray, redrawn: FloatArray) -> tuple[int, float, FloatArray, FloatArray]:
    """Count, sums of squares of the redrawn encodings, with those before, and of those before; means removed."""
    if len(noise) == 0:
        return 0, 0.0, np.zeros(noise.shape[1]), np.zeros((noise.shape[1], noise.shape[1]))
    e, r = noise - noise.mean(0), redrawn - redrawn.mean()
    return len(e), float(r @ r), r @ e, e.T @ e
