"""How amortized guides tell a set of targets: each component says by its own move whether it was redrawn.

With the Bayes factors b_i of :class:`pyro_lcm.guides.target_encoder.TargetEncoder` and a uniform prior over a list

    log q(S | x, x~) = sum over i in S of log b_i  -  normaliser.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.causal.subsets import row_of, single_share
from pyro_lcm.causal.targets import target_distribution
from pyro_lcm.guides.target_encoder import TargetEncoder, weighted_mean


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

    def forward(self, difference: Tensor) -> Tensor:
        """Logits (..., K) of the sets for differences (..., d) of the encoders' means."""
        return super().forward(difference)[..., 1:] @ self.sets.to(difference.dtype).T

    def hits(self, difference: Tensor, known: Tensor | None = None) -> Tensor:
        """q(i in S), (pairs, d), for differences (pairs, d); where targets are known (:func:`row_of`), 0 or 1."""
        row = None if known is None else self.hypothesis_of(known)
        probabilities = target_distribution(self.forward(difference).softmax(-1), row).probs
        return (probabilities @ self.sets.to(difference.dtype)).clamp(max=1.0)  # rounding would leave a negative rest

    def hypotheses(self) -> Tensor:
        """What may have been redrawn: (K, d), the sets."""
        return self.sets

    def hypothesis_of(self, known: Tensor) -> Tensor:
        """The row of each known set, -1 where it is unknown."""
        return row_of(self.sets, known)

    @torch.no_grad()
    def fit(self, difference: Tensor, known: Tensor | None = None, *, iterations: int = 100) -> None:
        """Fit tolerances and widths to differences (pairs, d) by expectation maximisation; sets stay as probable."""
        # Half of the differences of a component may be its own, so that a quarter is surely not.
        lowest = difference.abs().kthvalue(max(1, len(difference) // 4), 0).values
        self.log_tolerance.copy_((lowest + 2 * self.min_tolerance).log())
        for _ in range(iterations):
            share = self.hits(difference, known)
            square = difference.square()
            self._set_variances(weighted_mean(square, 1 - share), weighted_mean(square, share))
