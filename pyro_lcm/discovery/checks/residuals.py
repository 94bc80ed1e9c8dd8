"""What the noise of mechanisms looks like: its shape, and whether its size depends on the parents.

The scores take the noise of a mechanism for normal, with one variance. Heavy tails make correlations of a table less
certain than the scores think; noise whose scale depends on the parents does the same, and looks like further parents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pyro_lcm.discovery.scores import FloatArray, GraphData, LocalScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore

FALSE_ALARMS = 0.005
"""Share of sound tables in which some variable is named for the shape of its noise, or its size."""
LEAST_ROWS = 30
_LEAST_KURTOSIS = 0.5
_LEAST_SKEWNESS = 0.3
_LEAST_SHARE = 0.02
_RIDGE = 1e-2


@dataclass(frozen=True)
class NoiseShape:
    """What is odd about the noise of one variable.

    Attributes:
        variable: Its number.
        kurtosis: Excess kurtosis of the residuals where it differs from 0 clearly, else 0.
        skewness: Likewise.
        explained: Share of the variance of squared residuals that parents explain, where it is clear, else 0.
    """

    variable: int
    kurtosis: float = 0.0
    skewness: float = 0.0
    explained: float = 0.0


def noise_shapes(score: LocalScore, data: GraphData, graph: NDArray[np.int8]) -> tuple[NoiseShape, ...]:
    """Test the residuals of every variable given its parents.

    Skewness and kurtosis by D'Agostino's tests; the size by the regression of squared residuals on the parents and
    their squares (Koenker, Journal of Econometrics 17, 1981). In large tables a difference must matter, too: an excess
    kurtosis of .5, a skewness of .3, two hundredths of the variance.

    Args:
        score: The score, whose mechanisms (linear, or of the nonlinear score's features) are fitted.
        data: The rows; those that count for a variable without doubt are used.
        graph: (d, d) DAG.

    Returns:
        What is odd, for the variables where something is.
    """
    found = []
    level = FALSE_ALARMS / (3 * data.num_variables)
    for child in range(data.num_variables):
        rows = data.row_groups(child)[0][0]
        if len(rows) < LEAST_ROWS or (data.weights is not None and np.ptp(data.weights[:, child]) > 0):
            continue
        parents = np.flatnonzero(graph[:, child])
        rest = residuals(score, data.values[rows], child, parents)
        spread = rest.std()
        if not spread > 1e-9 * max(1.0, float(np.abs(data.values[rows, child]).max())):
            continue
        rest = rest / spread
        kurtosis, skewness = float(stats.kurtosis(rest)), float(stats.skew(rest))
        odd = NoiseShape(
            child,
            kurtosis if abs(kurtosis) > _LEAST_KURTOSIS and stats.kurtosistest(rest).pvalue < level else 0.0,
            skewness if abs(skewness) > _LEAST_SKEWNESS and stats.skewtest(rest).pvalue < level else 0.0,
            _explained_size(rest, data.values[rows][:, parents], level),
        )
        if odd.kurtosis or odd.skewness or odd.explained:
            found.append(odd)
    return tuple(found)


def residuals(score: LocalScore, values: FloatArray, child: int, parents: NDArray[np.int64]) -> FloatArray:
    """What the parents leave of a variable: (n,) residuals of the regression that the score is about."""
    if isinstance(score, NonlinearScore) and len(parents):
        columns = score.columns(parents[None])[0]
        design, ridge = score.design(values)[:, columns], _RIDGE
    else:
        design, ridge = np.column_stack([np.ones(len(values)), values[:, parents]]), 0.0
    y = values[:, child]
    if ridge:
        weights = np.linalg.solve(design.T @ design + ridge * np.eye(design.shape[1]), design.T @ y)
    else:
        weights = np.linalg.lstsq(design, y, rcond=None)[0]
    return np.asarray(y - design @ weights)


def _explained_size(rest: FloatArray, parents: FloatArray, level: float) -> float:
    """Share of the variance of squared residuals that parents and their squares explain; 0 where it may be chance."""
    if not parents.shape[1]:
        return 0.0
    spread = parents.std(axis=0)
    x = (parents - parents.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # Ranks bound what a far row can do, in the squares as in the regressors.
    y = stats.norm.ppf(stats.rankdata(np.abs(rest)) / (len(rest) + 1))
    design = np.column_stack([np.ones(len(x)), x, np.minimum(x**2, 9.0)])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    share = 1.0 - float(left.var() / y.var())
    terms = design.shape[1] - 1
    freedom = len(rest) - terms - 1
    if freedom < LEAST_ROWS // 2:
        return 0.0
    statistic = share / terms / ((1.0 - share) / freedom)
    return share if share > _LEAST_SHARE and stats.f.sf(statistic, terms, freedom) < level else 0.0


def usual_graph(graphs: NDArray[np.int8]) -> NDArray[np.int8]:
    """The graph that was drawn most often, among (n, d, d); of equals the one with the most usual parent sets."""
    unique, counts = np.unique(graphs.reshape(len(graphs), -1), axis=0, return_counts=True)
    drawn = unique.reshape(-1, *graphs.shape[1:])
    likely = np.zeros(len(drawn))
    for child in range(graphs.shape[-1]):
        _, which, number = np.unique(drawn[:, :, child], axis=0, return_inverse=True, return_counts=True)
        total = np.bincount(which.ravel(), counts, len(number))
        likely += np.log(total[which.ravel()])
    return np.asarray(drawn[np.lexsort((likely, counts))[-1]])
