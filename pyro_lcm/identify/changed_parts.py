"""Which regressions no longer fit: likelihood ratio tests between rows of two worlds, by permutation.

For a response y and causes c, rows of the world before and of the one now are described by a Gaussian regression each,
or by one for all:

    T = (n + m) log s_all^2  -  n log s_now^2  -  m log s_before^2,      s^2 the mean squared residual of each

Under the null hypothesis rows are exchangeable, so the share of random splits with as large a T is an exact p-value,
whatever the law of y is. One vector of probabilities that holds for all tests together: a part has changed if its
p-value is at most the error rate over the number of tests (Bonferroni).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["changed_regression", "larger_than", "permutations_for", "relearned_effects"]

_RIDGE = 1e-9


def permutations_for(tests: int, error_rate: float) -> int:
    """How many splits are needed for that many tests at an error rate: the least p-value is half the threshold.

    >>> permutations_for(5, 0.05), permutations_for(9, 0.01)
    (999, 1800)
    """
    return max(999, math.ceil(2 * tests / error_rate))


def changed_regression(
    response: Array, causes: Array, response_before: Array, causes_before: Array, *, permutations: int, seed: int
) -> tuple[float, float]:
    """Test whether rows of two worlds have one regression: intercept, slopes and variance of what is left.

    Args:
        response: (n,) of the world now.
        causes: (n, p) of it; p may be 0.
        response_before: (m,) of the world before.
        causes_before: (m, p) of it.
        permutations: random splits.
        seed: of these.

    Returns:
        T and its p-value.

    Raises:
        ValueError: if shapes do not fit, or there are no more than p + 2 rows of a world.

    >>> rng = np.random.default_rng(0)
    >>> cause, noise = rng.normal(size=(2, 400))
    >>> weight = np.where(np.arange(400) < 100, 2.0, 1.0)
    >>> y, c = weight * cause + noise, cause[:, None]
    >>> changed_regression(y[:100], c[:100], y[100:], c[100:], permutations=999, seed=0)[1]
    0.001
    """
    n, m, p = len(response), len(response_before), causes.shape[1]
    if causes.shape != (n, p) or causes_before.shape != (m, p) or min(n, m) <= p + 2:
        raise ValueError(
            f"response, causes: got shapes {response.shape}, {causes.shape}, {response_before.shape} and"
            f" {causes_before.shape}, expected (n,), (n, p), (m,) and (m, p), n and m above p + 2"
        )
    y = np.concatenate([response, response_before])
    design = np.column_stack([np.concatenate([causes, causes_before]), np.ones(n + m), y])
    scale = np.sqrt(np.square(design).mean(0))
    design = design / np.where(scale > 0, scale, 1.0)
    rows, columns = np.triu_indices(p + 2)
    products = design[:, rows] * design[:, columns]
    total = products.sum(0)
    splits = _splits(n, n + m, permutations, seed)
    now = splits @ products
    gap = n * np.log(_variance(now, p, n)) + m * np.log(_variance(total - now, p, m))
    statistic = (n + m) * float(np.log(_variance(total[None], p, n + m))[0]) - gap
    return float(statistic[0]), float((statistic >= statistic[0] - 1e-9).mean())


def larger_than(values: Array, values_before: Array, *, permutations: int, seed: int) -> float:
    """p-value of a test whether the mean of rows is larger than it was before, by permutation.

    Args:
        values: (n,) of the world now.
        values_before: (m,) of the world before.
        permutations: random splits.
        seed: of these.

    >>> larger_than(np.full(20, 1.0), np.zeros(50), permutations=999, seed=0)
    0.001
    """
    both = np.concatenate([values, values_before])
    sums = _splits(len(values), len(both), permutations, seed) @ both
    return float((sums >= sums[0] - 1e-9 * abs(sums[0])).mean())


def relearned_effects(
    response: Array, causes: Array, response_after: Array, causes_after: Array, *, tolerance: float = 0.05
) -> tuple[Array, float, float]:
    """The regression of the world now, from both sides of pairs that share noise.

    A side is ``y = causes @ slopes + intercept + sd n``; both sides of a pair have the same n, but where y itself was
    intervened on, and there its causes have not moved. So differences within a pair tell slopes without noise, and need
    no targets; levels tell the rest.

    Args:
        response: (n,) before.
        causes: (n, p) before.
        response_after: (n,) after.
        causes_after: (n, p) after.
        tolerance: error of differences, in units of the noise's standard deviation.

    Returns:
        Slopes (p,), intercept, and standard deviation of the noise.

    >>> rng = np.random.default_rng(0)
    >>> causes, after, noise = rng.normal(size=(3, 30))
    >>> y, y_after = 2 * causes + 1 + 3 * noise, 2 * after + 1 + 3 * noise
    >>> slopes, _, sd = relearned_effects(y, causes[:, None], y_after, after[:, None])
    >>> round(float(slopes[0]), 2), 2 < sd < 4
    (2.0, True)
    """
    n, p = causes.shape
    ones = np.ones(n)
    level = np.column_stack([causes, ones])
    sd = float(response.std()) or 1.0
    solved = np.zeros(p + 1)
    moves = np.abs(causes_after - causes).max(1, initial=0.0) > 1e-3 * max(1.0, np.abs(causes).max(initial=0.0))
    change = np.column_stack([causes_after - causes, 0 * ones])[moves]
    for _ in range(5):
        weights = np.concatenate([ones / sd, np.full(len(change), 1 / (tolerance * sd))])
        design = np.concatenate([level, change]) * weights[:, None]
        values = np.concatenate([response, (response_after - response)[moves]]) * weights
        gram = design.T @ design
        solved = np.linalg.solve(gram + _RIDGE * np.trace(gram) * np.eye(p + 1), design.T @ values)
        sd = float(np.sqrt(np.square(response - level @ solved).sum() / max(n - 1, 1))) or 1e-6
    return solved[:-1], float(solved[-1]), sd


def _splits(chosen: int, rows: int, number: int, seed: int) -> Array:
    """(1 + number, rows) of 0 and 1: the first ``chosen`` rows, then random choices of as many."""
    order = np.random.default_rng(seed).random((number, rows)).argpartition(chosen - 1, 1)[:, :chosen]
    result = np.zeros((number + 1, rows))
    result[0, :chosen] = 1.0
    np.put_along_axis(result[1:], order, 1.0, 1)
    return result


def _variance(products: Array, p: int, rows: int) -> Array:
    """Mean squared residuals (k,) of the last column by the others, from sums of products (k, q)."""
    gram = np.zeros((len(products), p + 2, p + 2))
    upper = np.triu_indices(p + 2)
    gram[:, upper[0], upper[1]] = products
    gram[:, upper[1], upper[0]] = products
    inner, cross = gram[:, :-1, :-1] + _RIDGE * rows * np.eye(p + 1), gram[:, :-1, -1]
    explained = (np.linalg.solve(inner, cross[..., None])[..., 0] * cross).sum(1)
    return np.maximum(gram[:, -1, -1] - explained, 1e-12 * rows) / rows
