"""Do interventions act as declared? Evidence of what a declared intervention excludes.

A perfect intervention on T, declared in some rows, says two things. T does not depend on its causes in them; and the
mechanisms of all other variables are what they are in the other rows. Both are compared by the evidence of the score:

- T given its parents against T given nothing, in its own rows: an intervention that weakens or shifts a mechanism
  leaves the dependence in place;
- a mechanism of its own in these rows against the same as in all others, for every other variable: an intervention that
  acts elsewhere too, or on something that is not in the table;
- T as a parent of another variable in the rows that leave T alone, and not where T is set, against T as a parent in
  both or in none: what a hidden common cause of the two does, as setting T takes its part in T away (Pearl, Causality,
  2009, section 1.4). It is asked of variables that are no causes of T in the graph.

Under the score and its prior an odds of exp(t) turns up once in exp(t) comparisons at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.effects import ancestor_matrices
from pyro_lcm.discovery.scores import BoolArray, FloatArray, GraphData, LocalScore

CLEAR = 7.0
"""Nats, on top of the log of the number of comparisons, from which on an intervention does not act as declared."""
CLEAR_PAIR = 3.0
"""The same for a pair of variables and a hidden common cause of theirs."""
LEAST_ROWS = 5
MOST_GROUPS = 60
"""Most sets of targets that are looked at, those with the most rows."""


@dataclass(frozen=True)
class OddIntervention:
    """An intervention that does not act as declared.

    Attributes:
        targets: The variables that were declared to be its targets.
        depends: Those of them that still depend on their causes.
        changed: Other variables whose mechanism is another one in its rows.
        nats: The largest log odds of these.
    """

    targets: tuple[int, ...]
    depends: tuple[int, ...]
    changed: tuple[int, ...]
    nats: float


def odd_interventions(
    build: Callable[[GraphData], LocalScore], data: GraphData, graph: NDArray[np.int8]
) -> tuple[OddIntervention, ...]:
    """Compare every set of declared targets with what its rows say.

    Args:
        build: Makes the score of rows.
        data: The rows.
        graph: (d, d) DAG whose mechanisms are looked at.

    Returns:
        The interventions that do not act as declared, the clearest first.
    """
    if data.targets is None:
        return ()
    sets, group = np.unique(data.targets, axis=0, return_inverse=True)
    sizes = np.bincount(group.ravel(), minlength=len(sets))
    looked = [k for k in np.argsort(-sizes) if sets[k].any() and sizes[k] >= LEAST_ROWS][:MOST_GROUPS]
    if not looked or len(sets) < 2:
        return ()
    clear = CLEAR + np.log(len(looked) * data.num_variables)
    pooled = _locals(build(data), graph)
    found = []
    for k in looked:
        rows = group.ravel() == k
        apart = _own_mechanism(build, data, rows, ~sets[k], graph) - pooled
        depends = np.where(_perfect(data, rows), _dependence(build, data, rows, graph), -np.inf)
        depends[~sets[k]] = -np.inf
        apart[sets[k]] = -np.inf
        if max(depends.max(), apart.max()) > clear:
            still, changed = (tuple(np.flatnonzero(odds > clear).tolist()) for odds in (depends, apart))
            targets = tuple(np.flatnonzero(sets[k]).tolist())
            found.append(OddIntervention(targets, still, changed, float(max(depends.max(), apart.max()))))
    return tuple(sorted(found, key=lambda odd: -odd.nats))


@dataclass(frozen=True)
class Confounded:
    """Two variables that go together only where nothing acts on the first.

    Attributes:
        targets: The two, the one with rows in which it is set first.
        nats: Log odds of that.
    """

    targets: tuple[int, int]
    nats: float


def confounded_pairs(
    build: Callable[[GraphData], LocalScore], data: GraphData, graph: NDArray[np.int8]
) -> tuple[Confounded, ...]:
    """Compare what depends on a variable in the rows in which it is set with the others.

    Args:
        build: Makes the score of rows.
        data: The rows.
        graph: (d, d) DAG.

    Returns:
        Pairs that a hidden common cause explains better, the clearest first.
    """
    if data.targets is None:
        return ()
    size = data.num_variables
    hit = data.targets & ~np.asarray(data.imperfect)
    looked = [x for x in range(size) if min(hit[:, x].sum(), (~data.targets[:, x]).sum()) >= LEAST_ROWS]
    if not looked:
        return ()
    below = ancestor_matrices(graph)
    pooled = build(data)
    clear = CLEAR_PAIR + np.log(len(looked) * (size - 1))
    found = []
    for x in looked:
        alone, set_ = build(data.rows_where(~data.targets[:, x])), build(data.rows_where(hit[:, x]))
        for y in range(size):
            if y == x or below[y, x]:
                continue
            without, beside = graph[None, :, y] != 0, graph[None, :, y] != 0
            without[0, x], beside[0, x] = False, True
            odds = float(alone.local(y, beside)[0] + set_.local(y, without)[0])
            odds -= max(float(pooled.local(y, sets)[0]) for sets in (without, beside))
            if odds > clear:
                found.append(Confounded((x, y), odds))
    return tuple(sorted(found, key=lambda pair: -pair.nats))


def _locals(score: LocalScore, graph: NDArray[np.int8]) -> FloatArray:
    """(d,) local scores of a graph."""
    return np.array([score.local(j, graph[None, :, j])[0] for j in range(len(graph))])


def _perfect(data: GraphData, rows: BoolArray) -> BoolArray:
    """(d,) whether targets in these rows are declared perfect."""
    return np.asarray(~np.asarray(data.imperfect)[rows].any(axis=0))


def _own_mechanism(
    build: Callable[[GraphData], LocalScore],
    data: GraphData,
    rows: BoolArray,
    which: BoolArray,
    graph: NDArray[np.int8],
) -> FloatArray:
    """(d,) local scores where some variables have a mechanism of their own in some rows."""
    targets = np.array(data.targets)
    imperfect = np.array(data.imperfect)
    here = rows[:, None] & which
    targets |= here
    imperfect |= here
    labels = np.zeros(len(rows), np.int64) if data.regimes is None else np.unique(data.regimes, return_inverse=True)[1]
    regimes = np.where(rows, labels.max() + 1 + labels, labels)
    return _locals(build(replace(data, targets=targets, imperfect=imperfect, regimes=regimes)), graph)


def _dependence(
    build: Callable[[GraphData], LocalScore], data: GraphData, rows: BoolArray, graph: NDArray[np.int8]
) -> FloatArray:
    """(d,) log odds of each variable given its parents against given nothing, in these rows alone."""
    weights = None if data.weights is None else data.weights[rows]
    score = build(GraphData(data.values[rows], names=data.names, weights=weights))
    return _locals(score, graph) - _locals(score, np.zeros_like(graph))
