"""Amortized guide of the implicit latent causal model (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, section 4).

q(e | x)        = N(m(x), v(x)), diagonal, one encoder for both sides
q(I | x, x~)    from how far each component's mean moved (:mod:`pyro_lcm.guides.target_encoder`)
e_j | I         for j != I: one sample for both sides, from the product of their posteriors,
                q(e_j | x) q(e_j | x~) / p(e_j), or, as in the paper, from a random convex combination of them
e_I, r_I | I    each from its own side
r_j | e, I      for j != I: nothing was seen of it, so p(r_j | e)

For a decoder with an exact inverse (:mod:`pyro_lcm.nn.invertible`) the products are the exact posterior of e_j.
"""

from __future__ import annotations

from typing import Literal

import pyro
import torch
from pyro.distributions import Normal, Uniform
from torch import Tensor, nn

from pyro_lcm.causal.outcomes import RedrawnDist, posterior_outcomes
from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.guides.amortized import AmortizedGuide
from pyro_lcm.guides.target_encoder import TargetEncoder

Averaging = Literal["product", "random", "mean", "before"]


class ILCMGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.ilcm.ILCM`; same signature, same plate.

    Args:
        dim_z: number of causal variables d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
        target_encoder: q(I | x, x~); a new one if None.
        averaging: what becomes of the two sides' posteriors in an untouched component: "product" multiplies them;
            "random" draws a convex combination for each pair, "mean" takes the middle, "before" the first side.
        redrawn_dist: the model's, for the outcomes that were not seen (:mod:`pyro_lcm.causal.outcomes`).
    """

    def __init__(
        self,
        dim_z: int,
        encoder: nn.Module,
        target_encoder: TargetEncoder | None = None,
        averaging: Averaging = "product",
        redrawn_dist: RedrawnDist | None = None,
    ) -> None:
        super().__init__(dim_z, encoder)
        self.redrawn_dist = redrawn_dist
        self.target_encoder = TargetEncoder(dim_z) if target_encoder is None else target_encoder
        self.averaging = averaging
        self.register_buffer("zero", torch.zeros(()))

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
        self.pairs(self.redrawn_dist, x, x_after, targets=targets, size=size, index=index)

    def pairs(
        self,
        unseen: RedrawnDist | None,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample the latents of pairs, outcomes that were not seen from ``unseen``."""
        (mean, sd), (mean_after, sd_after) = self.sides(x, x_after)
        with pyro.plate("pairs", size, subsample=index):
            posterior = target_distribution(self._target_probabilities(mean_after - mean), targets)
            target = pyro.sample("target", posterior, infer={"enumerate": "parallel"})
            hit = self.hit(target)
            shared_mean, shared_sd = self._shared(mean, sd, mean_after, sd_after)
            posterior_noise = Normal(torch.where(hit, mean, shared_mean), torch.where(hit, sd, shared_sd))
            noise = pyro.sample("noise", posterior_noise.to_event(1))
            outcomes = posterior_outcomes(Normal(mean_after, sd_after), unseen, noise, hit)
            pyro.sample("redrawn", outcomes.to_event(1))

    def hit(self, target: Tensor) -> Tensor:
        """Which components a target (...) redraws, (..., d) bool."""
        return hit_mask(target, self.dim_z)

    def targets(self, x: Tensor, x_after: Tensor) -> Tensor:
        """q(I | x, x~): (pairs, d + 1) probabilities, column 0 is none."""
        return self._target_probabilities(self.differences(x, x_after))

    def differences(self, x: Tensor, x_after: Tensor) -> Tensor:
        """How far the mean of each noise encoding moved, (pairs, d)."""
        (mean, _), (mean_after, _) = self.sides(x, x_after)
        return mean_after - mean

    def _target_probabilities(self, difference: Tensor) -> Tensor:
        return self.target_encoder(difference).softmax(-1)

    def _shared(self, mean: Tensor, sd: Tensor, mean_after: Tensor, sd_after: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of an untouched component, (pairs, d) each, from those of both sides."""
        if self.averaging == "product":
            before, after = sd.square().reciprocal(), sd_after.square().reciprocal()
            precision = (before + after - 1).clamp(min=1.0)  # no posterior is wider than the prior
            return (before * mean + after * mean_after) / precision, precision.rsqrt()
        weight = self._weight().unsqueeze(-1)
        return torch.lerp(mean, mean_after, weight), torch.lerp(sd, sd_after, weight)

    def _weight(self) -> Tensor:
        """Weight of the after side in an untouched component: a scalar, or (pairs,) drawn uniformly.

        The draw is an auxiliary variable of density one, so it adds nothing to the ELBO; being a site it can be
        recorded and replayed.
        """
        if self.averaging == "random":
            weight: Tensor = pyro.sample(
                "averaging", Uniform(self.zero, torch.ones_like(self.zero)), infer={"is_auxiliary": True}
            )
            return weight
        return self.zero + (0.5 if self.averaging == "mean" else 0.0)
