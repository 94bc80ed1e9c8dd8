"""Implicit latent causal model of soft interventions: the mechanism changes, its parents still matter.

    e        ~ N(0, 1)^d                                        noise encodings before
    z~_I | e ~ N(loc_I(e), sd_I(e))                             the target, by its changed mechanism
    e~_I     = s_I^-1(z~_I; e),   e~_j = e_j  for j != I
    z = s(e),   x ~ p(x | g(z)),   x~ ~ p(x | g(s(e~)))

A perfect intervention is loc = 0, sd = 1, and that is how the changed mechanism starts. The setting is that of
Bagi et al. (2024, arXiv 2402.11124), with targets known or not.

Pairs of observations tell how much *more* or *less* a soft intervention makes a variable depend on its parents: the
density of e~_I depends on s_I and on loc_I through one function of both. What is left open has to come from the
decoder, so here it sees causal variables, g(z), not noise encodings: with z = s(e) and a linear g each variable is
known up to a linear combination of its ancestors, and with an isometric g, x = Q z, it is known
(:class:`pyro_lcm.nn.isometry.IsometricDecoder`; the data of the paper are rotations of z).
"""

from __future__ import annotations

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn.vectors import observation


class SoftILCM(ILCM):
    """The program of :class:`pyro_lcm.models.ilcm.ILCM` with a density of its own for the target after.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) causal variables to mean and standard deviation of x.
        solution: solution functions; affine ones of default size if None.
        changed: the changed mechanisms loc_i, sd_i as functions of the noise encodings; new ones if None.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.

    Raises:
        ValueError: If the solution functions are not affine.
    """

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        solution: SolutionFunctions | None = None,
        changed: SolutionFunctions | None = None,
        target_prior: Tensor | None = None,
    ) -> None:
        super().__init__(dim_z, decoder, solution, target_prior)
        if self.solution.bins:
            raise ValueError(f"solution: got splines of {self.solution.bins} bins, expected affine solution functions")
        self.changed = SolutionFunctions(dim_z) if changed is None else changed

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None) -> Normal:
        """p(r_i | e) of every i, or that of the target in all d components: batch shape (..., d)."""
        if target is None:
            (shift, scale), (loc, sd) = (part.all_coefficients(noise) for part in (self.solution, self.changed))
            return Normal(shift + scale * loc, scale * sd)
        shape = torch.broadcast_shapes(noise.shape[:-1], target.shape)
        rows, hit = noise.expand(*shape, self.dim_z).reshape(-1, self.dim_z), target.expand(shape).reshape(-1)
        shift, scale = self.solution.coefficients(rows, hit)
        loc, sd = self.changed.coefficients(rows, hit)
        mean, spread = ((shift + scale * loc).view(*shape, 1), (scale * sd).view(*shape, 1))
        return Normal(mean.expand(*shape, self.dim_z), spread.expand(*shape, self.dim_z))

    def x_dist(self, noise: Tensor) -> TorchDistribution:
        """p(x | e) = p(x | g(s(e))) for noise encodings (..., d)."""
        return observation(self.decoder(self.causal(noise)), noise)
