"""iCITRIS: sequences whose variables also affect each other within a frame (Lippe et al., ICLR 2023, arXiv 2206.06169).

    G            ~ p(G)                                               an acyclic graph within a frame, one for all
    z_0          ~ N(0, 1)^K
    z_t+1,i | .  ~ p_i(z | z_t, z_t+1,pa(i)) if I_t,i = 0,   p~_i(z) if I_t,i = 1,        pa from G
    x_t          ~ p(x | g(z_t))

An intervention moves all that depends on its variable, so what moves does not tell the variable, as it does in CITRIS.
But a variable that is set is independent of all else but its effects, which tells both the variable and which ones are
its effects. There is one latent for each variable, and latent i is variable i.
"""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.simultaneous import SimultaneousTransitions
from pyro_lcm.nn.vectors import observation


class ICITRIS(PyroModule):
    """The generative program of pairs of adjacent frames.

    Sites: the graph's (:mod:`pyro_lcm.causal.graph_sites`); plate ``pairs``; in the scopes ``before`` and ``after``:
    ``causal``, (pairs, K), and ``x``. As in :class:`pyro_lcm.models.citris.CITRIS` the plate is over transitions, and
    the first frame of each is given.

    Args:
        dim_z: number of causal variables K, whose targets are known.
        decoder: maps (..., K) latents to the distribution of x, or to its mean and standard deviation.
        graphs: prior of the graph within a frame.
        transitions: mechanisms; new ones if None.
    """

    assignment: Tensor
    """(K,) 1, ..., K: the variable of each latent."""
    adjacency: Tensor
    """(K, K) the graph within a frame that was found, ``[parent, child]``; the empty one at first."""
    temporal_adjacency: Tensor
    """(K, K) the graph from one frame to the next that was found, ``[parent, child]``."""

    def __init__(
        self, dim_z: int, decoder: nn.Module, graphs: nn.Module, transitions: SimultaneousTransitions | None = None
    ) -> None:
        super().__init__()
        self.dim_z = self.variables = self.recorded = dim_z
        self.decoder = decoder
        self.graphs = graphs
        self.transitions = SimultaneousTransitions(dim_z) if transitions is None else transitions
        self.register_buffer("assignment", torch.arange(1, dim_z + 1))
        self.register_buffer("adjacency", torch.zeros(dim_z, dim_z))
        self.register_buffer("temporal_adjacency", torch.zeros(dim_z, dim_z))
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
        """Draw a graph, and generate, or score, frames given the frames before them; arguments as those of CITRIS."""
        return self.pairs(self.graphs(), x, x_after, targets=targets, size=size, index=index)

    def given_graph(self, x: Tensor | None = None, x_after: Tensor | None = None, **arguments: Any) -> Any:
        """The program with the graph of the buffer, the one that was found; arguments as :meth:`forward`'s."""
        return self.pairs(self.adjacency, x, x_after, **arguments)

    def pairs(
        self,
        adjacency: Tensor,
        x: Tensor | None,
        x_after: Tensor | None,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate, or score, frames given a graph, (..., K, K)."""
        given = x is not None
        start = Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1)
        with pyro.plate("pairs", size, subsample=index) as rows:
            known = targets if targets is not None else torch.zeros(len(rows), self.dim_z, device=self.zero.device)
            with scope(prefix="before"):
                before = pyro.sample("causal", start.mask(not given))
                seen = x if x is not None else pyro.sample("x", self.x_dist(before))
            with scope(prefix="after"):
                causal = pyro.sample("causal", self.transitions(before, known, adjacency))
                seen_after = pyro.sample("x", self.x_dist(causal), obs=x_after)
        return seen, seen_after

    def step(self, before: Tensor, noise: Tensor, fixed: Tensor) -> Tensor:
        """The next latents, (rows, K), given those of the frame before, in the graph that was found.

        Args:
            before: (rows, K).
            noise: (rows, K) standard normal.
            fixed: (rows, K) what latents are set to, nan for those that are not.
        """
        return self.transitions(before, torch.zeros_like(before), self.adjacency).given_noise(noise, fixed)

    def x_dist(self, causal: Tensor) -> TorchDistribution:
        """p(x | z) for latents (..., K)."""
        return observation(self.decoder(causal), causal)

    def causal(self, noise: Tensor) -> Tensor:
        """The latents themselves, (..., K): they are the causal variables."""
        return noise
