"""Implicit latent causal model (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, arXiv 2203.16437).

    I        ~ p(I)                                        intervention target, 0 = none
    e        ~ N(0, 1)^d                                   noise encodings before
    r_i | e  ~ N(shift_i(e), scale_i(e))                   what e_i would be redrawn to, for every i
    e~_I = r_I,   e~_j = e_j  for j != I                   a perfect intervention redraws its target alone
    z = s(e),   x ~ p(x | g(e)),   x~ ~ p(x | g(e~))       solution functions s, one decoder g

The world after is the world before under ``pyro.do`` on its noise encodings. The graph is never parameterised: the
solution functions carry it.
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.outcomes import prior_outcomes
from pyro_lcm.causal.scoring import only_scoring
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.nn.vectors import observation


class ILCM(PyroModule):
    """The generative program of pairs before and after an unknown perfect intervention.

    Sites: plate ``pairs``; ``target``, ``noise``, ``redrawn``; in the scopes ``before`` and ``after``: ``encoding``,
    ``causal``, ``x``. Under ``pyro.do`` read values downstream of what was intervened on.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) noise encodings to the distribution of x, or to its mean and standard deviation.
        solution: solution functions; affine ones of default size if None.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.
    """

    target_prior: Tensor

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        solution: SolutionFunctions | None = None,
        target_prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.dim_z = dim_z
        self.decoder = decoder
        self.solution = SolutionFunctions(dim_z) if solution is None else solution
        prior = torch.ones(dim_z + 1) if target_prior is None else target_prior
        self.register_buffer("target_prior", prior / prior.sum())
        self.register_buffer("zero", torch.zeros(()))

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
            targets: (pairs,) long, known intervention targets, -1 for unknown; None if none is known.
            size: number of pairs in the data set.
            index: (pairs,) long, which of them these are; None for all.

        Returns:
            x before and x after.
        """
        with pyro.plate("pairs", size, subsample=index):
            target = pyro.sample("target", target_distribution(self.target_prior, targets))
            noise = pyro.sample("noise", Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1))
            hit = hit_mask(target, self.dim_z)
            outcomes = prior_outcomes(self.redrawn_dist, noise, target, hit)
            redrawn = pyro.sample("redrawn", outcomes.to_event(1))
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                intervened = pyro.do(self.world, {"encoding": torch.where(hit, redrawn, noise)})
                after = intervened(noise, x_after)
        return before, after

    def world(self, noise: Tensor, x: Tensor | None = None) -> Tensor:
        """One world: from noise encodings (..., d) to an observation."""
        encoding = pyro.deterministic("encoding", noise, event_dim=1)
        if not only_scoring():
            pyro.deterministic("causal", self.causal(encoding), event_dim=1)
        return pyro.sample("x", self.x_dist(encoding), obs=x)

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None) -> TorchDistribution:
        """p(r_i | e) of every i, or that of the target in all d components: batch shape (..., d)."""
        return self.solution.redraws(noise) if target is None else self.solution.redrawn(noise, target)

    def x_dist(self, noise: Tensor) -> TorchDistribution:
        """p(x | e) for noise encodings (..., d)."""
        return observation(self.decoder(noise), noise)

    def causal(self, noise: Tensor) -> Tensor:
        """Causal variables z = s(e), (..., d), of noise encodings (..., d)."""
        return self.solution(noise)
