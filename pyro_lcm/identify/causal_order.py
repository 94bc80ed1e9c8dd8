"""A causal order of variables whose noise encodings are known, by regressions of what was redrawn.

e~_i depends on e_j only if j is an ancestor of i, unless a soft intervention has left that part of its
mechanism as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def causal_order_of_redrawn(before: Tensor, after: Tensor, target: Tensor) -> list[int]:
    """Variables 0..d-1 from causes to effects, by how well e before predicts e~ of the target.

    Args:
        before: (N, d) noise encodings before.
        after: (N, d) noise encodings after.
        target: (N,) long, 0..d.

    Returns:
        Each time the variable that those left predict least.

    Raises:
        ValueError: If a variable is the target of too few pairs to tell.
    """
    dim = before.shape[1]
    dependence = np.zeros((dim, dim))
    for i in range(dim):
        rows = target == i + 1
        if int(rows.sum()) <= 4 * dim:
            raise ValueError(f"targets: variable {i + 1} is the target of {int(rows.sum())} pairs, expected more")
        others = [j for j in range(dim) if j != i]
        # The second half of the features sees even functions, which a slope does not.
        features = torch.cat([before[rows], before[rows].abs()], 1)
        response = after[rows, i] / after[rows, i].std()
        chosen = others + [j + dim for j in others]
        _, rest, _, _ = least_squares(features, chosen, response)
        strength = rest.square().view(2, -1).sum(0).sqrt()
        dependence[i, others] = strength.cpu().numpy()
    left, order = list(range(dim)), list[int]()
    while left:
        order.append(left.pop(int(dependence[np.ix_(left, left)].max(axis=1).argmin())))
    return order


def least_squares(
    features: Tensor, chosen: Sequence[int], response: Tensor, *, split: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficient of the first feature (if ``split``), of the rest, constant, and the residual's deviation."""
    design = torch.cat([features[:, list(chosen)], torch.ones_like(features[:, :1])], 1).double()
    solved = torch.linalg.lstsq(design, response.double().unsqueeze(1)).solution.squeeze(1)
    sd = (response.double() - design @ solved).square().mean().sqrt()
    first = 1 if split else 0
    return solved[0], solved[first:-1], solved[-1], sd
