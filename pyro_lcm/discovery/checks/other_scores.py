"""The evidence of other scores for the same rows, beside that of the one that was used.

With graphs G drawn from the posterior under a score s, another score s' of the same rows and the same prior has

    log p'(data) - log p(data) = log E exp(s'(G) - s(G)) >= E (s'(G) - s(G)),

a bound that every engine's draws give. Where the other score prefers graphs that were not drawn, one graph that it
likes bounds its evidence, too: log p'(data) >= s'(G) + log p(G), and log p(data) = E (s(G) + log p(G)) + entropy, the
entropy at most that of pairs of variables taken by themselves. The larger of the two bounds is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.checks.climb import climb
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import BoolArray, FloatArray, GraphData, LocalScore

CLEAR = 10.0
"""Nats from which on another score explains rows clearly better. Under the score that was used, and its prior of the
mechanisms, this happens once in exp(10) tables at most."""
Builders = Mapping[str, Callable[[GraphData], LocalScore]]
MOST_TO_CLIMB = 30
"""Most variables for which a graph is looked for under the other score."""
_MOST_OPERATIONS = 3e10


def evidence_beside(
    score: LocalScore, others: Mapping[str, LocalScore], prior: GraphPrior, graphs: NDArray[np.int8]
) -> dict[str, float]:
    """By how much other scores explain the rows better, at least.

    Args:
        score: The score that graphs were drawn under.
        others: Scores of the same rows, by name.
        prior: The prior that they were drawn under.
        graphs: (n, d, d) draws.

    Returns:
        Nats by name; the difference is that or more, up to the error of n draws.
    """
    own = score.total(graphs)
    found = {}
    for name, other in others.items():
        theirs = other.total(graphs)
        bound = float((theirs - own).mean())
        if score.num_variables <= MOST_TO_CLIMB:
            best = graphs[int(theirs.argmax())]
            _, reached = climb(other, prior, best)
            modular = np.array([_modular(prior, graph) for graph in graphs])
            bound = max(bound, reached - float((own + modular).mean()) - entropy_bound(graphs))
        found[name] = bound
    return found


def choose_score(data: GraphData, builders: Builders, prior: GraphPrior) -> str:
    """The score for rows that nothing is known about: bge, unless nonlinear mechanisms explain them clearly better.

    Args:
        data: The rows.
        builders: What makes a score of rows, by name.
        prior: Prior over graphs.

    Returns:
        "bge" or "nonlinear": the one whose best graph found has the larger evidence, bge where the difference is below
        10 nats. The score linear is never chosen: it says no more of mechanisms than bge, and directions by its prior.
    """
    if not is_affordable(data):
        return "bge"
    graph, linear = climb(builders["bge"](data), prior)
    other = builders["nonlinear"](data)
    bent = max(climb(other, prior, start)[1] for start in (graph, None))
    return "nonlinear" if bent - linear > CLEAR else "bge"


def is_affordable(data: GraphData) -> bool:
    """Whether the nonlinear score of these rows takes seconds: it has d^2 / 2 products of parents as features."""
    size = data.num_variables
    groups = 1 if data.targets is None and data.weights is None else size
    features = 1 + 7 * size + size * (size - 1) / 2
    return groups * len(data.values) * features**2 < _MOST_OPERATIONS


def entropy_bound(graphs: NDArray[np.int8]) -> float:
    """Entropy of (n, d, d) draws at most: the sum over pairs of variables of that of none, one way, the other way."""
    upper = np.triu_indices(graphs.shape[-1], 1)
    forward = (graphs != 0).mean(axis=0)
    backward = forward.T
    states: FloatArray = np.stack([forward[upper], backward[upper]])
    states = np.vstack([states, 1.0 - states.sum(axis=0)])
    return float(-(states * np.log(np.maximum(states, 1e-300))).sum())


def _modular(prior: GraphPrior, graph: BoolArray | NDArray[np.int8]) -> float:
    """The modular part of the log prior of a DAG."""
    return float(sum(prior.log_local(j, graph[None, :, j])[0] for j in range(len(graph))))
