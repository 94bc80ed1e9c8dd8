"""The causal model behind a scene: variables on open arcs, each a squashed location-scale function of its noise.

A variable z_i in (0, 1) is a place on its arc. With p = 2 z - 1 of the parents and standard normal noise e,

    z_i = g(m_i + s_i e_i),   g(y) = 1 / (1 + exp(-1.7 y)),

so that z_i nears the ends of the arc and never reaches them, and s^-1(z) = (g^-1(z_i) - m_i) / s_i is exact. Without
parents m = 0 and s = 1, where g is close to the normal distribution function and z close to uniform. An intervention
redraws z_i uniformly from [0.01, 0.99], whatever its parents; the target is uniform over none and all variables.
"""

from __future__ import annotations

import numpy as np
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from pyro.distributions.transforms import AffineTransform, ComposeTransform, SigmoidTransform
from torch import Tensor, nn

from pyro_lcm.data.scaling_program import Distributions, ScalingProgram

SLOPE = 1.7
"""Of the squashing g; the logistic function with it differs from the normal distribution function by 0.01 at most."""
SUPPORT = (0.01, 0.99)
"""Where an intervention puts a variable."""
EXPLAINED = 0.64
"""Variance of the location of a variable with parents, where the parents are independent and uniform."""
OWN_SCALE = 0.6
"""Middle of the scales of noise of a variable with parents."""


class ArcMechanisms(nn.Module):
    """Locations and scales of variables whose parents lie on arcs; see :mod:`pyro_lcm.data.scenes.law`.

    With p = 2 z - 1 and ``h_ji(p)`` the function ``tanh(2 p) + 0.5 sin(3 p + b_ji)`` brought to mean 0 and variance 1
    for uniform p,

        m_i = sum_j w_ji h_ji(p_j),   s_i = 0.6 exp(0.25 tanh(sum_j c_ji p_j)).

    Weights w have random signs and sizes from [0.8, 1.2], scaled so that m_i has variance 0.64 where parents are
    independent and uniform: each parent matters. b is uniform on a circle and c ~ N(0, 1).

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        rng: Source of randomness for the parameters.
    """

    weights: Tensor
    phases: Tensor
    means: Tensor
    scale_weights: Tensor

    def __init__(self, adjacency: NDArray[np.int8], rng: np.random.Generator) -> None:
        super().__init__()
        shape = adjacency.shape
        self.parents = [np.flatnonzero(column).tolist() for column in adjacency.T]
        weights = adjacency * rng.choice([-1.0, 1.0], shape) * rng.uniform(0.8, 1.2, shape)
        phases = rng.uniform(-np.pi, np.pi, shape)
        scale_weights = adjacency * rng.standard_normal(shape)
        nodes, quadrature = np.polynomial.legendre.leggauss(40)
        curves = _curve(torch.from_numpy(nodes)[:, None, None], torch.from_numpy(phases)).numpy()
        means = np.tensordot(quadrature / 2, curves, 1)
        variances = np.tensordot(quadrature / 2, (curves - means) ** 2, 1)
        total = (weights**2).sum(axis=0)
        weights *= np.sqrt(EXPLAINED / np.where(total > 0, total, 1.0)) / np.sqrt(variances)
        for name, value in (
            ("weights", weights),
            ("phases", phases),
            ("means", means),
            ("scale_weights", scale_weights),
        ):
            self.register_buffer(name, torch.from_numpy(value))

    def location_scale(self, variable: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Compute location and scale; see :class:`pyro_lcm.data.mechanisms.Mechanisms`. Parents lie in (0, 1)."""
        edges = (self.parents[variable], variable)
        if not self.parents[variable]:
            zeros = parents.new_zeros(parents.shape[:-1])
            return zeros, zeros + 1
        place = 2 * parents - 1
        effects = _curve(place, self.phases[edges]) - self.means[edges]
        scale = OWN_SCALE * torch.exp(0.25 * torch.tanh(place @ self.scale_weights[edges]))
        return effects @ self.weights[edges], scale


def arc_program(
    adjacency: NDArray[np.int8], rng: np.random.Generator, target_probabilities: NDArray[np.float64]
) -> ScalingProgram:
    """Build the causal model of a scene as a Pyro program.

    Its sites are ``z1``, ..., ``zd``; ``pyro.do(program.world, {"z2": 0.9})`` intervenes. Images are rendered from
    ``causal``, of which the site ``x`` is a copy here.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d), acyclic.
        rng: Source of randomness for the mechanisms.
        target_probabilities: Of the targets none, 1, ..., d; shape (d + 1,).

    >>> import pyro
    >>> chain = np.array([[0, 1], [0, 0]], dtype=np.int8)
    >>> program = arc_program(chain, np.random.default_rng(0), np.full(3, 1 / 3))
    >>> noise = torch.zeros(1, 2, dtype=torch.float64)
    >>> world, changed = program.world(noise), pyro.do(program.world, {"z2": 0.75})(noise)
    >>> changed.causal[0].tolist(), bool(torch.allclose(program.noise_encoding(world.causal), noise))
    ([0.5, 0.75], True)
    """
    zero = torch.zeros((), dtype=torch.float64)
    random = Distributions(
        noise=dist.Normal(zero, zero + 1),
        intervention=dist.Uniform(zero + SUPPORT[0], zero + SUPPORT[1]),
        target_probabilities=torch.from_numpy(target_probabilities),
    )
    link = ComposeTransform([AffineTransform(0.0, SLOPE), SigmoidTransform()])
    return ScalingProgram(adjacency, ArcMechanisms(adjacency, rng), nn.Identity(), random, link)


def _curve(place: Tensor, phase: Tensor) -> Tensor:
    return torch.tanh(2 * place) + 0.5 * torch.sin(3 * place + phase)
