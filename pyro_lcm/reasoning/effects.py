"""Causal effects on variables and on x, with their uncertainty, in an ArviZ container.

The effect of a cause i between two values is a contrast of two interventions with the same noise,

    individual:  y(e; do(z_i = high)) - y(e; do(z_i = low)),        average: its mean over the population of e,

for y any causal variable or x (Pearl, Causality, 2009, section 7.1; Imbens and Rubin, 2015, chapter 1).

Of a fitted model draws are intervals only if they hold all of its parameters, as they do where all is linear
(``Uncertainty(pairs=...)``); elsewhere only means are shown. The container's group ``constant_data`` says how much each
origin of the spread has in it: standard deviations over draws in which it alone varies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.discovery.arviz_compat import Container, group, group_names, make_container
from pyro_lcm.reasoning.chains import Draw, Uncertainty, are_intervals, draw_chains, set_to, varied
from pyro_lcm.reasoning.fitted import Source, structural_model
from pyro_lcm.reasoning.structure import StructuralModel

if TYPE_CHECKING:
    import pandas as pd

_OF_ONE_ORIGIN = 50
"""Draws, at most, in which one origin of uncertainty varies."""


def average_effects(
    source: Source,
    *,
    x: ArrayLike | None = None,
    low: float = 0.0,
    high: float = 1.0,
    causes: Sequence[str] | None = None,
    on_x: bool = True,
    uncertainty: Uncertainty | None = None,
) -> Container:
    """Average effect of raising each cause from ``low`` to ``high``.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations to average over; None for the model's own population.
        low: of the two values, in the units of the causal variables as encoded.
        high: the other.
        causes: names; all variables by default.
        on_x: whether effects on x are wanted too.
        uncertainty: what to draw; see :class:`~pyro_lcm.reasoning.chains.Uncertainty`.

    Returns:
        ArviZ container: ``effect`` (chain, draw, cause, outcome) and ``effect_x`` (chain, draw, cause, feature), where
        x is flattened; the two values are attributes. ``constant_data`` has their standard deviations ``effect_sd``
        and ``effect_x_sd`` by ``origin``: graph, parameters and sampling, as far as they are drawn. The attribute
        ``intervals`` is 1 where the spread of the draws is an interval, 0 where parameters are missing in it.

    Raises:
        ValueError: if a name is not a variable's, a value is not finite, or observations are needed.

    Example:
        >>> from pyro_lcm.data import ScalingSystem
        >>> from pyro_lcm.reasoning import KnownStructure
        >>> program = ScalingSystem(dim=2, seed=0, edge_probability=1.0).program
        >>> scm = KnownStructure(program.mechanisms, program.adjacency)
        >>> found = average_effects(scm).posterior["effect"].sel(cause="z1", outcome="z2")
        >>> bool(abs(found - float(program.mechanisms.weights[0, 1])).max() < 1e-9)
        True
    """
    scm = structural_model(source)
    chosen = scm.names if causes is None else tuple(causes)
    variables = [_variable(scm, name) for name in chosen]
    _check_finite(low=low, high=high)

    def of_draw(draw: Draw) -> tuple[Tensor, Tensor | None]:
        contrasts = [_contrast(draw, variable, low, high, on_x) for variable in variables]
        causal = torch.stack([draw.mean(contrast[0]) for contrast in contrasts])
        moved = [draw.mean(contrast[1]) for contrast in contrasts if contrast[1] is not None]
        return causal, torch.stack(moved) if on_x else None

    found = _collect(source, x, uncertainty, of_draw)
    coordinates = {"cause": list(chosen), "outcome": list(scm.names)}
    return _container("effect", found, ("cause",), coordinates, {"low": low, "high": high})


def effects_frame(container: Container) -> pd.DataFrame:
    """Effects as a table: mean and spread over the draws.

    Args:
        container: what :func:`average_effects`, :func:`individual_effects` or :func:`dose_response` gave.

    Returns:
        A row for each effect on a causal variable: its coordinates (``cause``, ``row`` or ``dose``, and ``outcome``),
        ``mean``, and where the spread of the draws is an interval ``sd``, the 5 % and 95 % quantiles ``low`` and
        ``high``, and the standard deviations ``sd_graph``, ``sd_parameters`` and ``sd_sampling`` that each of these
        makes alone, as far as they were drawn. Effects of variables on themselves are left out.

    Example:
        >>> from pyro_lcm.data import ScalingSystem
        >>> from pyro_lcm.reasoning import KnownStructure
        >>> program = ScalingSystem(dim=2, seed=0, edge_probability=1.0).program
        >>> frame = effects_frame(average_effects(KnownStructure(program.mechanisms, program.adjacency)))
        >>> frame.columns.tolist(), frame["outcome"].tolist()
        (['cause', 'outcome', 'mean', 'sd', 'low', 'high', 'sd_sampling'], ['z2', 'z1'])
    """
    posterior = group(container, "posterior")
    name = "effect" if "effect" in posterior else "response"
    values = posterior[name]
    over = ("chain", "draw")
    columns = {"mean": values.mean(over)}
    if container.attrs.get("intervals"):
        low, high = (values.quantile(q, over).drop_vars("quantile") for q in (0.05, 0.95))
        columns |= {"sd": values.std(over), "low": low, "high": high}
        if "constant_data" in group_names(container):
            shares = group(container, "constant_data")[f"{name}_sd"]
            columns |= {f"sd_{origin}": shares.sel(origin=origin, drop=True) for origin in shares["origin"].values}
    found = xr.Dataset(columns)
    frame = found.to_dataframe().reset_index()
    return frame[frame["cause"] != frame["outcome"]].reset_index(drop=True) if "cause" in frame else frame


def individual_effects(
    source: Source,
    x: ArrayLike,
    cause: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
    on_x: bool = True,
    uncertainty: Uncertainty | None = None,
) -> Container:
    """Effect of one cause on each of the given observations.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        x: (N, ...) observations.
        cause: name of a variable.
        low: see :func:`average_effects`, as for all that follow.
        high: the other value.
        on_x: whether effects on x are wanted too.
        uncertainty: what to draw.

    Returns:
        ArviZ container: ``effect`` (chain, draw, row, outcome) and ``effect_x`` (chain, draw, row, feature).

    Raises:
        ValueError: as :func:`average_effects`.
    """
    scm = structural_model(source)
    variable = _variable(scm, cause)
    _check_finite(low=low, high=high)
    found = _collect(source, x, uncertainty, lambda draw: _contrast(draw, variable, low, high, on_x))
    attrs: dict[str, float | str] = {"cause": cause, "low": low, "high": high}
    coordinates = {"row": np.arange(found.draws[0].shape[2]), "outcome": list(scm.names)}
    return _container("effect", found, ("row",), coordinates, attrs)


def dose_response(
    source: Source,
    cause: str,
    doses: ArrayLike,
    *,
    x: ArrayLike | None = None,
    on_x: bool = True,
    uncertainty: Uncertainty | None = None,
) -> Container:
    """Mean of every variable, and of x, as a function of the value that one cause is set to.

    Args:
        source: a fitted :class:`pyro_lcm.LatentCausalModel`, or a structural model.
        cause: name of a variable.
        doses: (K,) values to set it to.
        x: see :func:`average_effects`, as for all that follow.
        on_x: whether the response of x is wanted too.
        uncertainty: what to draw.

    Returns:
        ArviZ container: ``response`` (chain, draw, dose, outcome) and ``response_x`` (chain, draw, dose, feature).

    Raises:
        ValueError: as :func:`average_effects`, or if doses are not (K,) numbers.
    """
    scm = structural_model(source)
    variable = _variable(scm, cause)
    levels = np.asarray(doses, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not np.isfinite(levels).all():
        raise ValueError(f"doses: got shape {levels.shape}, expected (K,) finite numbers")

    def of_draw(draw: Draw) -> tuple[Tensor, Tensor | None]:
        if not on_x:
            return torch.stack([draw.mean(draw.causal(set_to(variable, float(level)))) for level in levels]), None
        worlds = [draw.respond(set_to(variable, float(level))) for level in levels]
        causal = torch.stack([draw.mean(world.causal) for world in worlds])
        return causal, torch.stack([draw.mean(world.x.flatten(1)) for world in worlds])

    found = _collect(source, x, uncertainty, of_draw)
    coordinates = {"dose": levels, "outcome": list(scm.names)}
    return _container("response", found, ("dose",), coordinates, {"cause": cause})


def _contrast(draw: Draw, variable: int, low: float, high: float, on_x: bool) -> tuple[Tensor, Tensor | None]:
    """Difference of the worlds of two values: causal variables (N, d), x (N, features)."""
    if not on_x:
        return draw.causal(set_to(variable, high)) - draw.causal(set_to(variable, low)), None
    raised, lowered = (draw.respond(set_to(variable, value)) for value in (high, low))
    return raised.causal - lowered.causal, (raised.x - lowered.x).flatten(1)


@dataclass(frozen=True, eq=False)
class _Found:
    """Arrays of causal variables and, if asked for, of x.

    Attributes:
        draws: (chain, draw, ...).
        shares: for each origin that varies, standard deviations (...) over draws in which it alone does.
        intervals: whether the spread of the draws is an interval.
    """

    draws: list[NDArray[Any]]
    shares: dict[str, list[NDArray[Any]]]
    intervals: bool


def _collect(
    source: Source,
    x: ArrayLike | None,
    uncertainty: Uncertainty | None,
    of_draw: Callable[[Draw], tuple[Tensor, Tensor | None]],
) -> _Found:
    """Evaluate every draw of every chain, and of the first chain those in which one origin varies."""
    options = Uncertainty() if uncertainty is None else uncertainty

    def evaluate(chain: Sequence[Draw]) -> list[NDArray[Any]]:
        results = [of_draw(draw) for draw in chain]
        kinds = 1 if results[0][1] is None else 2
        return [np.stack([np.asarray(result[kind].cpu()) for result in results]) for kind in range(kinds)]  # type: ignore[union-attr]

    with torch.no_grad():
        chains = [evaluate(chain) for chain in draw_chains(source, x, options)]
        intervals, origins = are_intervals(source, options), varied(source, options)
        shares: dict[str, list[NDArray[Any]]] = {}
        if intervals and len(origins) == 1:
            shares = {origins[0]: [part.std(0) for part in chains[0]]}
        elif intervals:
            alone = replace(options, fits=(), draws=min(options.draws, _OF_ONE_ORIGIN))
            for origin in origins:
                chain = next(draw_chains(source, x, alone, origins=(origin,)))
                shares[origin] = [part.std(0) for part in evaluate(chain)]
    return _Found([np.stack(parts) for parts in zip(*chains, strict=True)], shares, intervals)


def _container(
    name: str, found: _Found, dims: tuple[str, ...], coordinates: dict[str, Any], attrs: dict[str, Any]
) -> Container:
    kinds = [(name, "outcome"), (f"{name}_x", "feature")][: len(found.draws)]
    coordinates = dict(coordinates)
    if len(kinds) > 1:
        coordinates["feature"] = np.arange(found.draws[1].shape[-1])
    chains = {key: np.arange(size) for key, size in zip(("chain", "draw"), found.draws[0].shape[:2], strict=True)}
    draws = {key: (("chain", "draw", *dims, last), part) for (key, last), part in zip(kinds, found.draws, strict=True)}
    groups = {"posterior": xr.Dataset(draws, coords=chains | coordinates)}
    if found.shares:
        origins = list(found.shares)
        shares = {
            f"{key}_sd": (("origin", *dims, last), np.stack([found.shares[origin][kind] for origin in origins]))
            for kind, (key, last) in enumerate(kinds)
        }
        groups["constant_data"] = xr.Dataset(shares, coords=coordinates | {"origin": origins})
    return make_container(groups, {"inference_library": "pyro_lcm", "intervals": int(found.intervals), **attrs})


def _variable(scm: StructuralModel, name: str) -> int:
    if name not in scm.names:
        raise ValueError(f"cause: got {name!r}, expected one of {', '.join(scm.names)}")
    return scm.names.index(name)


def _check_finite(**numbers: float) -> None:
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise ValueError(f"{name}: got {number}, expected a finite number")
