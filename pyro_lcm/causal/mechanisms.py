"""Mechanisms of an explicit structural causal model: each variable from its parents and its own noise.

    z_i = loc_i(z_pa(i)) + scale_i(z_pa(i)) e_i,      scale_i > 0

Heteroscedastic and affine in the noise (Immer et al., ICML 2023). The graph is an argument, so that one set of networks
serves every graph that is considered: a network sees its parents' values, zero for all others, and which are parents.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyro_lcm.nn.activations import Activation
from pyro_lcm.nn.grouped import GroupedMLP


class Mechanisms(nn.Module):
    """Mechanisms of d variables, one small network each, for any graph.

    Args:
        dim: number of causal variables d.
        hidden: widths of the hidden layers of each network; empty for affine mechanisms.
        min_scale: lower bound of scale_i.
        activation: of the hidden layers.
    """

    def __init__(
        self, dim: int, hidden: Sequence[int] = (32,), *, min_scale: float = 0.05, activation: Activation = "silu"
    ) -> None:
        super().__init__()
        self.dim, self.min_scale = dim, min_scale
        self.networks = GroupedMLP(dim, 2 * dim, 2, hidden, activation=activation)

    def coefficients(self, causal: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """Loc and scale of every variable given its parents' values.

        Args:
            causal: (..., d) causal variables.
            adjacency: (..., d, d) of 0 and 1, ``[parent, child]``; leading shapes broadcast.

        Returns:
            loc and scale, (..., d) each.
        """
        parents = adjacency.transpose(-1, -2)
        seen = parents * causal.unsqueeze(-2)
        inputs = torch.cat([seen, parents.expand_as(seen)], -1)
        rows = inputs.reshape(-1, self.dim, 2 * self.dim).transpose(0, 1)
        loc, log_scale = self.networks.all(rows).transpose(0, 1).reshape(*seen.shape[:-1], 2).unbind(-1)
        return loc, log_scale.clamp(-6.0, 6.0).exp() * (1 - self.min_scale) + self.min_scale

    @torch.no_grad()
    def set_affine(self, variable: int, slope: Tensor, constant: Tensor, scale: Tensor) -> None:
        """Make one mechanism z_i = slope . z_pa + constant + scale e_i.

        Args:
            variable: i, 0..d-1.
            slope: (d,) coefficients, for whichever variables are parents.
            constant: () real.
            scale: () positive.
        """
        networks = self.networks
        for parameter in (networks.affine, networks.bias, *list(networks.weights)[-1:], *list(networks.biases)[-1:]):
            parameter[variable].zero_()
        networks.affine[variable, : self.dim, 0] = slope.to(networks.affine)
        networks.bias[variable, 0, 0] = constant.to(networks.bias)
        inner = ((scale - self.min_scale) / (1 - self.min_scale)).clamp(min=1e-3)
        networks.bias[variable, 0, 1] = inner.log().to(networks.bias)

    def forward(self, noise: Tensor, adjacency: Tensor) -> Tensor:
        """Causal variables of noise encodings, the solution of the model: d passes settle d generations.

        Args:
            noise: (..., d).
            adjacency: (..., d, d) of a DAG.

        Returns:
            (..., d), the leading shapes broadcast.
        """
        causal = noise
        for _ in range(self.dim):
            loc, scale = self.coefficients(causal, adjacency)
            causal = loc + scale * noise
        return causal

    def inverse(self, causal: Tensor, adjacency: Tensor) -> Tensor:
        """Noise encodings of causal variables; shapes as in :meth:`forward`."""
        loc, scale = self.coefficients(causal, adjacency)
        return (causal - loc) / scale
