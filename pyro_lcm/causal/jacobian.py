"""Reading order, effects and a graph out of fitted solution functions.

With S = dz / de the Jacobian of the solution function, dz = B dz + D de for the mechanisms z_i = f_i(e_i, z_pa(i)),
so that S = (I - B)^-1 D and the direct effects are

    B_ij = -(S^-1)_ij / (S^-1)_ii      for j != i.

Effects are compared in units of the variables' own noise: r_ij = B_ij D_jj / D_ii is how much a unit of j's noise
moves i directly, relative to a unit of i's own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.solution import SolutionFunctions

DEFAULT_THRESHOLD = 0.1
"""Direct effects below this many units of own noise per unit of noise are taken as absent."""


_TRIMMED = 0.05
"""Share of the rows, those with the largest effects, that an average leaves out."""


def jacobian(solution: SolutionFunctions, noise: Tensor, step: float = 0.5) -> Tensor:
    """S[n, i, j], central differences of z_i with respect to e_j over ``step``, shape (N, d, d).

    A wide step averages over the small bumps of a fitted network, which are of no causal interest.
    """
    shifts = step * torch.eye(solution.dim, dtype=noise.dtype, device=noise.device)
    columns = [(solution(noise + shift) - solution(noise - shift)) / (2 * step) for shift in shifts]
    return torch.stack(columns, dim=-1)


def direct_effects(solution: SolutionFunctions, noise: Tensor) -> NDArray[np.float64]:
    """Strength of the direct effect of each variable on each other, ``[parent, child]``, (d, d).

    The root mean square over rows of r_ij (see the module), without the largest values: where S is nearly singular
    they are of no meaning.

    Args:
        solution: fitted solution functions.
        noise: (N, d) noise encodings over which to average.
    """
    with torch.no_grad():
        total = jacobian(solution, noise).double()
    inverse = torch.linalg.inv(total)
    own = 1 / inverse.diagonal(dim1=-2, dim2=-1)
    direct = -inverse * own.unsqueeze(-1)
    relative = direct * own.unsqueeze(-2) / own.unsqueeze(-1)
    squares = relative.square().sort(dim=0).values
    kept = max(1, int(len(squares) * (1 - _TRIMMED)))
    strength = squares[:kept].mean(0).sqrt()
    strength.fill_diagonal_(0.0)
    return strength.T.cpu().numpy()


def causal_order(solution: SolutionFunctions, noise: Tensor) -> list[int]:
    """Variables from causes to effects: each time the one that depends least on the noise of those left.

    Args:
        solution: fitted solution functions.
        noise: (N, d) noise encodings over which to average.
    """
    with torch.no_grad():
        total = jacobian(solution, noise)
    own = total.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    influence = (total / own).square().mean(0).sqrt().cpu().numpy()
    np.fill_diagonal(influence, 0.0)
    left = list(range(solution.dim))
    order: list[int] = []
    while left:
        dependence = influence[np.ix_(left, left)].max(axis=1)
        order.append(left.pop(int(dependence.argmin())))
    return order


def read_graph(solution: SolutionFunctions, noise: Tensor, threshold: float = DEFAULT_THRESHOLD) -> NDArray[np.int8]:
    """Adjacency ``[parent, child]``, (d, d), acyclic: direct effects above a threshold that follow the order.

    Args:
        solution: fitted solution functions.
        noise: (N, d) noise encodings over which to average.
        threshold: smallest direct effect that counts as an edge, in units of own noise.
    """
    order = causal_order(solution, noise)
    rank = np.argsort(order)
    forward = rank[:, None] < rank[None, :]
    return ((direct_effects(solution, noise) > threshold) & forward).astype(np.int8)
