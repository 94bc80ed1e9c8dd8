"""Planning: the intervention, from an allowed set, that brings observations closest to a goal.

The model is searched, not the world: every allowed intervention is tried on each observation's own counterfactual.
Choices are enumerated; values from a range are enumerated on a grid, which then zooms in on the best one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.data.pixels import like_images, unit_range
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.reasoning.chains import Uncertainty, are_intervals, draw_chains
from pyro_lcm.reasoning.fitted import Source, structural_model
from pyro_lcm.reasoning.structure import Action, StructuralModel

if TYPE_CHECKING:
    import pandas as pd

_MAX_CANDIDATES = 20_000
"""Interventions tried on one observation with one set of targets."""
_BATCH = 100_000
"""Counterfactuals computed at a time, which bounds memory."""
_FEATURES = 64
"""Features of x from twice which on, as images have, fewer are computed at a time."""


@dataclass(frozen=True)
class Range:
    """Values between two bounds.

    Args:
        low: the lower bound.
        high: the upper bound, above it.

    Raises:
        ValueError: if they are not finite and in order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low, high: got {self.low}, {self.high}, expected finite numbers in order")


Goal: TypeAlias = ArrayLike | Callable[[Tensor], Tensor]
"""What x should be, (N, ...) or one for all, or a loss: maps (M, ...) observations to (M,)."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The best intervention for each of N observations.

    Attributes:
        names: of the causal variables.
        values: (N, d) what to set each variable to; not a number where it is left alone.
        loss: (N,) distance from the goal that is expected.
        x: (N, ...) observations that are expected.
        losses: for each set of targets, by their names, (N,) the least loss it can reach.
        drawn: (draws, N) losses of this intervention under all that is not known, if it was drawn; None otherwise.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    loss: NDArray[np.float64]
    x: NDArray[Any]
    losses: dict[tuple[str, ...], NDArray[np.float64]]
    drawn: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        return f"Plan(n={len(self.loss)}, variables={list(self.names)}, mean loss {self.loss.mean():.3g})"

    def _repr_html_(self) -> str:
        return shown_in_notebook(f"Plans for {len(self.loss)} observations", self.to_dataframe())

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each observation: what each variable is set to, nan where it is left alone, and ``loss``.

        Where it was drawn, its 5 % and 95 % quantiles too, ``loss_low`` and ``loss_high``.
        """
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.names)).assign(loss=self.loss)
        if self.drawn is None:
            return frame
        low, high = np.quantile(self.drawn, (0.05, 0.95), axis=0)
        return frame.assign(loss_low=low, loss_high=high)

    def success(self, within: float) -> NDArray[np.float64]:
        """Probability (N,) that the loss comes out within a number.

        Raises:
            ValueError: if the plan was made without ``uncertainty``.
        """
        if self.drawn is None:
            raise ValueError("within: asked of a plan without draws, expected one made with uncertainty=...")
        return np.asarray((self.drawn <= within).mean(0))

    def intervention(self, row: int) -> dict[str, float]:
        """The intervention for one observation, as :func:`pyro_lcm.reasoning.intervene` takes it."""
        row_values = zip(self.names, self.values[row].tolist(), strict=True)
        return {name: value for name, value in row_values if not math.isnan(value)}


