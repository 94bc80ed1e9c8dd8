"""Interventions on any subset of the variables at once, perfect or soft (cf. Li, Kaba, Ravanbakhsh, AISTATS 2025).

    S         ~ p(S)                                       a set of targets out of a list of sets
    e         ~ N(0, 1)^d
    z~_i | e' ~ N(loc_i(e'), sd_i(e'))    for i in S, causes before effects
    r_i       = s_i^-1(z~_i; e')          where e' holds what was redrawn so far, and e elsewhere
    r_j | e   ~ the same given e' = e     for j not in S: what an intervention on j alone would have redrawn
    e~_i = r_i,   e~_j = e_j
    x ~ p(x | g(z)),   x~ ~ p(x | g(s(e~)))

One variable's redrawn value is part of the context of the next: were both redrawn given e alone, the second would still
follow the first one's old value. This takes an order of the variables, in which solution functions look back only.
With sets of at most one target it is :class:`pyro_lcm.models.soft_ilcm.SoftILCM`, and with ``soft=False`` interventions
are perfect.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_lcm.causal.redrawn import RedrawnInOrder
from pyro_lcm.causal.scoring import only_scoring
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.subsets import all_subsets, row_of
from pyro_lcm.causal.targets import target_distribution
from pyro_lcm.models.soft_ilcm import SoftILCM


class SubsetILCM(SoftILCM):
    """The program of pairs before and after an intervention on a set of variables.

    Sites as in :class:`pyro_lcm.models.ilcm.ILCM`; ``target`` is a row of ``subsets``.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) causal variables to mean and standard deviation of x.
        subsets: (K, d) bool, the sets of targets that can occur; all 2^d if None.
        order: the variables 0..d-1 from causes to effects; as they are numbered if None.
        solution: affine solution functions; ones of default size if None.
        changed: the changed mechanisms as functions of the noise encodings; new ones if None.
        soft: whether the mechanisms of targets may depend on the others; perfect interventions if not.
        target_prior: (K,) probabilities of the sets; uniform if None.
    """

    subsets: Tensor

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        subsets: Tensor | None = None,
        order: Sequence[int] | None = None,
        *,
        solution: SolutionFunctions | None = None,
        changed: SolutionFunctions | None = None,
        soft: bool = True,
        target_prior: Tensor | None = None,
    ) -> None:
        subsets = all_subsets(dim_z) if subsets is None else subsets
        prior = torch.ones(len(subsets)) if target_prior is None else target_prior
        super().__init__(dim_z, decoder, solution, changed, prior)
        self.soft = soft
        self.register_buffer("subsets", subsets)
        rank = torch.argsort(torch.as_tensor(range(dim_z) if order is None else order))
        for functions in (self.solution, self.changed):
            functions.context.copy_(rank.unsqueeze(1) < rank.unsqueeze(0))

    def forward(
        self,
        x: Tensor | None = None,
        x_after: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate, or score, the pairs ``index`` out of ``size``.

        Args:
            x: (pairs, ...) observations before; None to generate them.
            x_after: (pairs, ...) observations after; None to generate them.
            targets: known targets, (pairs,) or (pairs, d), see :mod:`pyro_lcm.causal.subsets`.
            size: number of pairs in the data set.
            index: (pairs,) long, which of them these are; None for all.

        Returns:
            x before and x after.
        """
        known = None if targets is None else row_of(self.subsets, targets)
        with pyro.plate("pairs", size, subsample=index):
            target = pyro.sample("target", target_distribution(self.target_prior, known))
            noise = pyro.sample("noise", Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1))
            hit = self.subsets[target]
            unseen = None if only_scoring() else self.redrawn_dist(noise)
            redrawn = pyro.sample("redrawn", RedrawnInOrder(self.redrawn_dist, noise, hit, unseen))
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                intervened = pyro.do(self.world, {"encoding": torch.where(hit, redrawn, noise)})
                after = intervened(noise, x_after)
        return before, after

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None) -> Normal:
        """p(r_i | e') of every i, whatever the targets: batch shape (..., d) for noise encodings e' (..., d)."""
        return super().redrawn_dist(noise) if self.soft else Normal(*self.solution.all_coefficients(noise))
