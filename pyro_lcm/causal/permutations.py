"""Distributions over orders and edges, of whose draws an adjacency matrix is made that is acyclic, exactly.

Draws of edges are discrete in value and have the gradient of a relaxation (straight through), so that their logits
learn.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

_ONE = torch.Size()
"""Sample shape of a single draw."""
_SMALLEST = 1e-6
"""Distance of uniform draws from 0 and 1."""


class PlackettLuce(TorchDistribution):
    """Orders of d variables: the next one is drawn in proportion to exp(score) among those left.

        p(order) = prod over k of exp(s_order(k)) / sum over l >= k of exp(s_order(l))

    Sorting scores plus Gumbel noise gives a draw. Event shape (d, d): P[position, variable] is 0 or 1.

    Args:
        scores: (d,) real.

    Example:
        >>> torch.manual_seed(0) and None
        >>> order = PlackettLuce(torch.tensor([9.0, 0.0, -9.0])).sample()
        >>> order.argmax(-1).tolist()
        [0, 1, 2]
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.independent(constraints.real, 2)

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores
        dim = scores.shape[-1]
        super().__init__(scores.shape[:-1], torch.Size([dim, dim]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PlackettLuce:
        """The same density in a larger batch."""
        return PlackettLuce(self.scores.expand(*batch_shape, self.scores.shape[-1]))

    @torch.no_grad()
    def sample(self, sample_shape: Any = _ONE) -> Tensor:
        """Permutation matrices."""
        scores = self.scores.expand(*sample_shape, *self.scores.shape)
        uniform = torch.rand_like(scores).clamp(_SMALLEST, 1 - _SMALLEST)
        index = (scores - (-uniform.log()).log()).argsort(dim=-1, descending=True)
        return nn.functional.one_hot(index, scores.shape[-1]).to(scores)

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