def plan(
    source: Source,
    x: ArrayLike,
    goal: Goal,
    allowed: Mapping[str, Range | Sequence[float]],
    *,
    at_most: int = 1,
    points: int = 33,
    zooms: int = 3,
    uncertainty: Uncertainty | None = None,
) -> Plan:
    """Search for the intervention that brings each observation closest to the goal.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations.
        goal: what x should become, or a loss on x; the loss of a given goal is the mean squared distance to it.
        allowed: for each variable that may be set, by name, a :class:`Range` or the values to choose from.
        at_most: how many variables may be set at once; doing nothing is always a choice.
        points: grid points of a range.
        zooms: how often the grid is laid anew around the best point.
        uncertainty: what to draw for the probability that it succeeds (:meth:`Plan.success`): of a linear fit with
            ``pairs``; of others it would be far too sure of itself.

    Returns:
        The plan.

    Raises:
        ValueError: if names, goal or numbers do not fit, or draws do not hold all that is unknown.

    Example:
        >>> from pyro_lcm.data import ScalingSystem
        >>> from pyro_lcm.reasoning import KnownStructure, intervene
        >>> program = ScalingSystem(dim=2, seed=0, edge_probability=1.0).program
        >>> scm = KnownStructure(program.mechanisms, program.adjacency)
        >>> goal = intervene(scm, {"z1": 0.7}, x=[[0.0, 1.0]]).x
        >>> found = plan(scm, [[0.0, 1.0]], goal, {"z1": Range(-2, 2), "z2": Range(-2, 2)})
        >>> {name: round(value, 3) for name, value in found.intervention(0).items()}
        {'z1': 0.7}
    """
    scm = structural_model(source)
    choices = {_variable(scm, name): _checked(name, options) for name, options in allowed.items()}
    if not 1 <= at_most <= max(1, len(choices)):
        raise ValueError(f"at_most: got {at_most}, expected 1 to {len(choices)}, the number allowed")
    if uncertainty is not None and not are_intervals(source, uncertainty):
        raise ValueError(
            "uncertainty: got draws that do not hold all that is unknown, expected Uncertainty(pairs=...) of a fit in"
            " which all is linear"
        )
    if points < 3 or zooms < 0:
        raise ValueError(f"points, zooms: got {points}, {zooms}, expected at least 3 and 0")
    with torch.no_grad():
        noise = scm.posterior(x)[0]
        features = scm.decode(scm.solve(noise[:1])).numel()
        loss = _loss(goal, scm, noise)
        search = _Search(scm, noise, loss, points, zooms, max(1, features // _FEATURES))
        found = {
            targets: search.best({i: choices[i] for i in targets})
            for size in range(at_most + 1)
            for targets in itertools.combinations(choices, size)
        }
        losses = torch.stack([loss for loss, _ in found.values()])
        winner = losses.argmin(0)
        values = torch.stack([value for _, value in found.values()])[winner, torch.arange(len(noise))]
        expected = scm.decode(scm.solve(noise, _actions(values.T)))
        drawn = None if uncertainty is None else _drawn(source, x, _actions(values.T), loss, uncertainty)
    by_names = {tuple(scm.names[i] for i in targets): least.numpy() for targets, (least, _) in found.items()}
    return Plan(scm.names, values.numpy(), losses.min(0).values.numpy(), expected.cpu().numpy(), by_names, drawn)


@dataclass(frozen=True, eq=False)
class _Search:
    scm: StructuralModel
    noise: Tensor
    loss: Callable[[Tensor, slice], Tensor]
    points: int
    zooms: int
    weight: int

    def best(self, choices: Mapping[int, Range | Tensor]) -> tuple[Tensor, Tensor]:
        """Least loss (N,) and values (N, d) over the interventions on exactly these targets."""
        grids = {i: self._grid(option) for i, option in choices.items()}
        number = math.prod(len(grid) for grid in grids.values())
        if number > _MAX_CANDIDATES:
            raise ValueError(
                f"points: got {number} candidates for {len(grids)} targets at once, expected at most"
                f" {_MAX_CANDIDATES}; take fewer points, values or targets"
            )
        loss, values = self._try(grids)
        ranges = {i: option for i, option in choices.items() if isinstance(option, Range)}
        width = 1.0
        for _ in range(self.zooms if ranges else 0):
            width *= 2 / (self.points - 1)
            for i, option in ranges.items():
                half = width * (option.high - option.low) / 2
                offsets = torch.linspace(-half, half, self.points).to(values).unsqueeze(-1)
                grids[i] = (values[:, i] + offsets).clamp(option.low, option.high)
            for i in choices.keys() - ranges.keys():
                grids[i] = values[:, i].unsqueeze(0)
            nearer, at = self._try(grids)
            values = torch.where((nearer < loss).unsqueeze(-1), at, values)
            loss = torch.minimum(nearer, loss)
        return loss, values

    def _grid(self, option: Range | Tensor) -> Tensor:
        """(K, N) values to try."""
        levels = torch.linspace(option.low, option.high, self.points) if isinstance(option, Range) else option
        return levels.to(self.noise).unsqueeze(-1).expand(-1, len(self.noise))

    def _try(self, grids: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """The best of all combinations of the grids' values, for each observation."""
        index = torch.cartesian_prod(*(torch.arange(len(grid)) for grid in grids.values())) if grids else None
        index = index.view(-1, len(grids)) if index is not None else torch.zeros(1, 0, dtype=torch.long)
        values = torch.full((len(index), *self.noise.shape), math.nan, dtype=torch.float64)
        for column, (i, grid) in enumerate(grids.items()):
            values[:, :, i] = grid[index[:, column]].double().cpu()
        rows = max(1, _BATCH // (len(index) * self.weight))
        losses = []
        for start in range(0, len(self.noise), rows):
            part = slice(start, start + rows)
            chosen = values[:, part]
            noise = self.noise[part].expand(chosen.shape)
            actions = {i: _set_to(chosen[..., i]) for i in grids}
            x = self.scm.decode(self.scm.solve(noise, actions))
            losses.append(self.loss(x, part).double().cpu())
        loss = torch.cat(losses, dim=1)
        least, at = loss.min(0)
        return least, values[at, torch.arange(len(self.noise))]


def _drawn(
    source: Source,
    x: ArrayLike,
    actions: Mapping[int, Action],
    loss: Callable[[Tensor, slice], Tensor],
    options: Uncertainty,
) -> NDArray[np.float64]:
    """(draws, N) losses of the observations' own counterfactuals."""
    given = structural_model(source).observations(x)
    losses = []
    for chain in draw_chains(source, x, options):
        for draw in chain:
            before, after = draw.respond({}), draw.respond(actions)
            kept = after.x + (given.to(before.x) - before.x)
            losses.append(loss(kept.unsqueeze(0), slice(0, len(kept)))[0].double().cpu())
    return np.asarray(torch.stack(losses))


def _actions(values: Tensor) -> dict[int, Callable[[Tensor], Tensor]]:
    """Actions of (d, N) values that leave alone what is not a number."""

    def replace(value: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda natural: torch.where(value.isnan().to(natural.device), natural, value.to(natural))

    return {i: replace(value) for i, value in enumerate(values)}


def _set_to(value: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda natural: value.to(natural)


def _loss(goal: Goal, scm: StructuralModel, noise: Tensor) -> Callable[[Tensor, slice], Tensor]:
    """A loss of x (K, rows, ...) of the observations in a slice: (K, rows)."""
    shape = scm.decode(scm.solve(noise[:1])).shape[1:]
    if callable(goal):
        function = goal

        def of_function(x: Tensor, _: slice) -> Tensor:
            loss = function(x.reshape(-1, *shape))
            if loss.shape != (x.shape[0] * x.shape[1],):
                raise ValueError(f"goal: returned shape {tuple(loss.shape)}, expected ({x.shape[0] * x.shape[1]},)")
            return loss.view(x.shape[:2])

        return of_function
    whole = np.asarray(goal)
    single = whole.ndim == len(shape)
    target = torch.as_tensor(unit_range(like_images(whole[None] if single else whole, tuple(shape), "goal"))).to(noise)
    target = target[0] if single else target
    if tuple(target.shape) not in (tuple(shape), (len(noise), *shape)):
        raise ValueError(f"goal: got shape {tuple(target.shape)}, expected {(len(noise), *shape)} or {tuple(shape)}")
    target = target.expand(len(noise), *shape)
    return lambda x, part: (x - target[part]).square().flatten(2).mean(-1)


def _checked(name: str, options: Range | Sequence[float]) -> Range | Tensor:
    if isinstance(options, Range):
        return options
    values = np.asarray(options, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"allowed[{name!r}]: got shape {values.shape}, expected a Range or finite numbers")
    return torch.as_tensor(values)


def _variable(scm: StructuralModel, name: str) -> int:
    if name not in scm.names:
        raise ValueError(f"allowed: got {name!r}, expected some of {', '.join(scm.names)}")
    return scm.names.index(name)
