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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.causal.subsets import as_hit, single_target
from pyro_lcm.training.warmstart import encode_in_chunks


@dataclass(frozen=True)
class Peeled:
    """Pairs in their causal variables, and what they were found from.

    Attributes:
        noise: (N, d) noise encodings before.
        causal: (N, d) causal variables before.
        causal_after: (N, d) causal variables after.
        target: (N,) long, 0 none, i variable i, -1 where several variables were hit.
        order: variables 0..d-1 from causes to effects.
        straightness: see :func:`peel_sinks`.
    """

    noise: Tensor
    causal: Tensor
    causal_after: Tensor
    target: Tensor
    order: list[int]
    straightness: float


def peel(objective: Any, batch: Mapping[str, Tensor]) -> Peeled:
    """Set the isometric decoder and the target encoder; targets are the known ones, or those that moves tell.

    Args:
        objective: holds a model with an isometric ``decoder`` and a guide with ``encoder`` and ``target_encoder``.
        batch: ``x`` and ``x_after``, (N, dim_x), and ``targets`` where some are known.

    Returns:
        The pairs in the causal variables found.
    """
    decoder, guide = objective.model.decoder, objective.guide
    before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
    guide.target_encoder.fit(after - before, batch.get("targets"))
    target = single_targets(objective, before, after, batch.get("targets"))
    order = causal_order_of_redrawn(before, after, target)
    columns, straightness = peel_sinks((batch["x_after"] - batch["x"]).double(), target, order)
    decoder.free.copy_(columns.to(decoder.free))
    decoder.bias.copy_(batch["x"].mean(0))
    decoder.log_scale.zero_()
    # A variable goes up with its own noise encoding: its move decides the sign of its column.
    moved = decoder.inverse(batch["x_after"]) - decoder.inverse(batch["x"])
    decoder.free.mul_(((after - before) * moved).sum(0).sign())
    causal, causal_after = (decoder.inverse(batch[side]) for side in ("x", "x_after"))
    return Peeled(before, causal, causal_after, target, order, straightness)


def single_targets(objective: Any, before: Tensor, after: Tensor, known: Tensor | None) -> Tensor:
    """The most probable target of each pair, or the known one, (N,) long; -1 where there are several.

    Args:
        objective: holds a guide with a ``target_encoder``.
        before: (N, d) noise encodings before.
        after: (N, d) noise encodings after.
        known: (N,) or (N, d) long, known targets, -1 for unknown; None if none is.
    """
    encoder, dim = objective.guide.target_encoder, before.shape[1]
    target = encoder(after - before).argmax(-1)
    if hasattr(encoder, "sets"):
        target = single_target(encoder.sets[target].long(), dim)
    if known is None:
        return target
    return torch.where(as_hit(known, dim)[1], single_target(known, dim), target)


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


def peel_sinks(moves: Tensor, target: Tensor, order: Sequence[int]) -> tuple[Tensor, float]:
    """Columns of an isometry x = Q z from moves of x under interventions on single variables.

    Args:
        moves: (N, dim_x) differences x~ - x.
        target: (N,) long, target of each, 0..d.
        order: variables 0..d-1 from causes to effects.

    Returns:
        Q, (dim_x, d) with orthonormal columns of arbitrary signs; and the smallest share of a variable's moves that
        was on its line when it was peeled off, 1 if all is as assumed.

    Example:
        >>> target = torch.tensor([1, 1, 2, 2])
        >>> z = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [0.0, 1.0], [0.0, 2.0]])   # moves under z1 -> z2
        >>> columns, straightness = peel_sinks(z @ torch.tensor([[0.6, 0.8], [0.8, -0.6]]), target, [0, 1])
        >>> columns.abs().round(decimals=3).tolist(), round(straightness, 3)
        ([[0.6..., 0.8...], [0.8..., 0.6...]], 1.0)
    """
    columns = moves.new_zeros(moves.shape[1], len(order))
    straightness = 1.0
    for variable in reversed(order):
        own = moves[target == variable + 1]
        own = own - own @ columns @ columns.T
        values, vectors = torch.linalg.eigh(own.T @ own)
        straightness = min(straightness, float(values[-1] / values.clamp(min=0).sum()))
        columns[:, variable] = vectors[:, -1]
    return columns, straightness


def least_squares(
    features: Tensor, chosen: Sequence[int], response: Tensor, *, split: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficient of the first feature (if ``split``), of the rest, constant, and the residual's deviation."""
    design = torch.cat([features[:, list(chosen)], torch.ones_like(features[:, :1])], 1).double()
    solved = torch.linalg.lstsq(design, response.double().unsqueeze(1)).solution.squeeze(1)
    sd = (response.double() - design @ solved).square().mean().sqrt()
    first = 1 if split else 0
    return solved[0], solved[first:-1], solved[-1], sd
