"""Readouts that solution functions are drawn to, and the hook that finds those of features that come with pairs.

A solution function learns the density of what was redrawn from one pair in d + 1. Where causal variables can be read
off x, every observation says what it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.identify.subspace_readouts import KNOTS, subspace_readouts
from pyro_lcm.recipes.encodings import encode_pairs, sample_pairs
from pyro_lcm.training.sources import DataSource

__all__ = ["FindFeatureReadouts", "Readouts"]

MAX_EXPLAINED = 0.03
"""Share of a readout's variance, where its variable was redrawn, that other noise encodings may explain."""
MAX_MOVED = 0.02
"""How far a readout may move in pairs whose target is neither its variable nor a predecessor, squared, in units of the
difference of two observations at random."""


class Readouts(nn.Module):
    """Causal variables as increasing functions of weighted sums: r_i = q_i(w_i' c + b_i), q_i piecewise linear.

    Nothing of it is saved with a model; checkpoints hold it.

    Args:
        width: of what they are read from.
        dim: number of causal variables d.
    """

    weight: Tensor
    """(width, d), a column for each variable."""
    bias: Tensor
    quantiles: Tensor
    """(d, KNOTS) increasing, of the weighted sums where their variable was redrawn."""
    scores: Tensor
    """(KNOTS,) to which q_i brings them."""
    scored: Tensor
    """1 if there are quantiles, 0 where q_i are the identity."""
    believed: Tensor
    """(d,) 1 for the variables that have a readout, 0 for the others."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        shapes: dict[str, tuple[int, ...]] = {
            "weight": (width, dim),
            "bias": (dim,),
            "quantiles": (dim, KNOTS),
            "scores": (KNOTS,),
            "scored": (),
            "believed": (dim,),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape), persistent=False)

    @torch.no_grad()
    def set_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Take ``c @ weight + bias``, (width, d) and (d,), for all variables."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.scored.zero_()
        self.believed.fill_(1.0)

    @torch.no_grad()
    def set_scored(self, weight: Tensor, quantiles: Tensor, scores: Tensor, believed: Tensor) -> None:
        """Take quantiles (d, KNOTS) of ``c @ weight`` to scores (KNOTS,), for the variables that are believed, (d,)."""
        self.weight.copy_(weight)
        self.bias.zero_()
        self.quantiles.copy_(quantiles)
        self.scores.copy_(scores)
        self.scored.fill_(1.0)
        self.believed.copy_(believed)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Readouts of (rows, width) features and which of them count, 0 or 1, (rows, d) each.

        Beyond what was drawn a quantile says nothing, and does not count.
        """
        read = (features @ self.weight + self.bias).to(self.quantiles.dtype)  # of lower precision where it is mixed
        at = read.T.contiguous()
        right = torch.searchsorted(self.quantiles, at).clamp(1, self.quantiles.shape[1] - 1)
        low, high = self.quantiles.gather(1, right - 1), self.quantiles.gather(1, right)
        share = ((at - low) / (high - low).clamp(min=torch.finfo(at.dtype).tiny)).clamp(0, 1)
        scored = torch.lerp(self.scores[right - 1], self.scores[right], share).T
        inside = ((at >= self.quantiles[:, :1]) & (at <= self.quantiles[:, -1:])).T
        on = self.scored > 0
        return torch.where(on, scored, read), self.believed * (inside | ~on)


@dataclass(frozen=True)
class FindFeatureReadouts:
    """Set the readouts of the features that come with the pairs (:mod:`pyro_lcm.identify.subspace_readouts`).

    Each variable's is believed if what was redrawn depends on no other noise encoding in pairs that were held out, and
    if it keeps still where neither its variable nor a predecessor is the target; else the solution function learns from
    densities alone. It begins where there is an order (:class:`~pyro_lcm.recipes.structure.FindOrder`).

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the objective's readouts; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        if "features" not in batch:
            return {"readouts": 0.0}
        before, after, target = encode_pairs(objective.guide, batch)
        seen, seen_after, noise, noise_after = (
            part.cpu().double().numpy() for part in (batch["features"], batch["features_after"], before, after)
        )
        order = objective.model.solution.order.tolist()
        found = subspace_readouts(seen, seen_after, noise, noise_after, target.cpu().numpy(), order)
        if found is None:
            return {"readouts": 0.0}
        believed = torch.as_tensor((found.explained <= MAX_EXPLAINED) & (found.moved <= MAX_MOVED))
        tensors = (torch.as_tensor(part) for part in (found.weight, found.quantiles, found.scores))
        objective.readouts.set_scored(*tensors, believed)
        facts = {f"explained_{i + 1}": float(value) for i, value in enumerate(found.explained)}
        facts |= {f"moved_{i + 1}": float(value) for i, value in enumerate(found.moved)}
        return {"readouts": float(believed.sum())} | facts
