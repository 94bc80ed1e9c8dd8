"""Solution functions: from noise encodings to causal variables.

The solution function s of a structural causal model maps all noise encodings e to all causal variables z. An
implicit latent causal model learns s and never a graph (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, section 4):

    z_i = s_i(e_i; e_{-i}) = (e_i - shift_i(e_{-i})) / scale_i(e_{-i}),      scale_i > 0

so that a perfect intervention z~_i ~ N(0, 1) gives the redrawn noise encoding the density

    p(e~_i | e, I = i) = N(z~_i; 0, 1) |dz~_i / de~_i| = N(e~_i; shift_i, scale_i).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pyro_lcm.nn.grouped import GroupedMLP


class SolutionFunctions(nn.Module):
    """Heteroscedastic affine solution functions, one small network per variable.

    Args:
        dim: number of causal variables d.
        hidden: widths of the hidden layers of each network.
        min_scale: lower bound of scale_i, in units of the noise encodings.
    """

    context: Tensor
    """(d, d) float: [j, i] is 1 where s_i may depend on e_j. All but the diagonal at first."""
    adjacency: Tensor
    """(d, d) float: the graph found, [parent, child]; as ``context`` at first."""

    def __init__(self, dim: int, hidden: Sequence[int] = (64, 64), *, min_scale: float = 0.05) -> None:
        super().__init__()
        self.dim, self.min_scale = dim, min_scale
        self.networks = GroupedMLP(dim, dim, 2, hidden)
        self.register_buffer("context", 1 - torch.eye(dim))
        self.register_buffer("adjacency", 1 - torch.eye(dim))

    def coefficients(self, noise: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of one variable's solution function in each row.

        Args:
            noise: (rows, d) noise encodings.
            target: (rows,) long, the variable 1..d; rows with 0 (none) get those of variable 1, unused.

        Returns:
            shift (rows,) and scale (rows,).
        """
        variable = (target - 1).clamp(min=0)
        return self._split(self.networks(noise * self.context.T[variable], variable))

    def all_coefficients(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of every variable's solution function.

        Args:
            noise: (..., d) noise encodings.

        Returns:
            shift (..., d) and scale (..., d).
        """
        rows = noise.reshape(-1, self.dim)
        inputs = rows * self.context.T.unsqueeze(1)
        shift, scale = self._split(self.networks.all(inputs))
        return shift.T.reshape(noise.shape), scale.T.reshape(noise.shape)

    def forward(self, noise: Tensor) -> Tensor:
        """Causal variables (..., d) of noise encodings (..., d)."""
        shift, scale = self.all_coefficients(noise)
        return (noise - shift) / scale

    def set_causal(self, noise: Tensor, values: Mapping[int, Tensor]) -> Tensor:
        """Noise encodings under which some causal variables have given values and the others' noise is kept.

        Causes come before effects, so that a later value sees the earlier ones: e_i = shift_i + scale_i z_i.

        Args:
            noise: (N, d) noise encodings.
            values: (N,) values of the variables 0..d-1 that are set.

        Returns:
            (N, d) noise encodings.
        """
        depth = self.context.sum(0)
        for variable in sorted(values, key=lambda i: float(depth[i])):
            target = torch.full((len(noise),), variable + 1, device=noise.device)
            shift, scale = self.coefficients(noise, target)
            noise = noise.clone()
            noise[:, variable] = shift + scale * values[variable]
        return noise

    def _split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = output.unbind(-1)
        return shift, log_scale.clamp(-6.0, 6.0).exp() * (1 - self.min_scale) + self.min_scale
