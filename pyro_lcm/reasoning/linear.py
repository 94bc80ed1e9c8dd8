"""A structural model in which all is linear: mechanisms with constant scales, and the map to x.

z_i = b_i + sum_k c_ki z_k + s_i e_i,      x = a + e A,      e_i ~ N(0, 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.distributions import Distribution

from pyro_lcm.reasoning.structure import StructuralModel, World


class LinearStructure(StructuralModel):
    """An SCM of linear mechanisms, in float64.

    Args:
        coefficients: (d, d) ``[parent, child]``, those of absent edges 0.
        intercepts: (d,).
        scales: (d,), positive.
        loadings: (d, D): what one unit of each noise encoding adds to x.
        center: (D,): x where all noise encodings are 0.
        adjacency: (d, d) ``[parent, child]``, acyclic; by default the coefficients that are not 0.
        names: of the variables; z1, z2, ... by default.

    Raises:
        ValueError: if the graph has a cycle or the names do not fit it.

    Example:
        >>> scm = LinearStructure([[0, 2.0], [0, 0]], [0, 0], [1, 1], np.eye(2), [0, 0])
        >>> scm.solve(torch.tensor([[1.0, 0.5]])).causal.tolist()
        [[1.0, 2.5]]
    """

    def __init__(
        self,
        coefficients: ArrayLike,
        intercepts: ArrayLike,
        scales: ArrayLike,
        loadings: ArrayLike,
        center: ArrayLike,
        adjacency: NDArray[np.integer] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        graph = np.asarray(coefficients) != 0 if adjacency is None else adjacency
        super().__init__([f"z{i + 1}" for i in range(len(graph))] if names is None else names, graph)
        parts = (coefficients, intercepts, scales, loadings, center)
        self.coefficients, self.intercepts, self.scales, self.loadings, self.center = (
            torch.as_tensor(np.array(part, dtype=np.float64)) for part in parts
        )

    @property
    def zero(self) -> Tensor:
        """See the base class."""
        return torch.zeros((), dtype=torch.float64)

    def location_scale(self, variable: int, noise: Sequence[Tensor], causal: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """See the base class."""
        location = self.intercepts[variable]
        for parent in np.flatnonzero(self.adjacency[:, variable]).tolist():
            location = location + self.coefficients[parent, variable] * causal[parent]
        return location, self.scales[variable]

    def decode(self, world: World) -> Tensor:
        """See the base class."""
        return self.center + world.noise.to(self.loadings) @ self.loadings

    def posterior(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        """See the base class; the least squares of x, which leaves no uncertainty."""
        values = torch.as_tensor(np.asarray(x, dtype=np.float64))
        noise = (values - self.center) @ torch.linalg.pinv(self.loadings)
        return noise, torch.zeros_like(noise)

    def observation(self, world: World, x: Tensor) -> tuple[Distribution, Tensor]:
        """See the base class; there is no noise on x to score it by.

        Raises:
            ValueError: always.
        """
        raise ValueError("x: cannot be scored without noise on it, expected a structure that has some")
