"""The structural causal model of CausalCircuit as a Pyro program.

A robot arm moves on an arc over three buttons, each of which lights a lamp of its own colour; the green and the blue
lamp light the red one as well (Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, arXiv 2203.16437, section 5):

    arm   z_A = Phi(e_A), uniform on [0, 1]
    lamp  z_C ~ Beta(5 v_C, 5 (1 - v_C)),  v_C = 0.2 + 0.6 s_C,  z_C = F^-1(Phi(e_C)) with its distribution function F
          s_G = b_G,  s_B = b_B,  s_R = min(1, z_G + z_B + b_R),  b_C in [0, 1] how far the arm presses button C

An intervention redraws a variable uniformly from [0, 1], whatever its causes. The equations are those remembered of
the published data, and not checked against them; where the buttons lie and how the press falls off is a choice made
here. The order of variables is that of the published arrays: red, green, blue, arm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from pyro.contrib.autoname import scope
from scipy import special
from torch import Tensor

NAMES = ("red", "green", "blue", "arm")
"""The variables in the order of the arrays."""
BUTTONS = (0.5, 1 / 6, 5 / 6)
"""Where on the arc the red, the green and the blue button lie."""
ADJACENCY: NDArray[np.int8] = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=np.int8)
"""The graph, ``[parent, child]``."""

_RED, _GREEN, _BLUE, _ARM = range(4)
_ORDER = (_ARM, _GREEN, _BLUE, _RED)
_HALF_WIDTH = 1 / 6
"""Distance on the arc at which a button is not touched any more."""
_CONCENTRATION = 5.0
_EDGE = 1e-9
"""Causal variables stay this far from 0 and 1, where noise encodings would be infinite."""


class Pairs(NamedTuple):
    """What the program of pairs returns; every tensor has the pairs as its first axis."""

    target: Tensor
    causal: Tensor
    causal_after: Tensor
    noise: Tensor
    noise_after: Tensor


def pressed(arm: Tensor) -> Tensor:
    """How far the arm presses the red, the green and the blue button.

    Args:
        arm: Positions of the arm on the arc, in [0, 1], shape (...).

    Returns:
        Shape (..., 3), in [0, 1]: 0 is not touching, 1 is pressing.

    >>> pressed(torch.tensor([0.5, 0.25])).round(decimals=2).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]]
    """
    distance = (arm.unsqueeze(-1) - torch.tensor(BUTTONS, dtype=arm.dtype)).abs()
    return 0.5 * (1 + torch.cos(torch.pi * (distance / _HALF_WIDTH).clamp(max=1.0)))


def world(noise: Tensor) -> Tensor:
    """Run the causal model: deterministic sites ``arm``, ``green``, ``blue`` and ``red``.

    Intervene by ``pyro.do(world, {"green": 0.9})``, with a number or a tensor of one value a row, and read the result
    from what is returned.

    Args:
        noise: Standard normal noise, shape (..., 4), order red, green, blue, arm; float64.

    Returns:
        Causal variables in [0, 1], shape (..., 4).

    >>> lit = pyro.do(world, {"arm": 1 / 6})(torch.zeros(1, 4, dtype=torch.float64))
    >>> dict(zip(NAMES, lit[0].round(decimals=2).tolist()))
    {'red': 0.84, 'green': 0.84, 'blue': 0.16, 'arm': 0.17}
    """
    values: list[Tensor] = [noise[..., 0]] * 4
    for variable in _ORDER:
        values[variable] = _variable(variable, _mechanism(variable, noise[..., variable], values))
    return torch.stack(values, dim=-1)


def noise_encoding(causal: Tensor) -> Tensor:
    """Noise encodings, the inverse of the model without interventions: shape (..., 4) of (..., 4) variables."""
    values = list(causal.unbind(-1))
    return torch.stack([_inverse(variable, values) for variable in range(4)], dim=-1)


def pairs(size: int) -> Pairs:
    """Draw pairs: sites ``target`` (0 = none), ``noise``, ``intervention``, and a world ``before`` and ``after``.

    Args:
        size: Number of pairs, the size of the plate ``pairs``.

    Returns:
        Targets, causal variables and noise encodings of both sides.
    """
    one = torch.ones((), dtype=torch.float64)
    with pyro.plate("pairs", size):
        target = pyro.sample("target", dist.Categorical(probs=torch.full((5,), 0.2, dtype=torch.float64)))
        target = target.expand(size)  # pyro.do may have put one number in its place
        noise = pyro.sample("noise", dist.Normal(0 * one, one).expand([4]).to_event(1))
        value = pyro.sample("intervention", dist.Uniform(0 * one, one))
        with scope(prefix="before"):
            before = world(noise)
        with scope(prefix="after"):
            after = _world_after(noise, target, value)
    hit = target.unsqueeze(-1) == torch.arange(1, 5)
    return Pairs(target, before, after, noise, torch.where(hit, noise_encoding(after), noise))


def _world_after(noise: Tensor, target: Tensor, value: Tensor) -> Tensor:
    """Run the world with a target that differs from row to row, which one ``pyro.do`` of the whole cannot."""
    values: list[Tensor] = [noise[..., 0]] * 4
    for variable in _ORDER:
        natural = _mechanism(variable, noise[..., variable], values)
        assigned = torch.where(target == variable + 1, value, natural)
        values[variable] = pyro.do(_variable, {NAMES[variable]: assigned})(variable, natural)
    return torch.stack(values, dim=-1)


def _variable(variable: int, value: Tensor) -> Tensor:
    node: Tensor = pyro.deterministic(NAMES[variable], value, event_dim=0)
    node = torch.as_tensor(node).to(value).expand(value.shape)  # an intervention may be a plain number
    return node.clamp(_EDGE, 1 - _EDGE)


def _shape(variable: int, values: list[Tensor]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters of a lamp's beta distribution, given its causes."""
    press = pressed(values[_ARM])[..., variable]
    signal = (values[_GREEN] + values[_BLUE] + press).clamp(max=1.0) if variable == _RED else press
    mean = 0.2 + 0.6 * signal.numpy()
    return _CONCENTRATION * mean, _CONCENTRATION * (1 - mean)


def _mechanism(variable: int, noise: Tensor, values: list[Tensor]) -> Tensor:
    e = noise.numpy()
    if variable == _ARM:
        return torch.from_numpy(np.asarray(special.ndtr(e)))
    a, b = _shape(variable, values)
    # Each tail from its own side: 1 - Phi(e) is rounded to 0 beyond e = 8.
    low, high = special.betaincinv(a, b, special.ndtr(e)), special.betainccinv(a, b, special.ndtr(-e))
    return torch.from_numpy(np.where(e < 0, low, high))


def _inverse(variable: int, values: list[Tensor]) -> Tensor:
    z = values[variable].numpy()
    if variable == _ARM:
        return torch.from_numpy(np.asarray(special.ndtri(z)))
    a, b = _shape(variable, values)
    below, above = special.betainc(a, b, z), special.betaincc(a, b, z)
    return torch.from_numpy(np.where(below < above, special.ndtri(below), -special.ndtri(above)))
