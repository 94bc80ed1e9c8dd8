"""A decoder that keeps distances: x = c Q z + b with orthonormal columns in Q.

Where interventions are soft the causal variables are identified only as far as the mixing is known to keep their
geometry (:mod:`pyro_lcm.models.soft_ilcm`). x must then come in its own units: centring and one common scale are
harmless, whitening is not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class IsometricDecoder(nn.Module):
    """Mean and standard deviation of p(x | z), the mean an isometry of z up to one scale.

    Q is the orthonormal factor of a free matrix's QR decomposition.

    Args:
        dim_z: number of causal variables d.
        dim_x: width of the observation, at least ``dim_z``.
        initial_sd: standard deviation of x given z at the start.
        min_sd: lower bound of the standard deviation.
    """

    def __init__(self, dim_z: int, dim_x: int, *, initial_sd: float = 0.1, min_sd: float = 0.01) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.eye(dim_x, dim_z))
        self.bias = nn.Parameter(torch.zeros(dim_x))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.log_sd = nn.Parameter(torch.full((dim_x,), initial_sd).log())
        self.min_sd = min_sd

    @property
    def columns(self) -> Tensor:
        """Q, (dim_x, dim_z), with columns of the signs of the free matrix's."""
        q, r = torch.linalg.qr(self.free)
        columns: Tensor = q * r.diagonal().sign()
        return columns

    def forward(self, causal: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., dim_x) and standard deviation (dim_x,) for (..., dim_z) causal variables."""
        mean = self.log_scale.exp() * causal @ self.columns.T + self.bias
        return mean, self.log_sd.exp() + self.min_sd

    def inverse(self, x: Tensor) -> Tensor:
        """The causal variables (..., dim_z) whose image is nearest to x."""
        return (x - self.bias) @ self.columns * (-self.log_scale).exp()
