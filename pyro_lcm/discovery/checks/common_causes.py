"""Signs of a hidden common cause: a linear Gaussian graph with one hidden variable that explains the rows better.

Without interventions a hidden variable shows in what a DAG of the observed ones can imitate only with more edges than
the truth has, as a child of three variables does. Where the likely graph has a clique, a hidden parent of its members
is put in place of the edges between them, fitted by expectation maximisation, and the graph around it revised with what
is then expected of the hidden variable (structural EM, Friedman, UAI 1998). The two are compared by BIC. A hidden cause
of two variables that are adjacent anyway cannot be seen in this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.checks.climb import change_edges
from pyro_lcm.discovery.scores import BoolArray, FloatArray

CLEAR = 4.0
"""Nats of BIC from which on a hidden cause is named."""
LEAST_ROWS = 50
MOST_VARIABLES = 30
_MOST_SETS = 10
_ROUNDS = 4
_STEPS = 30
_HOPELESS = 15.0
"""Nats behind the graph without a hidden variable, after the first fit, from which on a set is given up."""
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class CommonCause:
    """A hidden variable that would explain the rows better.

    Attributes:
        children: The observed variables it acts on.
        nats: Half the difference of BIC in its favour.
    """

    children: tuple[int, ...]
    nats: float


def hidden_common_cause(values: FloatArray, graph: NDArray[np.int8]) -> CommonCause | None:
    """Look for one hidden common cause.

    Args:
        values: (N, d) rows without interventions.
        graph: (d, d) DAG that is likely without one.

    Returns:
        The clearest one, or None.
    """
    rows, size = values.shape
    if rows < LEAST_ROWS or not 3 <= size <= MOST_VARIABLES:
        return None
    spread = values.std(axis=0)
    if not (spread > 0).all():
        return None
    covariance = np.asarray(np.corrcoef(values, rowvar=False), dtype=np.float64) + _LEAST_VARIANCE * np.eye(size)
    sets = _cliques(graph)
    if not sets:
        return None
    plain = _climb(covariance, rows, graph != 0)
    tried = [_with_hidden(covariance, rows, plain[0], chosen, least=plain[1] - _HOPELESS) for chosen in sets]
    best = max(tried, key=lambda found: found[1])
    nats = best[1] - plain[1]
    return CommonCause(best[0], nats) if nats > CLEAR and len(best[0]) > 1 else None


def _cliques(graph: NDArray[np.int8]) -> list[tuple[int, ...]]:
    """Sets of mutually adjacent variables, of two and more, the largest first."""
    skeleton = nx.from_numpy_array((graph + graph.T) > 0)
    found: set[tuple[int, ...]] = set()
    for clique in nx.find_cliques(skeleton):
        for number in (len(clique), 3, 2):
            if 2 <= number <= len(clique):
                found.update(combinations(sorted(clique), number))
    return sorted(found, key=lambda members: (-len(members), members))[:_MOST_SETS]


def _with_hidden(
    covariance: FloatArray, rows: int, graph: BoolArray, children: tuple[int, ...], *, least: float
) -> tuple[tuple[int, ...], float]:
    """Children of a hidden variable, and the score, after a few rounds of structural EM."""
    size = len(covariance)
    full = np.zeros((size + 1, size + 1), dtype=bool)
    full[:size, :size] = graph
    full[np.ix_(children, children)] = False
    full[size, list(children)] = True
    loadings = np.zeros(size)
    loadings[list(children)] = 0.6 * np.sign(covariance[children[0], list(children)])
    slope: FloatArray = np.asarray(np.linalg.solve(covariance, loadings), dtype=np.float64)
    slope /= max(1.0, float(loadings @ slope) / 0.8)  # at most four fifths of it known
    joint = _expected(covariance, 1.0 - float(slope @ covariance @ slope), slope)
    best = -np.inf
    kept: tuple[int, ...] = children
    for _ in range(_ROUNDS):
        joint, likelihood = _fit(covariance, full, joint, rows)
        hidden = int(full[size].sum())
        # of a hidden cause of two variables one number says nothing that the other does not
        value = likelihood - 0.5 * np.log(rows) * (full.sum() - (1 if hidden <= 2 else 0))
        if value <= best + 1e-3:
            break
        best, kept = float(value), tuple(np.flatnonzero(full[size, :size]).tolist())
        if best < least:
            break
        full, _ = _climb(joint, rows, full, root=size)
    return kept, best


def _fit(covariance: FloatArray, graph: BoolArray, joint: FloatArray, rows: int) -> tuple[FloatArray, float]:
    """Expectation maximisation for a graph whose last variable is hidden, of variance 1."""
    size = len(covariance)
    likelihood = -np.inf
    for _ in range(_STEPS):
        direct, variance = _mechanisms(joint, graph)
        variance[size] = 1.0
        total = np.linalg.inv(np.eye(size + 1) - direct)
        model = total.T @ (variance[:, None] * total)
        observed = model[:size, :size]
        sign, log_det = np.linalg.slogdet(observed)
        inverse = np.linalg.inv(observed)
        value = -0.5 * rows * (log_det + float((inverse * covariance).sum()))
        slope = inverse @ model[:size, size]
        joint = _expected(covariance, float(model[size, size] - model[:size, size] @ slope), slope)
        if not sign > 0 or value < likelihood + 1e-3:
            break
        likelihood = value
    return joint, likelihood


def _expected(covariance: FloatArray, rest: float, slope: FloatArray) -> FloatArray:
    """Second moments of observed and hidden variables, where hidden = slope observed + something of variance rest."""
    size = len(covariance)
    joint = np.empty((size + 1, size + 1))
    joint[:size, :size] = covariance
    joint[size, :size] = joint[:size, size] = covariance @ slope
    joint[size, size] = slope @ covariance @ slope + rest
    return joint


def _mechanisms(covariance: FloatArray, graph: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients [parent, child] and residual variances of every variable given its parents."""
    size = len(covariance)
    direct, variance = np.zeros((size, size)), np.empty(size)
    for child in range(size):
        parents = np.flatnonzero(graph[:, child])
        weights = np.linalg.solve(covariance[np.ix_(parents, parents)], covariance[parents, child])
        direct[parents, child] = weights
        variance[child] = max(_LEAST_VARIANCE, covariance[child, child] - covariance[parents, child] @ weights)
    return direct, variance


def _climb(
    covariance: FloatArray, rows: int, graph: BoolArray, *, root: int | None = None, most_steps: int = 60
) -> tuple[BoolArray, float]:
    """Change single edges while BIC grows; a root gets no parents and no score of its own."""
    size = len(covariance)
    graph = graph.copy()
    local = np.full(size, -0.5 * rows)
    gains = np.full((size, size), -np.inf)

    def look(child: int) -> None:
        if child == root:
            return
        local[child] = _bic(covariance, rows, graph[:, child], child)
        for parent in range(size):
            if parent != child:
                parents = graph[:, child].copy()
                parents[parent] ^= True
                gains[parent, child] = _bic(covariance, rows, parents, child) - local[child]

    change_edges(graph, gains, look, most_steps=most_steps, least=1e-6)
    return graph, float(local.sum())


def _bic(covariance: FloatArray, rows: int, parents: BoolArray, child: int) -> float:
    index = np.flatnonzero(parents)
    weights = np.linalg.solve(covariance[np.ix_(index, index)], covariance[index, child])
    variance = max(_LEAST_VARIANCE, float(covariance[child, child] - covariance[index, child] @ weights))
    return -0.5 * rows * (np.log(variance) + 1.0) - 0.5 * np.log(rows) * len(index)
