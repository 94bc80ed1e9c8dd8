"""How amortized guides tell a set of targets: each component says by its own move whether it was redrawn.

With the Bayes factors b_i of :class:`pyro_lcm.guides.target_encoder.TargetEncoder` and a uniform prior over a list

    log q(S | x, x~) = sum over i in S of log b_i  -  normaliser.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_lcm.causal.subsets import row_of, single_share
from pyro_lcm.causal.targets import target_distribution
from pyro_lcm.guides.target_encoder import TargetEncoder


class SetEncoder(TargetEncoder):
    """q(S | x, x~) over a list of sets of targets; tolerances and widths as the base class has them.

    Args:
        sets: (K, d) bool, the sets that can occur, different rows.
    """

    sets: Tensor

    def __init__(self, sets: Tensor) -> None:
        super().__init__(sets.shape[1])
        self.register_buffer("sets", sets, persistent=False)

    @property
    def single_share(self) -> float:
        """Which part of the non-empty sets are of one variable."""
        return single_share(self.sets)

    def forward(self, move: Tensor) -> Tensor:
        """Logits (..., K) of the sets for moves (..., d) of the encoders' means."""
        return super().forward(move)[..., 1:] @ self.sets.to(move.dtype).T

    def hits(self, move: Tensor, known: Tensor | None = None) -> Tensor:
        """q(i in S), (pairs, d), for moves (pairs, d); where targets are known (:func:`row_of`), 0 or 1."""
        row = None if known is None else row_of(self.sets, known)
        probabilities = target_distribution(self.forward(move).softmax(-1), row).probs
        return (probabilities @ self.sets.to(move.dtype)).clamp(max=1.0)  # rounding would leave a negative rest

    def log_evidence(self, move: Tensor, known: Tensor | None = None, *, shared: bool = False) -> Tensor:
        """Log density sum_S p(S) p(m~ - m | S), of the known set where one is; see the base class."""
        untouched, redrawn = self.variances(shared=shared)
        base = -0.5 * (move.square() / untouched + (2 * math.pi * untouched).log()).sum(-1)
        factor = self._log_bayes_factors(move, untouched, redrawn)[..., 1:] @ self.sets.to(move.dtype).T
        mixed = factor.logsumexp(-1)
        if known is not None:
            row = row_of(self.sets, known)
            own = factor.gather(-1, row.clamp(min=0).unsqueeze(-1)).squeeze(-1)
            mixed = torch.where(row < 0, mixed, own)
        return base + mixed - math.log(len(self.sets))

    @torch.no_grad()
    def fit(self, move: Tensor, known: Tensor | None = None, *, iterations: int = 100) -> None:
        """Fit tolerances and widths to moves (pairs, d) by expectation maximisation; sets stay equally probable."""
        # Half of the moves of a component may be its own, so that a quarter is surely not.
        lowest = move.abs().kthvalue(max(1, len(move) // 4), 0).values
        self.log_tolerance.copy_((lowest + 2 * self.min_tolerance).log())
        for _ in range(iterations):
            share = self.hits(move, known)
            untouched, redrawn = (
                (move.square() * weight).sum(0) / weight.sum(0).clamp(min=1e-6) for weight in (1 - share, share)
            )
            self._set_variances(untouched, redrawn)
