"""What every variable would be redrawn to: potential outcomes, of which an intervention realises one.

A pair shows the outcome of its target alone. The others belong to the joint all the same, so that it is a proper
density over (target, noise, redrawn) which any inference may use; a guide that draws them from the model's own
conditional adds nothing to the ELBO by them, whatever the parameters. A run for the density alone
(:class:`pyro_lcm.causal.scoring.Scoring`) therefore leaves them out on both sides and costs what the target costs.
"""

from __future__ import annotations

from typing import Protocol

from pyro.distributions import MaskedMixture, Normal, TorchDistribution
from torch import Tensor

from pyro_lcm.causal.scoring import only_scoring


class RedrawnDist(Protocol):
    """p(r_i | e): of every i, or that of the target in all d components; batch shape (..., d)."""

    def __call__(self, noise: Tensor, target: Tensor | None = None) -> TorchDistribution:
        """The distribution for noise encodings (..., d) and, if given, targets (...)."""


class RedrawnGivenGraph(RedrawnDist, Protocol):
    """p(r_i | e, G) of every i, batch shape (..., d)."""

    def __call__(
        self, noise: Tensor, target: Tensor | None = None, adjacency: Tensor | None = None
    ) -> TorchDistribution:
        """The distribution for noise encodings (..., d) and a graph (..., d, d), that of the model's buffer if None."""


def prior_outcomes(redrawn_dist: RedrawnDist, noise: Tensor, target: Tensor, hit: Tensor) -> TorchDistribution:
    """Outcomes in the model: p(r | e), batch shape (..., d); the target's alone where only the density counts.

    Args:
        redrawn_dist: the model's.
        noise: (..., d) noise encodings.
        target: (...) long, values in 0..d.
        hit: (..., d) bool, the target's component.
    """
    if only_scoring():
        return redrawn_dist(noise, target).mask(hit)
    return redrawn_dist(noise)


def posterior_outcomes(seen: Normal, redrawn_dist: RedrawnDist | None, noise: Tensor, hit: Tensor) -> TorchDistribution:
    """Outcomes in the guide: what the observation after says of the target's, and p(r | e) of the others.

    Args:
        seen: q(r_i | x~) if i is the target, batch shape (pairs, d).
        redrawn_dist: the model's; None for a model that masks all outcomes but the target's itself.
        noise: (..., d) noise encodings.
        hit: (..., d) bool, the target's component.
    """
    if redrawn_dist is None or only_scoring():
        return seen.mask(hit)
    return MaskedMixture(hit, redrawn_dist(noise), seen)
