"""CITRIS: causal variables from sequences with known interventions (Lippe et al., ICML 2022, arXiv 2202.03169).

    psi_m        ~ uniform over 0, 1, ..., K                 the variable that latent m belongs to, one for all frames
    z_0          ~ N(0, 1)^M
    z_t+1,m | .  ~ p_m(z | z_t, s_m),   s_m of psi_m and I_t      the transition prior: I_t says what was set
    x_t          ~ p(x | g(z_t))

so p(z_t+1 | z_t, I_t) = prod_i p(z_psi(i) | z_t, I_t,i): of all targets, which are known, latents see their own
variable's alone; psi_m = 0 is what none explains. The decoder is a network (CITRIS-VAE) or a flow's inverse (-NF).
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Categorical, Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.transitions import Transitions
from pyro_lcm.nn.vectors import observation


class CITRIS(PyroModule):
    """The generative program of sequences, and of pairs of adjacent frames.

    Sites: plate ``latents``, the second from the right; ``assignment``; plate ``pairs``, or ``episodes``; in the scopes
    ``before`` and ``after``, or ``frame0``, ``frame1``, ...: ``causal``, of batch shape (M, pairs), and ``x``.

    Args:
        dim_z: number of latents M.
        variables: number of causal variables K, whose targets are known.
        decoder: maps (..., M) latents to the distribution of x, or to its mean and standard deviation.
        transitions: of latents from one frame to the next; new ones if None.
    """

    assignment: Tensor
    """(M,) the variable, 1 to K, that each latent was found to belong to, 0 for none."""
    temporal_adjacency: Tensor
    """(K, K) the graph of variables from one frame to the next that was found, ``[parent, child]``."""

    def __init__(self, dim_z: int, variables: int, decoder: nn.Module, transitions: Transitions | None = None) -> None:
        super().__init__()
        self.dim_z, self.variables, self.recorded = dim_z, variables, variables
        self.decoder, self.transitions = decoder, Transitions(dim_z) if transitions is None else transitions
        self.register_buffer("assignment_prior", torch.full((variables + 1,), 1 / (variables + 1)))
        self.register_buffer("assignment", torch.zeros(dim_z, dtype=torch.long))
        self.register_buffer("temporal_adjacency", torch.zeros(variables, variables))
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
        """Generate, or score, frames given the frames before them: the transitions ``index`` out of ``size``.

        The plate is over transitions, not over episodes: of a pair of adjacent frames the first is given, its latents
        are what the guide says of it, and the second is scored, log p(x_after | x, I). Summed over an episode that is
        all of its likelihood but for the first frame's.

        Args:
            x: (pairs, ...) frames before; None to generate them.
            x_after: (pairs, ...) frames after; None to generate them.
            targets: (pairs, K) 0 and 1; none are if None.
            size: number of transitions in the data set.
            index: (pairs,) long, which of them these are; None for all.

        Returns:
            x before and x after.
        """
        latents = pyro.plate("latents", self.dim_z, dim=-2)
        with latents:
            assignment = pyro.sample("assignment", Categorical(self.assignment_prior))
        with pyro.plate("pairs", size, subsample=index, dim=-1) as rows:
            known = self._known(targets, len(rows))
            given = x is not None
            with scope(prefix="before"):
                before, seen = self.frame(self.start().mask(not given), latents, None if given else x, score=not given)
            with scope(prefix="after"):
                _, seen_after = self.frame(self.transitions(before, assignment, known), latents, x_after)
        return (seen if x is None else x), seen_after

    def episodes(self, x: Tensor, *, targets: Tensor, size: int, index: Tensor | None = None) -> Tensor:
        """Score whole episodes, first frames included.

        Args:
            x: (episodes, T, ...) frames.
            targets: (episodes, T - 1, K) 0 and 1.
            size: number of episodes in the data set.
            index: (episodes,) long, which of them these are; None for all.

        Returns:
            The frames.
        """
        latents = pyro.plate("latents", self.dim_z, dim=-2)
        with latents:
            assignment = pyro.sample("assignment", Categorical(self.assignment_prior))
        with pyro.plate("episodes", size, subsample=index, dim=-1):
            causal = None
            for t in pyro.markov(range(x.shape[1])):
                prior = self.start() if causal is None else self.transitions(causal, assignment, targets[:, t - 1])
                with scope(prefix=f"frame{t}"):
                    causal, _ = self.frame(prior, latents, x[:, t])
        return x

    def frame(
        self, prior: TorchDistribution, latents: pyro.plate, x: Tensor | None = None, *, score: bool = True
    ) -> tuple[Tensor, Tensor]:
        """One frame: latents (M, rows), and the observation, which is left out where it is given and not scored."""
        with latents:
            causal = pyro.sample("causal", prior)
        if not score:
            return causal, causal
        observed: Tensor = pyro.sample("x", self.x_dist(causal.T), obs=x)
        return causal, observed

    def step(self, before: Tensor, noise: Tensor, fixed: Tensor) -> Tensor:
        """The next latents, (rows, M), given those of the frame before, with the assignment that was found.

        Args:
            before: (rows, M).
            noise: (rows, M) standard normal.
            fixed: (rows, M) what latents are set to, nan for those that are not.
        """
        moved = self.transitions(before.T, self.assignment.unsqueeze(1), self._known(None, len(before)))
        return torch.where(fixed.isnan(), moved.loc.T + moved.scale.T * noise, fixed)

    def start(self) -> Normal:
        """p(z_0) of a latent."""
        return Normal(self.zero, torch.ones_like(self.zero))

    def x_dist(self, causal: Tensor) -> TorchDistribution:
        """p(x | z) for latents (..., M)."""
        return observation(self.decoder(causal), causal)

    def causal(self, noise: Tensor) -> Tensor:
        """The latents themselves, (..., M): they are coordinates of the causal variables."""
        return noise

    def _known(self, targets: Tensor | None, rows: int) -> Tensor:
        if targets is not None:
            return targets
        return torch.zeros(rows, self.variables, dtype=torch.long, device=self.zero.device)
