"""Amortized guide of the implicit latent causal model (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, section 4).

q(e | x)        = N(m(x), v(x)), diagonal, one encoder for both sides
q(I | x, x~)    from how far each component's mean moved
e_j | I         for j != I: one sample for both sides, from a random convex combination of their posteriors
e_I, e~_I | I   each from its own side
"""

from __future__ import annotations

import math
from typing import Literal

import pyro
import torch
from pyro.distributions import Normal, Uniform
from torch import Tensor, nn

from pyro_lcm.causal.targets import UNKNOWN, hit_mask, target_distribution
from pyro_lcm.guides.amortized import AmortizedGuide

Averaging = Literal["random", "mean", "before"]


class TargetEncoder(nn.Module):
    """q(I | x, x~): the Bayes factor of each component having been redrawn.

    An untouched component moves by m~_j - m_j ~ N(0, t_j^2), with a tolerance t_j that is learned; a redrawn one by
    N(0, t_j^2 + 2 r^2), the difference of two draws of width r. With a uniform prior

        log q(I = i) - log q(I = none) = log N(m~_i - m_i; 0, t_i^2 + 2 r_i^2) - log N(m~_i - m_i; 0, t_i^2).

    Args:
        dim: number of causal variables d.
        tolerance: t_j at the start, in units of the noise encodings.
        min_tolerance: lower bound of t_j.
    """

    def __init__(self, dim: int, *, tolerance: float = 0.3, min_tolerance: float = 1e-3) -> None:
        super().__init__()
        self.log_tolerance = nn.Parameter(torch.full((dim,), tolerance).log())
        self.log_width = nn.Parameter(torch.zeros(dim))
        self.min_tolerance = min_tolerance

    def forward(self, move: Tensor) -> Tensor:
        """Logits (..., d + 1) of the targets none, 1, ..., d for moves (..., d) of the encoders' means."""
        return self._log_bayes_factors(move, *self.variances())

    @staticmethod
    def _log_bayes_factors(move: Tensor, untouched: Tensor, redrawn: Tensor) -> Tensor:
        factor = 0.5 * (move.square() * (1 / untouched - 1 / redrawn) + (untouched / redrawn).log())
        return nn.functional.pad(factor, (1, 0))

    def log_evidence(self, move: Tensor, known: Tensor | None = None, *, shared: bool = False) -> Tensor:
        """Log density sum_I p(I) p(m~ - m | I), uniform p(I), of the known target where one is.

        Args:
            move: (..., d) moves.
            known: (...) long, known targets, -1 for unknown.
            shared: whether all components share one tolerance, their geometric mean. With tolerances of their own
                the likelihood is raised by letting one component go and sharpening the others.

        Returns:
            (...) log densities.
        """
        untouched, _ = self.variances(shared=shared)
        base = -0.5 * (move.square() / untouched + (2 * math.pi * untouched).log()).sum(-1)
        factor = self._log_bayes_factors(move, *self.variances(shared=shared))
        mixed = factor.logsumexp(-1)
        if known is not None:
            own = factor.gather(-1, known.clamp(min=0).unsqueeze(-1)).squeeze(-1)
            mixed = torch.where(known == UNKNOWN, mixed, own)
        return base + mixed - math.log(factor.shape[-1])

    @torch.no_grad()
    def fit(self, move: Tensor, known: Tensor | None = None, *, iterations: int = 100) -> None:
        """Fit tolerances and widths to moves (pairs, d) by expectation maximisation; shares of targets stay uniform."""
        self.log_tolerance.copy_((move.abs().median(0).values + 2 * self.min_tolerance).log())
        for _ in range(iterations):
            share = target_distribution(self.forward(move).softmax(-1), known).probs[..., 1:]
            untouched = _weighted_mean(move.square(), 1 - share)
            redrawn = _weighted_mean(move.square(), share)
            tolerance = (untouched.sqrt() - self.min_tolerance).clamp(min=0.1 * self.min_tolerance)
            self.log_tolerance.copy_(tolerance.log())
            self.log_width.copy_(((redrawn - untouched) / 2).clamp(min=1e-4).sqrt().log())

    def variances(self, *, shared: bool = False) -> tuple[Tensor, Tensor]:
        """Variance of the move of an untouched and of a redrawn component, (d,) each."""
        log_tolerance = self.log_tolerance.mean().expand_as(self.log_tolerance) if shared else self.log_tolerance
        untouched = (log_tolerance.exp() + self.min_tolerance).square()
        return untouched, untouched + 2 * self.log_width.exp().square()


def _weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum(0) / weight.sum(0).clamp(min=1e-6)


class ILCMGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.ilcm.ILCM`; same signature, same plate.

    Args:
        dim_z: number of causal variables d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
        target_encoder: q(I | x, x~); a new one if None.
        averaging: weights of the two sides' posteriors in an untouched component: "random" draws
            a convex combination for each pair, "mean" takes the middle, "before" the first side.
    """

    def __init__(
        self,
        dim_z: int,
        encoder: nn.Module,
        target_encoder: TargetEncoder | None = None,
        averaging: Averaging = "random",
    ) -> None:
        super().__init__(dim_z, encoder)
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
        (mean, sd), (mean_after, sd_after) = self.sides(x, x_after)
        with pyro.plate("pairs", size, subsample=index):
            posterior = target_distribution(self._target_probabilities(mean_after - mean), targets)
            target = pyro.sample("target", posterior, infer={"enumerate": "parallel"})
            hit = hit_mask(target, self.dim_z)
            weight = torch.where(hit, self.zero, self._weight().unsqueeze(-1))
            noise = Normal(torch.lerp(mean, mean_after, weight), torch.lerp(sd, sd_after, weight))
            pyro.sample("noise", noise.to_event(1))
            pyro.sample("redrawn", Normal(mean_after, sd_after).mask(hit).to_event(1))

    def targets(self, x: Tensor, x_after: Tensor) -> Tensor:
        """q(I | x, x~): (pairs, d + 1) probabilities, column 0 is none."""
        return self._target_probabilities(self.moves(x, x_after))

    def moves(self, x: Tensor, x_after: Tensor) -> Tensor:
        """How far the mean of each noise encoding moved, (pairs, d)."""
        (mean, _), (mean_after, _) = self.sides(x, x_after)
        return mean_after - mean

    def _target_probabilities(self, move: Tensor) -> Tensor:
        return self.target_encoder(move).softmax(-1)

    def _weight(self) -> Tensor:
        """Weight of the after side in an untouched component: a scalar, or (pairs,) drawn uniformly.

        The draw is an auxiliary variable of density one, so it adds nothing to the ELBO; being a site it can be
        recorded and replayed.
        """
        if self.averaging == "random":
            weight: Tensor = pyro.sample("averaging", Uniform(self.zero, 1.0), infer={"is_auxiliary": True})
            return weight
        return self.zero + (0.5 if self.averaging == "mean" else 0.0)
