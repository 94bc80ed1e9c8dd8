"""The structural model of a fitted latent causal model: its solution functions read as mechanisms.

A solution function z_i = (e_i - shift_i(e)) / scale_i(e) that is masked to the predecessors of i in a causal order is a
mechanism in disguise: the predecessors' noise encodings are functions of their causal variables, so that
the mechanism's location is -shift_i / scale_i and its scale 1 / scale_i, with the solution function's spline, if it has
one, behind.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from pyro_lcm.causal.abilities import mechanisms_of, solution_of
from pyro_lcm.causal.dag import is_dag
from pyro_lcm.data.pixels import unit_range
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.reasoning.structure import StructuralModel, World

_ROWS = 8192
"""Observations that are decoded at a time, which bounds memory."""


class Fitted(Protocol):
    """What holds a fitted model, as :class:`pyro_lcm.LatentCausalModel` does."""

    @property
    def fitted(self) -> FittedModel:
        """The parts of the fitted model."""


Source: TypeAlias = Fitted | StructuralModel
"""What one can reason with: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model."""


class FittedStructure(StructuralModel):
    """Mechanisms, decoder and abduction of a fitted model, frozen as they are now.

    Args:
        lcm: a fitted :class:`pyro_lcm.LatentCausalModel` whose model has solution functions, or an explicit
            graph with its mechanisms.

    Raises:
        ValueError: if its model has neither, or its solution functions follow no causal order and so have no inverse.
    """

    def __init__(self, lcm: Fitted) -> None:
        fitted = lcm.fitted
        solution = solution_of(fitted.model)
        if solution is None and mechanisms_of(fitted.model) is None:
            raise ValueError(
                f"lcm: got a {type(fitted.model).__name__}, expected a model with solution functions or mechanisms"
            )
        context = (fitted.model.adjacency if solution is None else solution.context).cpu().numpy() != 0
        if not is_dag(context):
            raise ValueError(
                "lcm: the solution functions follow no causal order, expected that each was masked to its"
                " predecessors (by a phase that starts with FindGraph, as in the default recipe)"
            )
        super().__init__(fitted.names, context)
        self._fitted = fitted
        self._model = _frozen(fitted.model)
        self._standardizer = _frozen(fitted.standardizer).to(fitted.device, fitted.dtype)
        self._explicit = solution is None
        self._solution: Any = None if solution is None else self._model.solution
        self._zero = torch.zeros((), dtype=fitted.dtype, device=fitted.device)

    @property
    def zero(self) -> Tensor:
        """See the base class."""
        return self._zero

    def location_scale(self, variable: int, noise: Sequence[Tensor], causal: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """See the base class."""
        if self._explicit:
            values = torch.stack(torch.broadcast_tensors(*causal), dim=-1)
            loc, scale = self._model.mechanisms.coefficients(values, self._model.adjacency)
            return loc[..., variable], scale[..., variable]
        parts = torch.broadcast_tensors(*noise, *causal)
        rows, values = (
            torch.stack([p.reshape(-1) for p in half], -1) for half in (parts[: self.dim], parts[self.dim :])
        )
        shift, scale = self._solution.given(variable, rows, values)
        return (-shift / scale).view(parts[0].shape), (1 / scale).view(parts[0].shape)

    def outer(self, variable: int) -> Transform | None:
        """See the base class."""
        solution = self._solution
        if self._explicit or not solution.bins:
            return None
        spline: Transform = solution.spline(torch.tensor(variable, device=self.zero.device))
        return spline

    def decode(self, world: World) -> Tensor:
        """See the base class."""
        rows = world.noise.reshape(-1, self.dim)
        double = self._standardizer.dtype == "float64"
        means = (self._model.x_dist(part).mean for part in rows.split(_ROWS))
        # In the number format of the data: an offset that is large against the spread leaves few digits of float32.
        parts = [self._standardizer.inverse(mean.double() if double else mean) for mean in means]
        return torch.cat(parts).view(*world.noise.shape[:-1], *parts[0].shape[1:])

    def posterior(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        """See the base class."""
        encoding = self._fitted.encode(x)
        return torch.as_tensor(encoding.noise).to(self.zero), torch.as_tensor(encoding.noise_sd).to(self.zero)

    def observations(self, x: ArrayLike) -> Tensor:
        """See the base class."""
        return torch.as_tensor(unit_range(self._fitted.observations(x, "x")))

    def observation(self, world: World, x: Tensor) -> tuple[Distribution, Tensor]:
        """See the base class."""
        return self._model.x_dist(world.noise), self._standardizer(x).to(self.zero)


def structural_model(source: Source) -> StructuralModel:
    """The structural model to reason with: of a fitted model, or the given one itself.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model that is known.

    Raises:
        ValueError: as :class:`FittedStructure`.
    """
    return source if isinstance(source, StructuralModel) else FittedStructure(source)


def _frozen(module: nn.Module) -> Any:
    """A copy without gradients, so that results neither carry a graph nor move with further training."""
    return copy.deepcopy(module).eval().requires_grad_(False)
