"""What the rows say against the prior over graphs: against its number of edges, and against edges that it settles.

A prior exp(w |E|) over all DAGs is one of a family. Of two members the log evidence differs by
log E exp((v - w) |E|) - log Z(v) + log Z(w) >= (v - w) E |E| - log Z(v) + log Z(w), the mean that of the posterior
under w, and the bound is largest where the prior under v expects as many edges as the posterior has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.checks.climb import climb
from pyro_lcm.discovery.edge_counts import MAX_VARIABLES, expected_edges, log_dag_sum, weight_of_edges
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import LocalScore

CLEAR = 5.0
"""Nats from which on another number of edges is said to be expected."""
CLEAR_EDGES = 10.0
"""Nats that required and forbidden edges may cost the best graph."""
_MOST_TO_CLIMB = 30


@dataclass(frozen=True)
class EdgeCount:
    """A prior that expects another number of edges than the rows show.

    Attributes:
        prior: Mean number of edges under the prior.
        posterior: Mean number of edges under the posterior.
        nats: What the log evidence gains, at least, under a prior that expects as many.
    """

    prior: float
    posterior: float
    nats: float


def unexpected_edges(prior: GraphPrior, num_variables: int, mean_edges: float) -> EdgeCount | None:
    """Compare the number of edges that the prior expects with the posterior's.

    Args:
        prior: Prior over graphs; one of a factor for each edge, else nothing is said.
        num_variables: Number of variables d, nothing is said above 100.
        mean_edges: Mean number of edges of the posterior.

    Returns:
        What differs clearly, or None.

    Example:
        >>> unexpected_edges(GraphPrior(), 10, 9.0).prior.__round__(1)
        25.1
        >>> unexpected_edges(GraphPrior(edges_per_node=1.0), 10, 9.0) is None
        True
    """
    settled = prior.required or prior.forbidden or prior.tiers or prior.max_parents is not None
    if settled or prior.hierarchical or prior.order_modular or not 2 < num_variables <= min(100, MAX_VARIABLES):
        return None
    own = prior.edge_weight(num_variables)
    expected = expected_edges(num_variables, own)
    most = num_variables * (num_variables - 1) / 2
    mean = min(max(mean_edges, 0.05), most - 0.05)
    other = weight_of_edges(num_variables, mean)
    gain = (other - own) * mean - log_dag_sum(num_variables, other) + log_dag_sum(num_variables, own)
    return EdgeCount(expected, mean_edges, gain) if gain > CLEAR else None


def cost_of_knowledge(score: LocalScore, prior: GraphPrior, graph: NDArray[np.int8]) -> float:
    """Nats that the best graph found loses to what is required, forbidden or in tiers; 0 where nothing is.

    Args:
        score: Local score.
        prior: Prior over graphs.
        graph: (d, d) graph that is likely under both.
    """
    free = replace(prior, required=(), forbidden=(), tiers=())
    if free == prior or score.num_variables > _MOST_TO_CLIMB:
        return 0.0
    kept = climb(score, prior, graph)[1]
    return max(0.0, max(climb(score, free, start)[1] for start in (graph, None)) - kept)
