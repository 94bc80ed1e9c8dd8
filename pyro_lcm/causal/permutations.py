"""Distributions over orders and edges whose draws are discrete and pass gradients on.

A draw is discrete in value and has the gradient of a relaxation (straight through), so that an adjacency matrix made
of draws is acyclic, exactly, and its logits learn.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor
from torch.distributions import constraints

_ONE = torch.Size()
"""Sample shape of a single draw."""
_SMALLEST = 1e-6
"""Distance of uniform draws from 0 and 1."""


class PlackettLuce(TorchDistribution):
    """Orders of d variables: the next one is drawn in proportion to exp(score) among those left.

        p(order) = prod over k of exp(s_order(k)) / sum over l >= k of exp(s_order(l))

    Sorting scores plus Gumbel noise gives a draw; the gradient is that of SoftSort (Prillo, Eisenschlos, ICML 2020), as
    in DDS (Charpentier, Kibler, Guennemann, ICLR 2022). Event shape (d, d): P[position, variable] is 0 or 1.

    Args:
        scores: (d,) real.
        temperature: of the relaxation, positive.

    Example:
        >>> torch.manual_seed(0) and None
        >>> order = PlackettLuce(torch.tensor([9.0, 0.0, -9.0])).rsample()
        >>> order.argmax(-1).tolist()
        [0, 1, 2]
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, scores: Tensor, temperature: float = 1.0) -> None:
        self.scores, self.temperature = scores, temperature
        dim = scores.shape[-1]
        super().__init__(scores.shape[:-1], torch.Size([dim, dim]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PlackettLuce:
        """The same density in a larger batch."""
        return PlackettLuce(self.scores.expand(*batch_shape, self.scores.shape[-1]), self.temperature)

    def rsample(self, sample_shape: Any = _ONE) -> Tensor:
        """Permutation matrices, hard in value, with the gradient of SoftSort."""
        scores = self.scores.expand(*sample_shape, *self.scores.shape)
        uniform = torch.rand_like(scores).clamp(_SMALLEST, 1 - _SMALLEST)
        perturbed = scores - (-uniform.log()).log()
        ranked, index = perturbed.sort(dim=-1, descending=True)
        soft = (-(ranked.unsqueeze(-1) - perturbed.unsqueeze(-2)).abs() / self.temperature).softmax(-1)
        hard = torch.zeros_like(soft).scatter(-1, index.unsqueeze(-1), 1.0)
        return hard + (soft - soft.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of permutation matrices (..., d, d)."""
        ordered = (value @ self.scores.unsqueeze(-1)).squeeze(-1)
        left = ordered.flip(-1).logcumsumexp(-1).flip(-1)
        return (ordered - left).sum(-1)


class StraightThroughBernoulli(Bernoulli):
    """Bernoulli draws, 0 or 1 in value, with the gradient of their logistic relaxation.

    Args:
        logits: (...) real.
        temperature: of the relaxation, positive.
    """

    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float = 1.0) -> None:
        super().__init__(logits=logits, validate_args=False)
        self.temperature = temperature

    def expand(self, batch_shape: Any, _instance: Any = None) -> StraightThroughBernoulli:
        """The same density in a larger batch."""
        return StraightThroughBernoulli(self.logits.expand(batch_shape), self.temperature)

    def rsample(self, sample_shape: Any = _ONE) -> Tensor:
        """Draws of 0 and 1 that pass gradients on to the logits."""
        logits = self.logits.expand(*sample_shape, *self.logits.shape)
        uniform = torch.rand_like(logits).clamp(_SMALLEST, 1 - _SMALLEST)
        perturbed = logits + uniform.log() - torch.log1p(-uniform)
        soft = (perturbed / self.temperature).sigmoid()
        draws: Tensor = (perturbed > 0).to(soft) + (soft - soft.detach())
        return draws
