"""Markov equivalence of graphs: which directions observations, or the interventions there were, leave open.

Two DAGs say the same of observations if they have the same adjacent pairs and the same v-structures a -> c <- b with a
and b not adjacent (Verma & Pearl, UAI 1990). Interventions whose targets are known tell two such graphs apart if an
edge between a set of targets and the rest points elsewhere (Hauser & Buhlmann, JMLR 2012; soft ones, too: Yang, Katcoff
& Uhler, ICML 2018). The completed graph of a
class, its essential graph or CPDAG, has an arrow where all members have it: those of v-structures and of interventions,
and those that follow from them (Meek, UAI 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.graph_data import BoolArray, GraphData

_BYTES_AT_ONCE = 1 << 26


@dataclass(frozen=True, eq=False)
class EquivalenceClass:
    """A class of equivalent graphs and how probable it is.

    Attributes:
        completed: (d, d) int8 [parent, child]: 1 one way for an arrow that all members have, 1 both ways for an
            adjacent pair whose direction is open.
        probability: Posterior mass of all members together.
        graphs: Number of members that were drawn.
    """

    completed: NDArray[np.int8]
    probability: float
    graphs: int


def target_sets(data: GraphData) -> BoolArray:
    """Different sets of targets of interventions, (m, d) booleans, without the empty one."""
    if data.targets is None:
        return np.zeros((0, data.num_variables), dtype=bool)
    sets = np.unique(data.targets, axis=0)
    return np.asarray(sets[sets.any(axis=1)])


def completed_graph(adjacency: ArrayLike, targets: BoolArray | None = None) -> NDArray[np.int8]:
    """The essential graph of a DAG's class.

    Args:
        adjacency: (d, d) DAG [parent, child].
        targets: (m, d) booleans, sets of targets; None: observations alone.

    Returns:
        (d, d) int8, an open direction as 1 both ways.

    Example:
        >>> completed_graph([[0, 1, 0], [0, 0, 1], [0, 0, 0]]).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
        >>> completed_graph([[0, 0, 1], [0, 0, 1], [0, 0, 0]]).tolist()
        [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    """
    graph = np.asarray(adjacency) != 0
    skeleton = graph | graph.T
    arrows = _colliding(graph[None])[0] & graph
    for target in np.zeros((0, len(graph)), bool) if targets is None else targets:
        arrows |= graph & (target[:, None] != target[None, :])
    while True:
        implied = _meek(arrows, skeleton) & graph
        if not (implied & ~arrows).any():
            break
        arrows |= implied
    return np.asarray(skeleton & ~arrows.T, dtype=np.int8)


def class_keys(graphs: ArrayLike, targets: BoolArray | None = None) -> NDArray[np.int64]:
    """Numbers of the classes of many DAGs, 0, 1, ... in the order in which they turn up.

    Args:
        graphs: (n, d, d) DAGs.
        targets: As in :func:`completed_graph`.

    Returns:
        (n,) integers.
    """
    drawn = np.asarray(graphs) != 0
    size = drawn.shape[-1]
    numbers: dict[bytes, int] = {}
    found = np.empty(len(drawn), dtype=np.int64)
    step = max(1, _BYTES_AT_ONCE // max(1, size**3))
    for start in range(0, len(drawn), step):
        part = drawn[start : start + step]
        skeleton = part | part.swapaxes(1, 2)
        pointed = _colliding_pairs(part).reshape(len(part), -1)
        cut = [part & (target[:, None] != target[None, :]) for target in (() if targets is None else targets)]
        rows = np.concatenate([each.reshape(len(part), -1) for each in (skeleton, pointed, *cut)], axis=1)
        for offset, row in enumerate(np.packbits(rows, axis=1)):
            found[start + offset] = numbers.setdefault(row.tobytes(), len(numbers))
    return found


def equivalence_classes(
    graphs: ArrayLike, mass: ArrayLike, targets: BoolArray | None = None, *, top: int = 5
) -> tuple[EquivalenceClass, ...]:
    """The most probable classes among different graphs.

    Args:
        graphs: (n, d, d) different DAGs.
        mass: (n,) their probabilities.
        targets: As in :func:`completed_graph`.
        top: Most classes that are given.

    Returns:
        The classes, the most probable first.
    """
    drawn, weight = np.asarray(graphs), np.asarray(mass, dtype=np.float64)
    keys = class_keys(drawn, targets)
    total = np.bincount(keys, weight)
    members = np.bincount(keys)
    _, first = np.unique(keys, return_index=True)
    best = np.argsort(-total, kind="stable")[:top]
    return tuple(
        EquivalenceClass(completed_graph(drawn[first[k]], targets), float(total[k]), int(members[k])) for k in best
    )


def _colliding_pairs(graphs: BoolArray) -> BoolArray:
    """(n, d, d, d): a -> c <- b with a and b apart, indexed [a, b, c]."""
    skeleton = graphs | graphs.swapaxes(1, 2) | np.eye(graphs.shape[-1], dtype=bool)
    return np.asarray(graphs[:, :, None, :] & graphs[:, None, :, :] & ~skeleton[:, :, :, None])


def _colliding(graphs: BoolArray) -> BoolArray:
    """(n, d, d): edges [a, c] that are part of a v-structure."""
    return np.asarray(_colliding_pairs(graphs).any(axis=2))


def _meek(arrows: BoolArray, skeleton: BoolArray) -> BoolArray:
    """Arrows [a, b] that follow: without them there would be a further v-structure, or a cycle."""
    open_ = skeleton & ~arrows & ~arrows.T
    apart = ~skeleton & ~np.eye(len(skeleton), dtype=bool)
    first = np.einsum("ca,cb->ab", arrows.astype(int), apart.astype(int)) > 0
    second = arrows.astype(int) @ arrows.astype(int) > 0
    # a - c -> b and a - d -> b with c and d apart
    reach = (open_[:, :, None] & arrows[None, :, :]).astype(int)  # [a, c, b]
    third = np.einsum("acb,adb,cd->ab", reach, reach, apart.astype(int)) > 0
    # a - d -> c -> b with d and b apart, a and c adjacent
    fourth = np.einsum("ad,dc,cb,db,ac->ab", *(m.astype(int) for m in (open_, arrows, arrows, apart, skeleton))) > 0
    return np.asarray(open_ & (first | second | third | fourth))
