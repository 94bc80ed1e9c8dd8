"""A structural model whose mechanisms are known: a simulator, a textbook example, an oracle for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from pyro.distributions import Normal
from torch import Tensor
from torch.distributions import Distribution

from pyro_lcm.data.mechanisms import Mechanisms
from pyro_lcm.reasoning.structure import StructuralModel, World

Map = Callable[[Tensor], Tensor]


class KnownStructure(StructuralModel):
    """An SCM with given mechanisms and standard normal noise.

    Args:
        mechanisms: gives location and scale of each variable given its parents, as
            :class:`pyro_lcm.data.mechanisms.LinearMechanisms` does.
        adjacency: (d, d) ``[parent, child]``, acyclic.
        names: of the variables; z1, z2, ... by default.
        decoder: maps causal variables (..., d) to x (..., *shape of x); by default x is z.
        encoder: the decoder's inverse; not needed for the default decoder, nor if no x is ever given.
        observation_sd: standard deviation of the normal noise on x, where x is scored; None for no noise.
        dtype: of all numbers.

    Raises:
        ValueError: if the graph has a cycle or the names do not fit it.

    Example:
        >>> from pyro_lcm.data.mechanisms import LinearMechanisms
        >>> adjacency = np.array([[0, 1], [0, 0]])
        >>> scm = KnownStructure(LinearMechanisms(adjacency, np.random.default_rng(0)), adjacency)
        >>> world = scm.solve(torch.zeros(1, 2, dtype=torch.float64), {0: lambda natural: natural + 1})
        >>> bool(torch.isclose(world.causal[0, 1], scm.mechanisms.weights[0, 1]))
        True
    """

    def __init__(
        self,
        mechanisms: Mechanisms,
        adjacency: ArrayLike,
        names: Sequence[str] | None = None,
        decoder: Map | None = None,
        encoder: Map | None = None,
        *,
        observation_sd: float | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        size = len(np.asarray(adjacency))
        super().__init__([f"z{i}" for i in range(1, size + 1)] if names is None else names, adjacency)
        self.mechanisms = mechanisms
        self._parents = [np.flatnonzero(column).tolist() for column in self.adjacency.T]
        self._decoder, self._encoder = decoder, encoder
        self._observation_sd = observation_sd
        self._zero = torch.zeros((), dtype=dtype)

    @property
    def zero(self) -> Tensor:
        """See the base class."""
        return self._zero

    def location_scale(self, variable: int, noise: Sequence[Tensor], causal: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """See the base class."""
        shape = torch.broadcast_shapes(*(part.shape for part in causal))
        parents = [causal[parent].expand(shape) for parent in self._parents[variable]]
        values = torch.stack(parents, dim=-1) if parents else self._zero.expand(*shape, 0)
        location, scale = self.mechanisms.location_scale(variable, values)
        return location, scale

    def decode(self, world: World) -> Tensor:
        """See the base class."""
        return world.causal if self._decoder is None else self._decoder(world.causal)

    def posterior(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        """See the base class; a known decoder's inverse leaves no uncertainty."""
        values = torch.as_tensor(np.asarray(x)).to(self._zero)
        if self._encoder is not None:
            values = self._encoder(values)
        elif self._decoder is not None:
            raise ValueError("x: given to a structure without an encoder, expected one that inverts the decoder")
        if values.dim() != 2 or values.shape[1] != self.dim:
            raise ValueError(f"x: got causal variables of shape {tuple(values.shape)}, expected (N, {self.dim})")
        noise = self.invert(values)
        return noise, torch.zeros_like(noise)

    def observation(self, world: World, x: Tensor) -> tuple[Distribution, Tensor]:
        """See the base class."""
        if self._observation_sd is None:
            raise ValueError("x: cannot be scored without noise on it, expected a structure with observation_sd")
        mean = self.decode(world)
        return Normal(mean, self._observation_sd).to_event(mean.dim() - world.causal.dim() + 1), x
