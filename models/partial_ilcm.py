"""Implicit latent causal model of interventions that keep a part of the old value.

    e        ~ N(0, 1)^d                                              noise encodings before
    z~_I     = k_I z_I + (1 - k_I) u,   u ~ N(0, 1)                   0 perfect, 1/2 half way, -1 mirrored, 2 doubled
    e~_I | e ~ N(k_I e_I + (1 - k_I) shift_I(e), |1 - k_I| scale_I(e)),   e~_j = e_j  for j != I
    z = s(e),   x ~ p(x | g(e)),   x~ ~ p(x | g(e~))                  solution functions s, one decoder g

Perfect interventions, k = 0, are those of Brehmer et al. (NeurIPS 2022, arXiv 2203.16437). In noise encodings the
others move one component like them, and e_I is independent of all that shift_I sees: the slope of e~_I in e_I is k_I,
and what is left, over 1 - k_I, is what a perfect intervention would have redrawn. So variables and graph are identified
as they are there, through any mixing. With k_I = 1, a shift or noise that is added, shift_I drops out, and no pair
tells how z_I depends on its causes. Where u is a constant, as of values that are exactly mirrored, it says nothing of
scale_I, which then has to be a constant too.
"""

from __future__ import annotations

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.models.ilcm import ILCM

NEAREST = 0.05
"""Least distance of k from 1, where nothing would be left."""


class PartialILCM(ILCM):
    """The program of :class:`pyro_lcm.models.ilcm.ILCM` with a density of its own for the target after.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) noise encodings to the distribution of x, or to its mean and standard deviation.
        solution: solution functions; affine ones of default size if None.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.

    Raises:
        ValueError: If the solution functions are not affine.
    """

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        solution: SolutionFunctions | None = None,
        target_prior: Tensor | None = None,
    ) -> None:
        super().__init__(dim_z, decoder, solution, target_prior)
        if self.solution.bins:
            raise ValueError(f"solution: got splines of {self.solution.bins} bins, expected affine solution functions")
        self.kept = nn.Parameter(torch.zeros(dim_z))

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None) -> Normal:
        """p(e~_i | e) of every i, or that of the target in all d components: batch shape (..., d)."""
        perfect, kept, own = super().redrawn_dist(noise, target), self._kept(), noise
        if target is not None:
            variable = (target - 1).clamp(min=0).unsqueeze(-1)
            kept = kept[variable]
            own = noise.expand(perfect.batch_shape).gather(-1, variable.expand(*perfect.batch_shape[:-1], 1))
        return Normal(kept * own + (1 - kept) * perfect.mean, (1 - kept).abs() * perfect.stddev)

    def as_perfect(self, before: Tensor, after: Tensor) -> Tensor:
        """What a perfect intervention would have redrawn, (e~ - k e) / (1 - k), (..., d), of each component."""
        kept = self._kept()
        return (after - kept * before) / (1 - kept)

    def _kept(self) -> Tensor:
        """The shares k, (d,), none of them next to 1."""
        away = self.kept - 1
        return 1 + torch.where(away < 0, away.clamp(max=-NEAREST), away.clamp(min=NEAREST))
