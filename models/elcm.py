"""Explicit latent causal model: a latent graph, a mechanism for each variable (Brehmer et al. 2022, arXiv 2203.16437).

    G          ~ p(G)                                          an acyclic graph, one for all pairs
    I          ~ p(I),   e ~ N(0, 1)^d                          target and noise, for each pair
    z_i        = f_i(e_i; z_pa(i)),   pa from G                 causal variables before
    z~_I       ~ N(0, 1),   z~_j = f_j(e_j; z~_pa(j))           after a perfect intervention on I
    x ~ p(x | g(e)),   x~ ~ p(x | g(e~)),   e~ = f^-1(z~)       one decoder, f^-1 without intervention

Given a graph, noise and causal variables are the same thing in two coordinates, z = f_G(e), and by e~ = f_G^-1(z~) the
intervention changes e_I alone, to f_I^-1(z~_I; z_pa(I)). So the encodings stay those of the implicit model, the graph
enters through one density,

    p(r_i | e, G) = N(z~_i; 0, 1) |dz~_i / dr_i|,      z~_i = f_i(r_i; z_pa(i)),  z = f_G(e),      e~_I = r_I,

what e_i would be redrawn to, of which the target's is realised. Counterfactuals are exact for every graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.outcomes import prior_outcomes
from pyro_lcm.causal.scoring import only_scoring
from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.nn.vectors import observation


class ELCM(PyroModule):
    """The generative program of pairs with an explicit graph.

    Sites: the graph's (:mod:`pyro_lcm.causal.graph_sites`); plate ``pairs``; ``target``, ``noise``, ``redrawn``; in
    the scopes ``before`` and ``after``: ``encoding``, ``causal``, ``x``.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) noise encodings to the distribution of x, or to its mean and standard deviation.
        graphs: prior of the graph.
        mechanisms: of the variables; new ones if None.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.
    """

    adjacency: Tensor
    """(d, d) the graph that :meth:`causal` and :meth:`program` use, [parent, child]; the empty one at first."""
    target_prior: Tensor

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        graphs: nn.Module,
        mechanisms: Mechanisms | None = None,
        target_prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.dim_z = dim_z
        self.decoder = decoder
        self.graphs = graphs
        self.mechanisms = Mechanisms(dim_z) if mechanisms is None else mechanisms
        prior = torch.ones(dim_z + 1) if target_prior is None else target_prior
        self.register_buffer("target_prior", prior / prior.sum())
        self.register_buffer("adjacency", torch.zeros(dim_z, dim_z))
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
        """Draw a graph, and generate, or score, the pairs ``index`` out of ``size``; arguments as the ILCM's."""
        return self.pairs(self.graphs(), x, x_after, targets=targets, size=size, index=index)

    def given_graph(self, x: Tensor | None = None, x_after: Tensor | None = None, **arguments: Any) -> Any:
        """The program of pairs with the graph of the buffer, the one that was found; arguments as :meth:`forward`'s."""
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
        """Generate, or score, pairs given a graph, (..., d, d)."""
        with pyro.plate("pairs", size, subsample=index):
            target = pyro.sample("target", target_distribution(self.target_prior, targets))
            noise = pyro.sample("noise", Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1))
            hit = hit_mask(target, self.dim_z)
            outcomes = prior_outcomes(partial(self.redrawn_dist, adjacency=adjacency), noise, target, hit)
            redrawn = pyro.sample("redrawn", outcomes.to_event(1))
            with scope(prefix="before"):
                before = self.world(noise, x, adjacency)
            with scope(prefix="after"):
                intervened = pyro.do(self.world, {"encoding": torch.where(hit, redrawn, noise)})
                after = intervened(noise, x_after, adjacency)
        return before, after

    def world(self, noise: Tensor, x: Tensor | None = None, adjacency: Tensor | None = None) -> Tensor:
        """One world: from noise encodings (..., d) to an observation."""
        encoding = pyro.deterministic("encoding", noise, event_dim=1)
        if not only_scoring():
            pyro.deterministic("causal", self.causal(encoding, adjacency), event_dim=1)
        observed: Tensor = pyro.sample("x", self.x_dist(encoding, adjacency), obs=x)
        return observed

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None, adjacency: Tensor | None = None) -> Normal:
        """p(r_i | e, G) of every i, whatever the target: batch shape (..., d); G is the buffer if None."""
        graph = self.adjacency if adjacency is None else adjacency
        loc, scale = self.mechanisms.coefficients(self.mechanisms(noise, graph), graph)
        return Normal(-loc / scale, 1 / scale)

    def x_dist(self, noise: Tensor, adjacency: Tensor | None = None) -> TorchDistribution:
        """p(x | e) for noise encodings (..., d); here it does not depend on the graph."""
        return observation(self.decoder(noise), noise)

    def causal(self, noise: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Causal variables f_G(e), (..., d), of noise encodings (..., d); G is ``adjacency``, the buffer if None."""
        return self.mechanisms(noise, self.adjacency if adjacency is None else adjacency)

    def program(self, noise: Tensor) -> Tensor:
        """One world with a named node for each variable, for ``pyro.do`` and counterfactuals.

        Nodes ``z1``, ..., ``zd`` are deterministic functions of the noise (..., d) and of their parents in the graph
        of the buffer; ``x`` is drawn given all of them. ``pyro.do(model.program, {"z2": value})`` cuts z2 from its
        parents and changes its descendants; conditioning a node is not meaningful.
        """
        causal = torch.zeros_like(noise)
        for i in topological_order(self.adjacency.cpu().numpy()):
            loc, scale = self.mechanisms.coefficients(causal, self.adjacency)
            value = pyro.deterministic(f"z{i + 1}", loc[..., i] + scale[..., i] * noise[..., i])
            causal = causal.index_copy(-1, torch.as_tensor([i], device=noise.device), value.unsqueeze(-1))
        observed: Tensor = pyro.sample("x", self.x_dist(self.mechanisms.inverse(causal, self.adjacency)))
        return observed
