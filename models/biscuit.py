"""BISCUIT: variables from sequences of which only actions are known (Lippe et al., UAI 2023, arXiv 2306.09643).

    z_0            ~ N(0, 1)^M
    I_t,m | R_t    ~ Bernoulli(f_m(R_t))                     the interaction: whether the action R_t acts on variable m
    z_t+1,m | .    ~ p_m(z | z_t, I_t,m)                     one of two mechanisms
    x_t            ~ p(x | g(z_t))

Which variables an action acts on is unknown, and found: interactions are binary, and no two variables have the same
ones, so there is one way only to cut a frame into variables that have two mechanisms each. There is one latent for each
variable.
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Bernoulli, Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.transitions import Transitions
from pyro_lcm.nn.vectors import observation

STATES = 2
"""Mechanisms of a variable: without an interaction, and with one."""
_GAIN = 5.0
"""What log odds are of: interactions are there before latents grow to wrong ones."""


class BISCUIT(PyroModule):
    """The generative program of pairs of adjacent frames.

    Sites: plates ``latents``, the second from the right, and ``pairs``; in the scopes ``before`` and ``after``:
    ``causal``, of batch shape (M, pairs), and ``x``; in ``after``: ``interaction``. As in
    :class:`pyro_lcm.models.citris.CITRIS` the plate is over transitions, and the first frame of each is given.

    Args:
        dim_z: number of latents M.
        actions: number of columns A of what is known of a step, 0 and 1.
        decoder: maps (..., M) latents to the distribution of x, or to its mean and standard deviation.
        transitions: of latents from one frame to the next, in :data:`STATES` states; new ones if None.
    """

    assignment: Tensor
    """(M,) 1, ..., M: latent i is variable i."""
    temporal_adjacency: Tensor
    """(M, M) the graph from one frame to the next that was found, ``[parent, child]``."""
    interactions: Tensor
    """(A, M) probability that an action by itself acts on a variable, as it was found."""

    def __init__(self, dim_z: int, actions: int, decoder: nn.Module, transitions: Transitions | None = None) -> None:
        super().__init__()
        self.dim_z = self.variables = dim_z
        self.recorded = actions
        self.decoder = decoder
        self.transitions = Transitions(dim_z, states=STATES) if transitions is None else transitions
        self.log_odds = nn.Parameter(torch.zeros(actions + 1, dim_z))
        self.register_buffer("assignment", torch.arange(1, dim_z + 1))
        self.register_buffer("temporal_adjacency", torch.zeros(dim_z, dim_z))
        self.register_buffer("interactions", torch.full((actions, dim_z), 0.5))
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
        """Generate, or score, frames given the frames before them.

        Args:
            x: (pairs, ...) frames before; None to generate them.
            x_after: (pairs, ...) frames after; None to generate them.
            targets: (pairs, A) 0 and 1, the actions; none are if None.
            size: number of transitions in the data set.
            index: (pairs,) long, which of them these are; None for all.

        Returns:
            x before and x after.
        """
        given = x is not None
        start = Normal(self.zero, torch.ones_like(self.zero))
        latents = pyro.plate("latents", self.dim_z, dim=-2)
        with pyro.plate("pairs", size, subsample=index, dim=-1) as rows:
            actions = torch.zeros(len(rows), self.recorded, device=self.zero.device) if targets is None else targets
            with scope(prefix="before"):
                with latents:
                    before = pyro.sample("causal", start.mask(not given))
                seen = x if x is not None else pyro.sample("x", self.x_dist(before.T))
            with scope(prefix="after"):
                with latents:
                    interaction = pyro.sample("interaction", Bernoulli(logits=self.interaction_logits(actions)))
                    causal = pyro.sample("causal", self.moved(before, interaction))
                seen_after = pyro.sample("x", self.x_dist(causal.T), obs=x_after)
        return seen, seen_after

    def interaction_logits(self, actions: Tensor) -> Tensor:
        """Log odds that actions (rows, A) act on each variable, (M, rows)."""
        return _GAIN * (actions.to(self.log_odds) @ self.log_odds[:-1] + self.log_odds[-1]).T

    def moved(self, before: Tensor, interaction: Tensor) -> Normal:
        """p(z' | z, I), batch shape (..., M, rows), of latents (M, rows) and interactions (..., M or 1, rows or 1)."""
        location, scale = self.transitions.coefficients(before)
        acted = interaction > 0
        return Normal(torch.where(acted, location[1], location[0]), torch.where(acted, scale[1], scale[0]))

    def interaction_dist(self, before: Tensor, after: Tensor, actions: Tensor) -> Bernoulli:
        """p(I | z, z', R), exactly, batch shape (M, rows), of latents (M, rows) of both frames."""
        location, scale = self.transitions.coefficients(before)
        without, acted = Normal(location, scale).log_prob(after)
        return Bernoulli(logits=self.interaction_logits(actions) + acted - without)

    def x_dist(self, causal: Tensor) -> TorchDistribution:
        """p(x | z) for latents (..., M)."""
        return observation(self.decoder(causal), causal)

    def causal(self, noise: Tensor) -> Tensor:
        """The latents themselves, (..., M): they are the causal variables."""
        return noise
