"""Explicit latent causal model of soft interventions: a latent graph, and two mechanisms for each variable.

    G          ~ p(G)                                          an acyclic graph, one for all pairs
    I          ~ p(I),   e ~ N(0, 1)^d                          target and noise, for each pair
    z_i        = f_i(e_i; z_pa(i)),   pa from G                 causal variables before
    z~_I       ~ N(loc_I(z~_pa), sd_I(z~_pa))                   the target, by its changed mechanism, same parents
    z~_j       = f_j(e_j; z~_pa(j))   for j != I                everyone else by theirs
    x ~ p(x | g(z)),   x~ ~ p(x | g(z~))                        one decoder

A perfect intervention is loc = 0, sd = 1. With f_I affine in the noise, in noise encodings only e_I changes,

    p(r_i | e, G) = N((loc_i - l_i) / s_i, sd_i / s_i),     z = f_G(e),   f_i(e_i; z_pa) = l_i + s_i e_i,    e~_I = r_I.

As in :mod:`pyro_lcm.models.soft_ilcm`, this density alone leaves open how much a variable depends on its parents, so
the decoder sees causal variables and should be an isometry. The graph then enters twice: a graph without one of the
parents cannot explain x before either. The setting is that of Bagi et al. (2024, arXiv 2402.11124).
"""

from __future__ import annotations

from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn

from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.nn.vectors import observation


class SoftELCM(ELCM):
    """The program of :class:`pyro_lcm.models.elcm.ELCM` with a mechanism of its own for the target after.

    Args:
        dim_z: number of causal variables d.
        decoder: maps (..., d) causal variables to mean and standard deviation of x.
        graphs: prior of the graph.
        mechanisms: of the variables; new ones if None.
        changed: their mechanisms under intervention, z~_i = loc_i + sd_i N(0, 1); new ones if None.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.
    """

    def __init__(
        self,
        dim_z: int,
        decoder: nn.Module,
        graphs: nn.Module,
        mechanisms: Mechanisms | None = None,
        changed: Mechanisms | None = None,
        target_prior: Tensor | None = None,
    ) -> None:
        super().__init__(dim_z, decoder, graphs, mechanisms, target_prior)
        self.changed = Mechanisms(dim_z) if changed is None else changed

    def redrawn_dist(self, noise: Tensor, target: Tensor | None = None, adjacency: Tensor | None = None) -> Normal:
        """p(r_i | e, G) of every i, whatever the target: batch shape (..., d); G is the buffer if None."""
        graph = self.adjacency if adjacency is None else adjacency
        causal = self.causal(noise, graph)
        loc, scale = self.mechanisms.coefficients(causal, graph)
        changed_loc, changed_sd = self.changed.coefficients(causal, graph)
        return Normal((changed_loc - loc) / scale, changed_sd / scale)

    def x_dist(self, noise: Tensor, adjacency: Tensor | None = None) -> TorchDistribution:
        """p(x | e, G) = p(x | g(f_G(e))) for noise encodings (..., d)."""
        causal = self.causal(noise, adjacency)
        return observation(self.decoder(causal), causal)
