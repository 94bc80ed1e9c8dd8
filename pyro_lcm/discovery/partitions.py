"""Ordered partitions of the variables: what stands for a DAG without counting any DAG twice.

Peeling a DAG's roots off, again and again, puts every variable in a layer; a variable of layer l > 0 has all
its parents in earlier layers and at least one in layer l - 1. Each DAG has exactly one such ordered
partition, whereas it has as many orders as linear extensions. A uniform prior over DAGs therefore stays
uniform, and the weight of a partition is a product over variables (Kuipers and Moffa 2017, "Partition MCMC
for inference on acyclic digraphs", J. Am. Stat. Assoc. 112):

    log W(partition) = sum over j of log Z_j(A_j, H_j),

with A_j the variables in earlier layers, H_j those in the layer just before, Z from `ParentSetTables`.

A partition is an integer vector ``layers`` (..., d) with the layer of each variable, 0 for the roots, no
layer empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.discovery.parent_set_tables import ParentSetTables


def layers_of(adjacency: Tensor) -> Tensor:
    """Layers (..., d) of DAGs (..., d, d): the length of the longest path that ends in each variable.

    Example:
        >>> layers_of(torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]])).tolist()
        [0, 1, 2]
    """
    edges = adjacency.bool()
    d = edges.shape[-1]
    layers = edges.new_zeros(edges.shape[:-1], dtype=torch.long)
    for _ in range(d - 1):
        layers = torch.where(edges, layers[..., :, None] + 1, 0).amax(-2)
    return layers


def parent_masks(layers: Tensor) -> tuple[Tensor, Tensor]:
    """For each child the variables in earlier layers, and those in the layer just before.

    Args:
        layers: (..., d) int64.

    Returns:
        Two bool tensors (..., d, d), indexed ``[..., child, parent]``.
    """
    child, parent = layers[..., :, None], layers[..., None, :]
    return parent < child, parent == child - 1


def log_weights(tables: ParentSetTables, layers: Tensor) -> Tensor:
    """``log Z_j(A_j, H_j)`` of each variable, (..., d); their sum is the partition's log weight."""
    before, adjacent = parent_masks(layers)
    return _masked_log_weights(tables, before, adjacent)


def sample_graphs(tables: ParentSetTables, layers: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One DAG for each partition, drawn from the DAGs of that partition in proportion to their weight.

    Args:
        tables: Parent-set weights of d variables.
        layers: (..., d) int64.
        generator: Source of randomness; torch's own if None.

    Returns:
        (..., d, d) bool, ``[..., parent, child]``.
    """
    before, adjacent = parent_masks(layers)
    child = torch.arange(layers.shape[-1], device=layers.device)
    return tables.sample(child, before, adjacent, layers == 0, generator).mT


def edge_probabilities(tables: ParentSetTables, layers: Tensor) -> Tensor:
    """Probability of each edge given the partition, summed over its graphs in closed form.

    Args:
        tables: Parent-set weights of d variables.
        layers: (..., d) int64.

    Returns:
        (..., d, d) float64, ``[..., parent, child]``.
    """
    before, adjacent = parent_masks(layers)
    d = layers.shape[-1]
    child = torch.arange(d, device=layers.device)
    remaining = tables.log_sum_hitting(child[:, None], without_each(before), without_each(adjacent))
    probability = -torch.expm1(remaining - tables.log_sum_hitting(child, before, adjacent)[..., None])
    return torch.where(before, probability, 0.0).mT


def relocations(tables: ParentSetTables, layers: Tensor, node: int) -> tuple[Tensor, Tensor]:
    """Every partition that differs only in where ``node`` stands, with its log weight.

    With the node taken out, m layers are left; it can join one of them or stand alone before, between or
    after them: 2 m + 1 places. Partitions of one batch may have different m; places that do not exist have
    weight 0.

    Args:
        tables: Parent-set weights of d variables.
        layers: (chains, d) int64.
        node: The variable that moves.

    Returns:
        Layers (chains, places, d), and log weights (chains, places).
    """
    d = layers.shape[-1]
    others = torch.arange(d, device=layers.device) != node
    rank = torch.where(others, _dense_rank(layers, others), -1)
    num_layers = rank.amax(-1) + 1
    # Odd places are the layers that exist, even ones the gaps before them.
    place = torch.arange(2 * int(num_layers.max()) + 1, device=layers.device)[:, None]
    # Another variable only sees whether the node comes before it, in the layer just before, or alone there: four
    # cases, instead of one evaluation for each place.
    before = (rank[:, None, :] < rank[:, :, None]) & others
    adjacent = (rank[:, None, :] == rank[:, :, None] - 1) & others
    alone = (~others).expand_as(before)
    cases = (
        torch.stack([before, before | alone, before | alone, before | alone], 1),
        torch.stack([adjacent, adjacent, adjacent | alone, alone], 1),
    )
    by_case = _masked_log_weights(tables, *cases)
    gap = place - 2 * rank[:, None, :]
    case = torch.where(gap > 0, 0, torch.where(gap == 0, 3, torch.where(gap == -1, 2, 1)))
    weight = torch.where(others, by_case.gather(1, case), 0.0).sum(-1)
    depth = torch.arange(len(place) // 2 + 1, device=layers.device)[:, None]
    below = (rank[:, None, :] < depth) & others, (rank[:, None, :] == depth - 1) & others
    own = _masked_log_weights(tables, *below, child=torch.full_like(depth[:, 0], node))
    weight = weight + own[:, place[:, 0] // 2]
    exists = place[:, 0] <= 2 * num_layers[:, None]
    gap_before = (place % 2 == 0) & (2 * rank[:, None, :] + 1 > place)
    layer = torch.where(others, rank[:, None, :] + gap_before, place // 2)
    return layer, torch.where(exists, weight, -torch.inf)


def without_each(sets: Tensor) -> Tensor:
    """Sets (..., d) with each variable taken out in turn, (..., d, d)."""
    d = sets.shape[-1]
    return sets[..., None, :] & ~torch.eye(d, dtype=torch.bool, device=sets.device)


def _masked_log_weights(
    tables: ParentSetTables, before: Tensor, adjacent: Tensor, child: Tensor | None = None
) -> Tensor:
    child = torch.arange(before.shape[-2], device=before.device) if child is None else child
    root = ~adjacent.any(-1)
    return torch.where(root, tables.log_empty(child), tables.log_sum_hitting(child, before, adjacent))


def _dense_rank(layers: Tensor, keep: Tensor) -> Tensor:
    """Layers renumbered 0, 1, ... without those that no kept variable is in."""
    d = layers.shape[-1]
    occupied = (torch.nn.functional.one_hot(layers, d) * keep[:, None]).amax(-2)
    return (occupied.cumsum(-1) - 1).gather(-1, layers).clamp(min=0)
