"""Which of its predecessors a variable depends on: regressions, linear by sparse least squares, nonlinear by evidence.

Arrays in, choices out. Where everything is linear a sparse regression says it (the extended Bayesian information
criterion); elsewhere the evidence of Bayesian nonlinear regressions (:mod:`pyro_lcm.discovery.scores.nonlinear`) does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MIN_GAIN = 0.01
"""Evidence per row, in nats, that a parent has to add: about two per cent of the variance left."""


MIN_ROWS = 20
"""Fewest pairs with a variable as target from which parents are chosen; below, all predecessors are kept."""


Array = NDArray[np.float64]


def choose_parents(features: Array, response: Array, *, linear: bool, rows: int) -> list[int]:
    """Features on which a response depends: by sparse regression where linear, else by evidence on the first rows.

    All of them where there are fewer than :data:`MIN_ROWS` rows and two for each.

    Args:
        features: (N, p).
        response: (N,).
        linear: whether the response is linear in them.
        rows: how many to use at most where it is not.

    Returns:
        The features chosen.
    """
    if len(response) < MIN_ROWS + 2 * features.shape[1]:
        return list(range(features.shape[1]))
    if linear:
        return sparse_regression(features, response)[0]
    return nonlinear_parents(features[:rows], response[:rows])


def sparse_regression(features: Array, response: Array, *, least_sd: float = 0.0) -> tuple[list[int], Array, float]:
    """Least squares with backward elimination by the extended Bayesian information criterion.

    The weakest coefficient goes as long as its squared t statistic is below twice log N + 2 log p (Chen and Chen,
    Biometrika 2008, with gamma = 1), for N rows and p features; twice, because the features are estimates too.

    Args:
        features: (N, p).
        response: (N,).
        least_sd: standard deviation that is left at least, for the tests: where a response is a function of the
            features, the smallest error of a feature looks like an effect of another.

    Returns:
        The features kept, their coefficients with the intercept last, and the standard deviation of what is left.
    """
    rows, width = features.shape
    design = np.column_stack([features, np.ones(rows)])
    gram, moment = design.T @ design, design.T @ response
    penalty = 2 * (np.log(rows) + 2 * np.log(max(width, 1)))
    kept = list(range(width))
    while True:
        columns = [*kept, width]
        inverse = np.linalg.pinv(gram[np.ix_(columns, columns)], hermitian=True)
        coefficients = inverse @ moment[columns]
        residual = response - design[:, columns] @ coefficients
        variance = max(float(residual @ residual) / max(rows - len(columns), 1), least_sd**2, 1e-12)
        if not kept:
            return kept, coefficients, variance**0.5
        strength = np.square(coefficients[:-1]) / (variance * np.maximum(inverse.diagonal()[:-1], 1e-300))
        weakest = int(strength.argmin())
        if strength[weakest] >= penalty:
            return kept, coefficients, variance**0.5
        kept.pop(weakest)


def nonlinear_parents(features: Array, response: Array, *, least: float = MIN_GAIN) -> list[int]:
    """Features on which a response depends, by the evidence of Bayesian nonlinear regression.

    Args:
        features: (N, p).
        response: (N,).
        least: evidence that each feature chosen adds, in nats per row.

    Returns:
        The features chosen.
    """
    return _select(features.shape[1], _evidence(features, response), least)


def mechanism_parents(features: Array, natural: Array, features_redrawn: Array, redrawn: Array) -> list[int]:
    """Features on which a variable depends by nature and not when it is redrawn.

    Args:
        features: (N, p) predecessors.
        natural: (N,) the variable.
        features_redrawn: (M, p) predecessors in the rows where the variable was redrawn.
        redrawn: (M,) what was drawn.

    Returns:
        The features chosen, each of which adds at least :data:`MIN_GAIN` nats per row to the difference of evidence.
    """
    by_nature, by_chance = _evidence(features, natural), _evidence(features_redrawn, redrawn)
    nothing: list[list[int]] = [[]]
    base = by_chance(nothing)[0]

    def evidence(sets: list[list[int]]) -> Array:
        # Evidence against a dependence of what was redrawn speaks for no other one.
        return by_nature(sets) - np.maximum(by_chance(sets) - base, 0.0)

    return _select(features.shape[1], evidence, MIN_GAIN)


def _evidence(features: Array, response: Array) -> Callable[[list[list[int]]], Array]:
    """Log evidence per row of a response given sets of features."""
    from pyro_lcm.discovery.scores import GraphData
    from pyro_lcm.discovery.scores.nonlinear import NonlinearScore

    width = features.shape[1]
    values = np.column_stack([features, response])
    score = NonlinearScore(GraphData((values - values.mean(0)) / np.maximum(values.std(0), 1e-12)))

    def evidence(sets: list[list[int]]) -> Array:
        mask = np.zeros((len(sets), width + 1), dtype=bool)
        for row, members in enumerate(sets):
            mask[row, members] = True
        return np.asarray(score.local(width, mask)) / len(response)

    return evidence


def _select(width: int, evidence: Callable[[list[list[int]]], Array], least: float) -> list[int]:
    """Forward selection, then backward, by evidence per row."""
    chosen: list[int] = []
    current = evidence([chosen])[0]
    while len(chosen) < width:
        left = [k for k in range(width) if k not in chosen]
        values_with = evidence([[*chosen, k] for k in left])
        best = int(values_with.argmax())
        if values_with[best] - current < least:
            break
        chosen, current = [*chosen, left[best]], values_with[best]
    while len(chosen) > 1:
        without = evidence([[k for k in chosen if k != dropped] for dropped in chosen])
        best = int(without.argmax())
        if current - without[best] >= least:
            break
        chosen, current = [k for k in chosen if k != chosen[best]], without[best]
    return sorted(chosen)
