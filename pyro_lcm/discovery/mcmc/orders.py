"""Orders of the variables: the state of MCMC under an order-modular prior, and a start for every engine.

Under the order-modular prior (Friedman and Koller 2003, "Being Bayesian about network structure", Machine
Learning 50) a DAG counts once for each order it agrees with, and the weight of an order is a product,

    log W(order) = sum over j of log Z_j(predecessors of j),     Z from `ParentSetTables`.

This is **not** the uniform prior over DAGs: `partitions` is for that.

An order is an integer vector ``positions`` (..., d): the place of each variable, 0 to d - 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.discovery.parent_set_tables import ParentSetTables
from pyro_lcm.discovery.partitions import without_each
from pyro_lcm.discovery.priors import GraphPrior


def predecessor_masks(positions: Tensor) -> Tensor:
    """For each child the variables that come before it, bool (..., d, d) indexed ``[..., child, parent]``."""
    return positions[..., None, :] < positions[..., :, None]


def sample_graphs(tables: ParentSetTables, positions: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One DAG for each order, drawn from the DAGs that agree with it in proportion to their weight.

    Args:
        tables: Parent-set weights of d variables.
        positions: (..., d) integers; equal entries (layers, for instance) exclude edges between them.
        generator: Source of randomness; torch's own if None.

    Returns:
        (..., d, d) bool, ``[..., parent, child]``.
    """
    child = torch.arange(positions.shape[-1], device=positions.device)
    return tables.sample(child, predecessor_masks(positions), generator=generator).mT


def edge_probabilities(tables: ParentSetTables, positions: Tensor) -> Tensor:
    """Probability of each edge given the order, summed over graphs in closed form.

    Args:
        tables: Parent-set weights of d variables.
        positions: (..., d) int64.

    Returns:
        (..., d, d) float64, ``[..., parent, child]``.
    """
    allowed = predecessor_masks(positions)
    child = torch.arange(positions.shape[-1], device=positions.device)
    remaining = tables.log_sum(child[:, None], without_each(allowed))
    return -torch.expm1(remaining - tables.log_sum(child, allowed)[..., None]).mT


def relocations(tables: ParentSetTables, positions: Tensor, node: int) -> tuple[Tensor, Tensor]:
    """Every order that differs only in where ``node`` stands, with its log weight.

    Args:
        tables: Parent-set weights of d variables.
        positions: (chains, d) int64.
        node: The variable that moves.

    Returns:
        Positions (chains, d, d), and log weights (chains, d); the middle dimension is the node's place.
    """
    d = positions.shape[-1]
    child = torch.arange(d, device=positions.device)
    others = child != node
    rank = positions - (positions > positions[..., [node]]).long()
    place = child[:, None]
    later = rank[:, None, :] >= place
    moved = torch.where(others, rank[:, None, :] + later, place)
    # Another variable only sees whether the node comes before it: two evaluations, instead of one for each place.
    before = (rank[:, None, :] < rank[:, :, None]) & others
    without, beside = tables.log_sum(child, torch.stack([before, before | ~others])).unbind(0)
    rest = torch.where(others, torch.where(later, beside[:, None], without[:, None]), 0.0).sum(-1)
    own = tables.log_sum(torch.full_like(child, node), (rank[:, None, :] < place) & others)
    return moved, rest + own


def random_orders(prior: GraphPrior, num_variables: int, count: int, rng: np.random.Generator) -> Tensor:
    """Random orders that agree with the prior's required edges and tiers.

    Args:
        prior: Prior over graphs.
        num_variables: Number of variables d.
        count: Number of orders.
        rng: Source of randomness.

    Returns:
        (count, d) int64 positions.
    """
    before = prior.required_edges(num_variables)
    for early, tier in enumerate(prior.tiers):
        for late in prior.tiers[early + 1 :]:
            before[np.ix_(tier, late)] = True
    positions = np.empty((count, num_variables), dtype=np.int64)
    for row in positions:
        waiting = np.ones(num_variables, dtype=bool)
        for place in range(num_variables):
            ready = np.flatnonzero(waiting & ~before[waiting].any(axis=0))
            chosen = rng.choice(ready)
            row[chosen] = place
            waiting[chosen] = False
    return torch.from_numpy(positions)
