"""Amortized guide of interventions on sets of variables.

q(e | x), shared and redrawn components as in :mod:`pyro_lcm.guides.ilcm`; which set it was is told by the moves of all
components (:mod:`pyro_lcm.guides.set_encoder`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.causal.outcomes import RedrawnDist
from pyro_lcm.causal.subsets import all_subsets, row_of
from pyro_lcm.guides.ilcm import Averaging, ILCMGuide
from pyro_lcm.guides.set_encoder import SetEncoder


class SubsetILCMGuide(ILCMGuide):
    """The guide of :class:`pyro_lcm.models.soft_ilcm_subsets.SubsetILCM`.

    Args:
        dim_z: number of causal variables d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
        subsets: (K, d) bool, as the model's.
        averaging: see :class:`pyro_lcm.guides.ilcm.ILCMGuide`.
        redrawn_dist: the model's, for the outcomes that were not seen.
    """

    subsets: Tensor

    def __init__(
        self,
        dim_z: int,
        encoder: nn.Module,
        subsets: Tensor | None = None,
        averaging: Averaging = "product",
        redrawn_dist: RedrawnDist | None = None,
    ) -> None:
        subsets = all_subsets(dim_z) if subsets is None else subsets
        super().__init__(dim_z, encoder, SetEncoder(subsets), averaging, redrawn_dist)
        self.register_buffer("subsets", subsets)

    def forward(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample the latents of the pairs ``index`` out of ``size``; arguments as the model's."""
        known = None if targets is None else row_of(self.subsets, targets)
        self.pairs(self.redrawn_dist, x, x_after, targets=known, size=size, index=index)

    def hit(self, target: Tensor) -> Tensor:
        """Which components a row of ``subsets`` (...) redraws, (..., d) bool."""
        return self.subsets[target]

    def targets(self, x: Tensor, x_after: Tensor) -> Tensor:
        """Column 0 q(S empty | x, x~), column i q(i in S | x, x~): (pairs, d + 1), whose rows need not sum to one."""
        posterior = self._target_probabilities(self.differences(x, x_after))
        empty = ~self.subsets.any(-1, keepdim=True)
        return (posterior @ torch.cat([empty, self.subsets], -1).to(posterior)).clamp(max=1.0)  # but for rounding
