"""dVAE: the implicit latent causal model without causal relations (Brehmer et al. 2022, arXiv 2203.16437).

    z_i = s_i(e_i) = (e_i - shift_i) / scale_i              context-free solution functions

The program is that of :class:`pyro_lcm.models.ilcm.ILCM`: pairs in which one component is redrawn and the
others are shared, as in Locatello et al. (ICML 2020). With independent variables that is all there is to
know. With causal relations its latents are the noise encodings at best, not the causal variables.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.models.ilcm import ILCM


class ContextFreeSolution(SolutionFunctions):
    """Solution functions that see their own noise encoding alone: z = e, each in units of its own.

    Two learned numbers for each variable say what an intervention on it looks like, e~_i ~ N(shift_i,
    scale_i).

    Args:
        dim: number of causal variables d.
        min_scale: lower bound of scale_i, in units of the noise encodings.
    """

    def __init__(self, dim: int, *, min_scale: float = 0.05) -> None:
        super().__init__(dim, hidden=(), min_scale=min_scale)
        self.context.zero_()
        self.adjacency.zero_()  # the model has no relations: its graph is the empty one

    def coefficients(self, noise: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of one variable in each row, (rows,) each, whatever the other noise encodings are."""
        return super().coefficients(torch.zeros_like(noise), target)

    def all_coefficients(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of every variable, (..., d) each, whatever the other noise encodings are."""
        return super().all_coefficients(torch.zeros_like(noise))


class DVAE(ILCM):
    """:class:`pyro_lcm.models.ilcm.ILCM` with :class:`ContextFreeSolution`; same sites, guide and training.

    Args:
        dim_z: number of latents d.
        decoder: maps (..., d) latents to mean and standard deviation of x.
        target_prior: (d + 1,) probabilities of none, 1, ..., d; uniform if None.
    """

    def __init__(self, dim_z: int, decoder: nn.Module, target_prior: Tensor | None = None) -> None:
        super().__init__(dim_z, decoder, ContextFreeSolution(dim_z), target_prior)
