"""Redrawing several variables at once, causes before effects.

When two targets of one intervention are cause and effect, the effect is redrawn from the new value of its cause. In an
order of the variables this is an autoregressive density: a sample takes one pass for each generation, a density takes
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor

_ONE = torch.Size()
"""Sample shape of a single draw."""


class RedrawnInOrder(TorchDistribution):
    """p(r | e, S) = prod over i in S of p(r_i | e'), e' holding the redrawn values of earlier targets.

    Components outside of S are independent of them, or have no density and hold e. Event shape (d,).

    Args:
        conditionals: from noise encodings (..., d) as context to p(r_i | context) of every i, batch shape (..., d).
            That of i depends on variables before i in some order only.
        noise: (..., d) noise encodings before.
        hit: (..., d) bool, which variables are in S.
        unseen: p(r_j | e) of j outside of S, batch shape (..., d); None where they have no density.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = torch.distributions.constraints.real_vector

    def __init__(
        self, conditionals: Callable[[Tensor], Normal], noise: Tensor, hit: Tensor, unseen: Normal | None = None
    ) -> None:
        self.conditionals = conditionals
        self.noise, self.hit = torch.broadcast_tensors(noise, hit)
        self.unseen = None if unseen is None else unseen.expand(self.hit.shape)
        super().__init__(self.hit.shape[:-1], self.hit.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RedrawnInOrder:
        """The same density in a larger batch."""
        shape = (*batch_shape, *self.event_shape)
        return RedrawnInOrder(self.conditionals, self.noise.expand(shape), self.hit.expand(shape), self.unseen)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of (..., d) values: conditionals look back only, so all contexts are filled in at once."""
        context = torch.where(self.hit, value, self.noise)
        density = self.conditionals(context).log_prob(value)
        unseen = torch.zeros_like(density) if self.unseen is None else self.unseen.log_prob(value)
        return torch.where(self.hit, density, unseen).sum(-1)

    def sample(self, sample_shape: Any = _ONE) -> Tensor:
        """Draw causes before effects; d passes fill in d generations at most."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            noise, standard = self.noise.expand(shape), torch.randn_like(self.noise.expand(shape))
            value: Tensor = noise
            kept = noise if self.unseen is None else self.unseen.sample(sample_shape)
            for _ in range(self.event_shape[0]):
                conditional = self.conditionals(value)
                value = torch.where(self.hit, conditional.mean + conditional.stddev * standard, noise)
            return torch.where(self.hit, value, kept)
