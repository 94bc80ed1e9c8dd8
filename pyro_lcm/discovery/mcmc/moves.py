"""Moves of MCMC on DAGs: a node's parents redrawn as a whole, and an edge reversed with both parent sets.

Both leave p(graph) proportional to the product of parent-set weights unchanged and act on all chains at once.
They complement the moves on partitions, which keep the other variables' layers: here descendants follow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.discovery.parent_set_tables import ParentSetTables


def descendants(graphs: Tensor) -> Tensor:
    """Which variables can be reached, each from itself included.

    Args:
        graphs: (..., d, d) bool, ``[..., parent, child]``.

    Returns:
        (..., d, d) bool, ``[..., ancestor, descendant]``.
    """
    d = graphs.shape[-1]
    reach = (graphs | torch.eye(d, dtype=torch.bool, device=graphs.device)).float()
    length = 1
    while length < d - 1:
        reach = (reach @ reach).clamp(max=1.0)
        length *= 2
    return reach > 0


def redraw_parents(
    tables: ParentSetTables, graphs: Tensor, node: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Gibbs move: the node's parent set drawn afresh given all the others' (Goudie and Mukherjee 2016).

    Args:
        tables: Parent-set weights of d variables.
        graphs: (chains, d, d) bool DAGs.
        node: (chains,) int64, the variable of each chain.
        generator: Source of randomness.

    Returns:
        (chains, d, d) bool DAGs.
    """
    allowed = ~_descendants_of(graphs, node)
    return _with_parents(graphs, node, tables.sample(node, allowed, generator=generator))


def reverse_edge(
    tables: ParentSetTables, graphs: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Metropolis-Hastings move that reverses one edge (Grzegorczyk and Husmeier 2008, Machine Learning 71).

    An edge i -> j is picked; i and j lose their parents; i draws a set that contains j, then j draws any set
    that keeps the graph acyclic. With |E| edges before and |E'| after, "0" the graph without either set, "+"
    and "~" the graph with only the new set of i or only the old set of j,

        acceptance = |E| / |E'| * Z_i(j in set | 0) Z_j(+) / (Z_j(i in set | 0) Z_i(~)).

    Args:
        tables: Parent-set weights of d variables.
        graphs: (chains, d, d) bool DAGs.
        generator: Source of randomness.

    Returns:
        (chains, d, d) bool DAGs, and which chains moved (chains,) bool.
    """
    chains, d = graphs.shape[0], graphs.shape[-1]
    rows = torch.arange(chains, device=graphs.device)
    edges = graphs.flatten(1)
    count = edges.sum(-1)
    # A chain without edges gets a dummy one; the move is turned down at the end.
    pick = torch.multinomial(torch.where(count[:, None] > 0, edges, 1).double(), 1, generator=generator)[:, 0]
    tail, head = pick // d, pick % d
    orphaned = graphs.clone()
    orphaned[rows, :, tail] = False
    orphaned[rows, :, head] = False

    variables = torch.arange(d, device=graphs.device)
    tail_only, head_only = variables == tail[:, None], variables == head[:, None]
    tail_allowed, head_allowed = ~_descendants_of(orphaned, tail), ~_descendants_of(orphaned, head)
    forward = tables.log_sum_hitting(tail, tail_allowed, head_only)
    backward = tables.log_sum_hitting(head, head_allowed, tail_only)

    tail_set = tables.sample(tail, tail_allowed, head_only, generator=generator)
    with_new = _with_parents(orphaned, tail, tail_set)
    allowed = ~_descendants_of(with_new, head)
    forward = forward + tables.log_sum(head, allowed)
    proposal = _with_parents(with_new, head, tables.sample(head, allowed, generator=generator))
    with_old = _with_parents(orphaned, head, graphs[rows, :, head])
    backward = backward + tables.log_sum(tail, ~_descendants_of(with_old, tail))

    log_ratio = count.log() - proposal.sum((-1, -2)).log() + forward - backward
    uniform = torch.rand(chains, generator=generator, dtype=log_ratio.dtype, device=graphs.device)
    accepted = (count > 0) & (uniform.log() < log_ratio)
    return torch.where(accepted[:, None, None], proposal, graphs), accepted


def _descendants_of(graphs: Tensor, node: Tensor) -> Tensor:
    """(chains, d) bool, the node's descendants and itself."""
    return descendants(graphs)[torch.arange(len(node), device=node.device), node]


def _with_parents(graphs: Tensor, node: Tensor, parents: Tensor) -> Tensor:
    result = graphs.clone()
    result[torch.arange(len(node), device=node.device), :, node] = parents
    return result
