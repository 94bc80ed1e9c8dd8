"""A structural causal model that can be solved, inverted and decoded: what all causal reasoning here stands on.

Each causal variable has a mechanism that is invertible in its own noise encoding (Pearl, Causality, 2009, section 7.1;
Brehmer, de Haan, Lippe, Cohen, NeurIPS 2022, arXiv 2203.16437),

    z_i = h_i(location_i(z_pa(i)) + scale_i(z_pa(i)) e_i),     e_i ~ N(0, 1),     scale_i > 0,

with h_i monotone and the identity as a rule, so that noise encodings and causal variables determine each other, one
variable after the other in the causal order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pyro.distributions import Normal, TransformedDistribution
from torch import Tensor
from torch.distributions import Distribution, Transform

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.data.pixels import unit_range

Action = Callable[[Tensor], Tensor]
"""What an intervention makes of the value that a variable would have had, (...) -> (...)."""


class World(NamedTuple):
    """A state of the system.

    Attributes:
        noise: (..., d) noise encodings that have the causal variables as their solution; under an intervention those
            of the targets are not the noise that was drawn, but what gives them the values set.
        causal: (..., d) causal variables.
    """

    noise: Tensor
    causal: Tensor


class Mechanism(NamedTuple):
    """The mechanism of one variable, its parents given: z = h(location + scale e).

    Attributes:
        location: (...).
        scale: (...), positive.
        outer: the monotone map h of values (...), or None for the identity.
    """

    location: Tensor
    scale: Tensor
    outer: Transform | None = None

    def causal(self, noise: Tensor) -> Tensor:
        """Values (...) of the variable, of noise encodings (...)."""
        inner = self.location + self.scale * noise
        return inner if self.outer is None else self.outer(inner)

    def noise(self, causal: Tensor) -> Tensor:
        """Noise encodings (...) of values (...): the inverse."""
        inner = causal if self.outer is None else self.outer.inv(causal)
        return (inner - self.location) / self.scale

    def density(self) -> Distribution:
        """p(z | parents), batch shape (...): the change of variables from e ~ N(0, 1)."""
        inner = Normal(self.location, self.scale)
        return inner if self.outer is None else TransformedDistribution(inner, [self.outer])


class StructuralModel(ABC):
    """An SCM with mechanisms that are invertible in the noise, and a decoder.

    Args:
        names: of the d causal variables.
        adjacency: (d, d) ``[parent, child]``, acyclic: on whom each mechanism may depend.

    Raises:
        ValueError: if the graph has a cycle or the names do not fit it.
    """

    def __init__(self, names: Sequence[str], adjacency: ArrayLike) -> None:
        self.adjacency: NDArray[np.int8] = np.asarray(adjacency, dtype=np.int8)
        self.order: list[int] = topological_order(self.adjacency).tolist()
        self.names = tuple(names)
        if len(self.names) != len(self.order) or len(set(self.names)) != len(self.order):
            raise ValueError(f"names: got {list(names)}, expected {len(self.order)} different ones")

    @property
    def dim(self) -> int:
        """Number of causal variables d."""
        return len(self.order)

    @property
    @abstractmethod
    def zero(self) -> Tensor:
        """A scalar 0 that has the dtype and the device of everything else."""

    @abstractmethod
    def location_scale(self, variable: int, noise: Sequence[Tensor], causal: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Location and scale of one mechanism, given the predecessors in the order.

        Args:
            variable: 0..d-1.
            noise: d noise encodings; those of variables that are not predecessors are placeholders.
            causal: d causal variables, likewise; all of shapes that broadcast with each other.

        Returns:
            Location and positive scale, of shapes that broadcast with the causal variables'.
        """

    def outer(self, variable: int) -> Transform | None:
        """The monotone map h_i of one variable, for values of any shape; None is the identity."""
        return None

    @abstractmethod
    def decode(self, world: World) -> Tensor:
        """Observations (..., *shape of x), without noise, in the units of the data."""

    @abstractmethod
    def posterior(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        """Abduction: mean and standard deviation, (N, d) each, of the noise encodings given (N, ...) observations."""

    def observations(self, x: ArrayLike) -> Tensor:
        """(N, ...) observations as a tensor in the units of the data, images with channels first, from 0 to 1."""
        return torch.as_tensor(unit_range(x))

    @abstractmethod
    def observation(self, world: World, x: Tensor) -> tuple[Distribution, Tensor]:
        """What scores observations: p(x | world) and (N, ...) x in the units of that distribution."""

    def solve(self, noise: Tensor, actions: Mapping[int, Action] | None = None) -> World:
        """Run the mechanisms in causal order, under an intervention if there is one.

        Args:
            noise: (..., d) noise encodings.
            actions: by variable 0..d-1, what to make of its natural value, that is the value its mechanism gives it
                in this world, after the interventions upstream.

        Returns:
            The world.
        """
        actions = {} if actions is None else actions
        encodings = list(noise.unbind(-1))
        causal = [torch.zeros_like(part) for part in encodings]
        for variable in self.order:
            mechanism = self.given(variable, encodings, causal)
            causal[variable] = mechanism.causal(encodings[variable])
            if variable in actions:
                causal[variable] = actions[variable](causal[variable])
                encodings[variable] = mechanism.noise(causal[variable])
        return World(stack(encodings), stack(causal))

    def solve_along(self, noise: Tensor, actions: Mapping[int, Action], adjacency: NDArray[np.integer]) -> World:
        """As :meth:`solve`, but let effects travel along the edges of a graph only.

        A mechanism sees the new value of a variable that is its parent in the graph, and the old value of any other
        (the edges that are left out are cut as in a path-specific effect; Pearl, UAI 2001).

        Args:
            noise: (..., d) noise encodings.
            actions: as in :meth:`solve`.
            adjacency: (d, d) ``[parent, child]``. Edges against the model's own order carry nothing.

        Returns:
            The world.
        """
        natural = self.solve(noise)
        old, new = list(natural.causal.unbind(-1)), list(natural.causal.unbind(-1))
        changed: set[int] = set()
        for variable in self.order:
            seen = [new[j] if adjacency[j, variable] else old[j] for j in range(self.dim)]
            if changed.intersection(np.flatnonzero(adjacency[:, variable]).tolist()):
                new[variable] = self.mechanism(variable, stack(seen)).causal(noise[..., variable])
                changed.add(variable)
            if variable in actions:
                new[variable] = actions[variable](new[variable])
                changed.add(variable)
        causal = stack(new)
        return World(self.invert(causal), causal)

    def mechanism(self, variable: int, causal: Tensor) -> Mechanism:
        """The mechanism f_i(e_i, z_pa(i)) of one variable, given causal variables alone.

        Args:
            variable: i in 0..d-1.
            causal: (..., d) causal variables, of which those of predecessors matter.

        Returns:
            The mechanism, given these.
        """
        parts = list(causal.unbind(-1))
        return self.given(variable, self._encodings(parts, variable), parts)

    def given(self, variable: int, noise: Sequence[Tensor], causal: Sequence[Tensor]) -> Mechanism:
        """The mechanism of one variable, given what precedes it; arguments as of :meth:`location_scale`."""
        location, scale = self.location_scale(variable, noise, causal)
        shape = torch.broadcast_shapes(*(part.shape for part in (*noise, *causal, location, scale)))
        return Mechanism(location.expand(shape), scale.expand(shape), self.outer(variable))

    def invert(self, causal: Tensor) -> Tensor:
        """Noise encodings (..., d) of causal variables (..., d)."""
        return stack(self._encodings(list(causal.unbind(-1)), None))

    def _encodings(self, causal: list[Tensor], before: int | None) -> list[Tensor]:
        """Invert the mechanisms, in order, of all variables before one of them, or of all."""
        encodings = [torch.zeros_like(part) for part in causal]
        for variable in self.order:
            if variable == before:
                break
            encodings[variable] = self.given(variable, encodings, causal).noise(causal[variable])
        return encodings


def stack(parts: Sequence[Tensor]) -> Tensor:
    """Join d tensors of shapes that broadcast with each other along a new last axis."""
    return torch.stack(torch.broadcast_tensors(*parts), dim=-1)
