"""Causal mechanisms of the scaling simulator: each variable is invertible in its own noise.

``z_i = m_i(z_pa(i)) + s_i(z_pa(i)) e_i`` with a location m_i and a positive scale s_i of the parents.
The linear ones are those of the scaling data of Brehmer et al. (NeurIPS 2022, arXiv 2203.16437): weights
``sign * (1 + 0.3 N(0, 1))`` and unit scale.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Mechanisms(Protocol):
    """What the simulator needs of the mechanisms of an SCM."""

    def location_scale(self, variable: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Compute location and scale of a variable.

        Args:
            variable: Its index (0-based).
            parents: Values of its parents in ascending order of index, shape (..., number of parents).

        Returns:
            Location and positive scale, each of shape (...,) or broadcasting to it.
        """
        ...


def draw_weights(adjacency: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the effect of each parent on each child, ``sign * (1 + 0.3 N(0, 1))``, a bimodal distribution.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        rng: Source of randomness.

    Returns:
        Weights ``[parent, child]``, shape (d, d), zero where there is no edge.
    """
    signs = rng.choice([-1.0, 1.0], size=adjacency.shape)
    weights: NDArray[np.float64] = adjacency * signs * (1 + 0.3 * rng.standard_normal(adjacency.shape))
    return weights


class LinearMechanisms(nn.Module):
    """``z_i = sum_j w_ji z_j + e_i``.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        rng: Source of randomness for the weights.
    """

    weights: Tensor

    def __init__(self, adjacency: NDArray[np.int8], rng: np.random.Generator) -> None:
        super().__init__()
        self.parents = [np.flatnonzero(column).tolist() for column in adjacency.T]
        self.register_buffer("weights", torch.from_numpy(draw_weights(adjacency, rng)))

    def location_scale(self, variable: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Compute location and scale (which is 1); see :class:`Mechanisms`."""
        location = parents @ self.weights[self.parents[variable], variable]
        return location, torch.ones((), dtype=location.dtype, device=location.device)


class NonlinearMechanisms(nn.Module):
    """Nonlinear, heteroscedastic mechanisms in which every edge matters.

    ``m_i = sum_j w_ji (tanh(z_j) + 0.5 sin(2 z_j + b_ji))`` and ``s_i = exp(0.5 tanh(sum_j c_ji z_j))`` with
    w as in :func:`draw_weights`, b uniform on a circle and c ~ N(0, 1) / sqrt(number of parents). Locations
    are bounded functions of the parents, so that variances stay of order one along deep graphs; scales lie
    between 0.61 and 1.65.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        rng: Source of randomness for the parameters.
    """

    weights: Tensor
    phases: Tensor
    scale_weights: Tensor

    def __init__(self, adjacency: NDArray[np.int8], rng: np.random.Generator) -> None:
        super().__init__()
        self.parents = [np.flatnonzero(column).tolist() for column in adjacency.T]
        in_degree = np.maximum(adjacency.sum(axis=0), 1)
        scale_weights = rng.standard_normal(adjacency.shape) / np.sqrt(in_degree)
        self.register_buffer("weights", torch.from_numpy(draw_weights(adjacency, rng)))
        self.register_buffer("phases", torch.from_numpy(rng.uniform(-np.pi, np.pi, adjacency.shape)))
        self.register_buffer("scale_weights", torch.from_numpy(adjacency * scale_weights))

    def location_scale(self, variable: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Compute location and scale; see :class:`Mechanisms`."""
        edges = (self.parents[variable], variable)
        effects = torch.tanh(parents) + 0.5 * torch.sin(2 * parents + self.phases[edges])
        scale = torch.exp(0.5 * torch.tanh(parents @ self.scale_weights[edges]))
        return effects @ self.weights[edges], scale
