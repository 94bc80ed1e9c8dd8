"""Sums over subsets in logarithms, the arithmetic of exact posteriors over graphs.

A set of variables is an integer whose bit i says whether variable i is in it; a table over sets is an array
of length 2^d. See Yates' algorithm (fast zeta transform), e.g. Koivisto & Sood, JMLR 2004, section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import BoolArray, FloatArray, IntArray, LocalScore


def set_codes(sets: BoolArray) -> IntArray:
    """Integers of sets given as (..., d) booleans."""
    return sets.astype(np.int64) @ (1 << np.arange(sets.shape[-1], dtype=np.int64))


def code_sets(codes: NDArray[np.integer], num_variables: int) -> BoolArray:
    """(..., d) booleans of sets given as integers."""
    bits: BoolArray = (np.asarray(codes)[..., None] >> np.arange(num_variables)) & 1 == 1
    return bits


def subsets_of(members: IntArray) -> IntArray:
    """Integers of all subsets of some variables, (2^k,), ordered by the bits of the k members."""
    codes = np.zeros(1, dtype=np.int64)
    for member in members:
        codes = np.concatenate([codes, codes | 1 << int(member)])
    return codes


def parent_set_weights(score: LocalScore, prior: GraphPrior) -> FloatArray:
    """Log weight of every parent set: local score plus the modular part of the prior.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs.

    Returns:
        (d, 2^d) floats; -inf for sets that are not allowed or hold the child.
    """
    size = score.num_variables
    table = np.full((size, 1 << size), -np.inf)
    for child in range(size):
        sets = prior.allowed_parent_sets(child, size)
        if len(sets):
            table[child, set_codes(sets)] = score.local(child, sets) + prior.log_local(child, sets)
    return table


def sum_over_subsets(table: FloatArray) -> FloatArray:
    """Zeta transform: the log of the sum of exp(table) over all subsets of each set, along the last axis."""
    result = table.copy()
    size = table.shape[-1].bit_length() - 1
    for bit in range(size):
        halves = result.reshape(*table.shape[:-1], -1, 2, 1 << bit)
        halves[..., 1, :] = np.logaddexp(halves[..., 1, :], halves[..., 0, :])
    return result


def sum_over_supersets(table: FloatArray) -> FloatArray:
    """The log of the sum of exp(table) over all supersets of each set, along the last axis."""
    return sum_over_subsets(table[..., ::-1])[..., ::-1]


def log_sum(values: FloatArray, axis: int | None = None) -> FloatArray:
    """Log of a sum of exponentials, -inf where all terms are.

    Faster than `scipy.special.logsumexp` on the many small arrays of the recursions.
    """
    top = np.max(values, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - top).sum(axis=axis))
    return np.asarray(total + np.squeeze(top, axis=axis))


def draw_index(log_weights: FloatArray, uniforms: FloatArray) -> IntArray:
    """Draw indices with probability proportional to exp(log_weights) by inversion.

    Args:
        log_weights: (n,) log weights, not all -inf.
        uniforms: (m,) uniform numbers in [0, 1).

    Returns:
        (m,) indices.
    """
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    index = np.searchsorted(cumulative, uniforms * cumulative[-1], side="right")
    return np.asarray(np.minimum(index, len(log_weights) - 1))
