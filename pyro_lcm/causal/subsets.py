"""Interventions on any subset of the variables: targets as rows of zeros and ones.

A single target is a number, 0 for none and i for variable i. A set of targets is a row of d entries, 1 where
the variable was intervened on and 0 where not; an empty set is a row of zeros. -1 stands for unknown in
either form (in a row: in all of its entries).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.causal.targets import UNKNOWN, hit_mask


def as_hit(targets: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Read known targets in either form.

    Args:
        targets: (pairs,) long in -1..d, or (pairs, d) of 0 and 1, or -1 throughout a row.
        dim: number of variables d.

    Returns:
        (pairs, d) bool, which variables were hit; (pairs,) bool, for which pairs that is known.

    Raises:
        ValueError: If the shape is neither.

    Example:
        >>> hit, known = as_hit(torch.tensor([0, 2, -1]), 2)
        >>> hit.int().tolist(), known.tolist()
        ([[0, 0], [0, 1], [0, 0]], [True, True, False])
        >>> as_hit(torch.tensor([[1, 1], [-1, -1]]), 2)[0].int().tolist()
        [[1, 1], [0, 0]]
    """
    if targets.dim() == 1:
        return hit_mask(targets, dim), targets != UNKNOWN
    if targets.dim() == 2 and targets.shape[-1] == dim:
        return targets == 1, (targets != UNKNOWN).all(-1)
    raise ValueError(f"targets: got shape {tuple(targets.shape)}, expected (pairs,) or (pairs, {dim})")


def single_target(targets: Tensor, dim: int) -> Tensor:
    """The target of each pair with at most one: (pairs,) long in 0..d, -1 where there are several or it is unknown.

    Args:
        targets: (pairs,) or (pairs, d) in the forms of this module.
        dim: number of variables d.

    Example:
        >>> single_target(torch.tensor([[0, 0], [0, 1], [1, 1], [-1, -1]]), 2).tolist()
        [0, 2, -1, -1]
    """
    hit, known = as_hit(targets, dim)
    number = (hit * torch.arange(1, dim + 1, device=hit.device)).sum(-1)
    return torch.where(known & (hit.sum(-1) <= 1), number, UNKNOWN)


def all_subsets(dim: int) -> Tensor:
    """Every subset of the variables, (2^d, d) bool; row k holds the binary digits of k, so row 0 is empty.

    Example:
        >>> all_subsets(2).int().tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return (torch.arange(2**dim).unsqueeze(1) >> torch.arange(dim)) % 2 == 1


def single_share(subsets: Tensor) -> float:
    """Which part of the non-empty sets of a list, (K, d) bool, are of one variable.

    Example:
        >>> single_share(all_subsets(2))
        0.666...
    """
    sizes = subsets.sum(-1)
    return float((sizes == 1).sum() / (sizes > 0).sum().clamp(min=1))


def row_of(subsets: Tensor, targets: Tensor) -> Tensor:
    """Which row of a list of sets the known targets are.

    Args:
        subsets: (K, d) bool, different rows.
        targets: (pairs,) or (pairs, d) in the forms of this module.

    Returns:
        (pairs,) long in 0..K-1, or -1 where the targets are unknown or not in the list.

    Example:
        >>> row_of(all_subsets(2), torch.tensor([[1, 1], [0, 0], [-1, -1]])).tolist()
        [3, 0, -1]
    """
    hit, known = as_hit(targets, subsets.shape[1])
    same = (hit.unsqueeze(1) == subsets).all(-1)
    found = same.any(-1) & known
    return torch.where(found, same.long().argmax(-1), UNKNOWN)
