"""Intervention targets: 0 is none, i is causal variable i.

Targets are unknown as a rule. Where some are known they are given as a (pairs,) tensor in which -1 stands for
unknown; a known target is side information for model and guide alike, so that both see a point mass there.
"""

from __future__ import annotations

import torch
from pyro.distributions import Categorical
from torch import Tensor

UNKNOWN = -1


def target_distribution(probabilities: Tensor, known: Tensor | None = None) -> Categorical:
    """Distribution of intervention targets, a point mass where the target is known.

    Args:
        probabilities: (..., d + 1), positive, rows sum to one; column 0 is "none".
        known: (pairs,) long with values in -1..d, -1 for unknown; None if no target is known.

    Returns:
        A Categorical with batch shape (pairs,).

    Example:
        >>> target_distribution(torch.full((3,), 1 / 3), torch.tensor([-1, 2])).probs.round(decimals=3)
        tensor([[0.3330, 0.3330, 0.3330],
                [0.0000, 0.0000, 1.0000]])
    """
    if known is not None:
        classes = torch.arange(probabilities.shape[-1], device=probabilities.device)
        point = (known.unsqueeze(-1) == classes).to(probabilities.dtype)
        probabilities = torch.where(known.unsqueeze(-1) == UNKNOWN, probabilities, point)
    return Categorical(probs=probabilities)


def hit_mask(target: Tensor, dim: int) -> Tensor:
    """Which variable was hit: (..., d) bool, all false where the target is 0 (none).

    Args:
        target: (...) long, values in 0..dim.
        dim: number of causal variables d.

    Example:
        >>> hit_mask(torch.tensor([0, 2]), 3).int().tolist()
        [[0, 0, 0], [0, 1, 0]]
    """
    return target.unsqueeze(-1) == torch.arange(1, dim + 1, device=target.device)
