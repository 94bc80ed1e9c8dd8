"""A good graph under a score, found by adding and taking away single edges: the mode near a start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.effects import ancestor_matrices
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import BoolArray, FloatArray, LocalScore


def climb(
    score: LocalScore, prior: GraphPrior, start: NDArray[np.integer] | BoolArray | None = None, *, most_steps: int = 500
) -> tuple[BoolArray, float]:
    """Change the one edge that helps most, again and again, until none does.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs; one that is order-modular is taken for the modular one.
        start: (d, d) DAG to begin with; the required edges when None.
        most_steps: Most changes.

    Returns:
        (d, d) booleans [parent, child], and its log score plus log prior.
    """
    d = score.num_variables
    required = prior.required_edges(d)
    free = prior.allowed_edges(d) & ~required
    graph = required.copy() if start is None else np.asarray(start) != 0
    local = np.empty(d)
    gains: FloatArray = np.full((d, d), -np.inf)

    def look(child: int) -> None:
        choices = np.flatnonzero(free[:, child])
        sets = np.vstack([graph[:, child], graph[:, child] ^ (np.arange(d) == choices[:, None])])
        terms = prior.log_local(child, sets)
        value = terms.copy()
        known = np.isfinite(terms)
        value[known] += score.local(child, sets[known])
        local[child] = value[0]
        gains[:, child] = -np.inf
        gains[choices, child] = value[1:] - value[0]

    change_edges(graph, gains, look, most_steps=most_steps, least=1e-9)
    return graph, float(local.sum())


def change_edges(
    graph: BoolArray, gains: FloatArray, look: Callable[[int], None], *, most_steps: int, least: float
) -> None:
    """Change single edges of a graph, in place, the one that gains most first, while one gains.

    Args:
        graph: (d, d) [parent, child], acyclic.
        gains: (d, d), of changing each edge.
        look: brings the gains of a child up to date with the graph.
        most_steps: changes at most.
        least: gain that a change has to exceed.
    """
    d = len(graph)
    for child in range(d):
        look(child)
    for _ in range(most_steps):
        cyclic = ancestor_matrices(graph).T == 1
        possible = np.where(cyclic & ~graph, -np.inf, gains)
        parent, child = divmod(int(possible.argmax()), d)
        if not possible[parent, child] > least:
            break
        graph[parent, child] ^= True
        look(child)
