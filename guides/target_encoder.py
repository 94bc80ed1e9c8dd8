"""How amortized guides of pairs tell the target of an intervention: by the moves of the encoder's means.

An untouched noise encoding stays where it was, up to the encoder's error; a redrawn one is somewhere else. That is all
that a target posterior needs of the observations (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, section 4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.causal.subsets import single_target
from pyro_lcm.causal.targets import target_distribution

_ITERATIONS = 100
"""Of expectation maximisation."""


class TargetEncoder(nn.Module):
    """q(I | x, x~): the Bayes factor of each component having been redrawn.

    An untouched component moves by m~_j - m_j ~ N(0, t_j^2), with a tolerance t_j that is learned; a redrawn one by
    N(0, t_j^2 + 2 r^2), the difference of two draws of width r. With a uniform prior

        log q(I = i) - log q(I = none) = log N(m~_i - m_i; 0, t_i^2 + 2 r_i^2) - log N(m~_i - m_i; 0, t_i^2).

    Noise on x moves all components together. With S the covariance of these moves and P its inverse, the same holds of
    the differences (m~ - m) R, R = P diag(P)^-1, which tell a component's own move from the noise's (generalised least
    squares), and t_i^2 = 1 / P_ii. R is the buffer ``weighting``, the identity unless it was fitted.

    Where most pairs are without intervention, a uniform prior takes noise for short moves of so many of them that true
    targets are few among those inferred. The prior odds of none are e to the power of the buffer ``none``, 0 unless
    fitted.

    Args:
        dim: number of causal variables d.
        tolerance: t_j at the start, in units of the noise encodings.
        min_tolerance: lower bound of t_j.
    """

    weighting: Tensor
    none: Tensor

    def __init__(self, dim: int, *, tolerance: float = 0.3, min_tolerance: float = 1e-3) -> None:
        super().__init__()
        self.register_buffer("weighting", torch.eye(dim))
        self.register_buffer("none", torch.zeros(()))
        self.log_tolerance = nn.Parameter(torch.full((dim,), tolerance).log())
        self.log_width = nn.Parameter(torch.zeros(dim))
        self.min_tolerance = min_tolerance

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take models that were saved before the prior could be fitted."""
        state_dict.setdefault(prefix + "none", torch.zeros_like(self.none))
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[no-untyped-call]

    @property
    def single_share(self) -> float:
        """Which part of what may have been redrawn, nothing left out of account, is one component alone."""
        return 1.0

    def forward(self, difference: Tensor) -> Tensor:
        """Logits (..., d + 1) of the targets none, 1, ..., d for differences (..., d) of the encoders' means."""
        difference, (untouched, redrawn) = difference @ self.weighting, self.variances()
        factor = 0.5 * (difference.square() * (1 / untouched - 1 / redrawn) + (untouched / redrawn).log())
        return torch.cat([self.none.expand_as(factor[..., :1]), factor], -1)

    def prior(self) -> Tensor:
        """p(I) that the posterior is of, (d + 1,)."""
        return nn.functional.pad(self.none.view(1), (0, len(self.log_width))).softmax(-1)

    def hypotheses(self) -> Tensor:
        """What may have been redrawn: (d + 1, d), nothing or one component."""
        return nn.functional.pad(torch.eye(len(self.log_width), device=self.log_width.device), (0, 0, 1, 0))

    @torch.no_grad()
    def fit(self, difference: Tensor, known: Tensor | None = None) -> None:
        """Fit tolerances and widths to differences (pairs, d) by expectation maximisation; the prior stays as it is.

        Of known sets of targets (:mod:`pyro_lcm.causal.subsets`) those of one at most are used, here and below.
        """
        known = None if known is None else single_target(known, difference.shape[-1])
        self.weighting.copy_(torch.eye(len(self.weighting)))
        self.log_tolerance.copy_((difference.abs().median(0).values + 2 * self.min_tolerance).log())
        for _ in range(_ITERATIONS):
            share = target_distribution(self.forward(difference).softmax(-1), known).probs[..., 1:]
            square = difference.square()
            self._set_variances(weighted_mean(square, 1 - share), weighted_mean(square, share))

    @torch.no_grad()
    def fit_weighting(self, difference: Tensor, known: Tensor | None = None) -> None:
        """Fit the weighting too, after :meth:`fit`: by a covariance S of what moves all components.

        Expectation maximisation of m~ - m ~ sum_I p(I) N(0, S + w_I u_I u_I'), u_I the unit vector of the target.
        """
        known = None if known is None else single_target(known, difference.shape[-1])
        eye = torch.eye(difference.shape[1], dtype=torch.float64, device=difference.device)
        untouched, redrawn = (value.double() for value in self.variances())
        spread, noise = redrawn - untouched, untouched.diag()
        values = difference.double()
        plain = {name: value.clone() for name, value in self.state_dict().items()}
        for _ in range(_ITERATIONS):
            if torch.linalg.cholesky_ex(noise).info.item():
                # Moves so long that rounding hides what moves all components: each for itself, then.
                self.load_state_dict(plain)
                return
            precision = torch.linalg.inv(noise)
            self.weighting.copy_(precision / precision.diagonal())
            self._set_variances(1 / precision.diagonal(), 1 / precision.diagonal() + spread)
            share = target_distribution(self.forward(difference).softmax(-1), known).probs[..., 1:].double()
            kept = spread / (1 + spread * precision.diagonal())
            own = values @ precision * kept  # the target's own part of its difference, of variance ``kept``
            cross = values.T @ (share * own)
            noise = values.T @ values - cross - cross.T + (share * (own.square() + kept)).sum(0).diag()
            noise = noise / len(difference) + self.min_tolerance**2 * eye
            spread = weighted_mean(own.square() + kept, share).clamp(min=1e-8)

    @torch.no_grad()
    def level_tolerances(self) -> None:
        """Let no component be sharper than the root mean square of all tolerances.

        A linear start may have one component exactly right and the others not. As a map that moves all of them mends
        these, that one is off by more than it tolerates, and every pair would seem to have it as the target.
        """
        tolerance = self.log_tolerance.exp()
        self.log_tolerance.copy_(tolerance.clamp(min=tolerance.square().mean().sqrt()).log())

    def _set_variances(self, untouched: Tensor, redrawn: Tensor) -> None:
        tolerance = (untouched.sqrt() - self.min_tolerance).clamp(min=0.1 * self.min_tolerance)
        self.log_tolerance.copy_(tolerance.log())
        self.log_width.copy_(((redrawn - untouched) / 2).clamp(min=1e-4).sqrt().log())

    def variances(self, *, shared: bool = False) -> tuple[Tensor, Tensor]:
        """Variance of the move of an untouched and of a redrawn component, (d,) each."""
        log_tolerance = self.log_tolerance.mean().expand_as(self.log_tolerance) if shared else self.log_tolerance
        untouched = (log_tolerance.exp() + self.min_tolerance).square()
        return untouched, untouched + 2 * self.log_width.exp().square()

    def tolerance_of_codes(self) -> Tensor:
        """How far an untouched component of one side is from its encoding, a scalar: a move has two such errors."""
        return (self.variances(shared=True)[0].mean() / 2).sqrt()


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Mean over the rows, (d,), of (pairs, d) values with (pairs, d) weights; 0 without any weight."""
    return (value * weight).sum(0) / weight.sum(0).clamp(min=1e-6)
