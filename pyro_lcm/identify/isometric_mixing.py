"""Causal variables from an isometric mixing x = Q z + b of soft interventions, in closed form.

Noise encodings e of both sides and the targets are known by then. What is left are the causal variables
(:mod:`pyro_lcm.models.soft_ilcm` says why Q has to be an isometry):

- e~_i depends on e_j only if j is an ancestor of i, unless the two mechanisms of i agree on it: a causal order;
- an intervention on i moves x within the span of the columns of i and its descendants. So the moves of the last
  variable lie on a line, its column of Q; those of the one before, projected away from that, lie on a line again; and
  so on to the first (for linear mechanisms this is a QR decomposition);
- mechanisms before and after are regressions of z = Q'(x - b).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def isometry_from_sinks(differences: Tensor, target: Tensor, order: Sequence[int]) -> tuple[Tensor, float]:
    """Columns of an isometry x = Q z from moves of x under interventions on single variables.

    Args:
        differences: (N, dim_x) differences x~ - x.
        target: (N,) long, target of each, 0..d.
        order: variables 0..d-1 from causes to effects.

    Returns:
        Q, (dim_x, d) with orthonormal columns of arbitrary signs; and the smallest share of a variable's moves that
        was on its line when it was peeled off, 1 if all is as assumed.

    Example:
        >>> target = torch.tensor([1, 1, 2, 2])
        >>> z = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [0.0, 1.0], [0.0, 2.0]])   # moves under z1 -> z2
        >>> columns, straightness = isometry_from_sinks(z @ torch.tensor([[0.6, 0.8], [0.8, -0.6]]), target, [0, 1])
        >>> columns.abs().round(decimals=3).tolist(), round(straightness, 3)
        ([[0.6..., 0.8...], [0.8..., 0.6...]], 1.0)
    """
    columns = differences.new_zeros(differences.shape[1], len(order))
    straightness = 1.0
    for variable in reversed(order):
        own = differences[target == variable + 1]
        own = own - own @ columns @ columns.T
        values, vectors = torch.linalg.eigh(own.T @ own)
        straightness = min(straightness, float(values[-1] / values.clamp(min=0).sum()))
        columns[:, variable] = vectors[:, -1]
    return columns, straightness
