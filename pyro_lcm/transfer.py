"""When the world changes: which mechanism or sensor of a fitted model no longer fits new pairs, and that one anew.

Mechanisms are modules: if one changes, the others, and the map from variables to observations, stay as they are
(Schoelkopf et al., Proceedings of the IEEE 2021, arXiv 2102.11107, the sparse mechanism shift). In the noise encodings
of the old model a mechanism that holds gives e_i ~ N(0, 1), whatever its causes are; one that has changed gives e_i
another mean, another variance, or a dependence on what comes before i in the causal order. Variables downstream see
other causes, but by the same mechanism, and keep their law. So each mechanism has a test of its own
(:mod:`pyro_lcm.identify.changed_parts`), and where one fails that one alone is learned anew.

A sensor that reads otherwise gives codes that are no variables of this system. Observations then are not what the model
decodes from their codes; or, if they are as wide as there are variables, three and more noise encodings move within a
pair, of which an intervention moves one and a changed mechanism another.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.causal.dag import topological_order
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.identify.changed_parts import changed_regression, larger_than, permutations_for, relearned_effects

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

__all__ = ["Changes", "adapted", "what_changed"]

ERROR_RATE = 0.01
"""Of saying that anything has changed where nothing has."""
_REFERENCE = 2000
"""Pairs of either world that are compared at most, and how many are drawn from the model."""
_ROUNDS = 3
"""Of putting in for a sensor what the others say of it, each with a step of extrapolation, which is exact for lines."""
_FLOOR = 1e-4
"""Squared residual, in variances of a feature, that counts as none."""
_LEAK = 0.1**2
"""Squared move of a noise encoding, in parts of the largest, that counts as none."""


@dataclass(frozen=True, repr=False)
class Changes:
    """What the tests say of each part of a model.

    Attributes:
        names: of the causal variables.
        p_values: (d,) of their mechanisms.
        p_observation: of the map from variables to observations.
        error_rate: of saying that anything has changed where nothing has.
        sensor: the feature of x that no longer fits the others, counted from 0; None if none is to blame alone.
    """

    names: tuple[str, ...]
    p_values: Array
    p_observation: float
    error_rate: float
    sensor: int | None = None

    @property
    def threshold(self) -> float:
        """The p-value from which on downwards a part has changed: the error rate over the number of parts."""
        return self.error_rate / (len(self.names) + 1)

    @property
    def observation(self) -> bool:
        """Whether the map to observations has changed; mechanisms then are told from wrong codes."""
        return self.p_observation <= self.threshold

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Names of the variables whose mechanisms have changed; empty where observations have."""
        if self.observation:
            return ()
        return tuple(name for name, p in zip(self.names, self.p_values, strict=True) if p <= self.threshold)

    @property
    def any(self) -> bool:
        """Whether anything has changed."""
        return self.observation or bool(self.mechanisms)

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each part: ``p_value`` and ``changed``."""
        import pandas as pd

        changed = [*(name in self.mechanisms for name in self.names), self.observation]
        index = [*(f"mechanism of {name}" for name in self.names), "observation"]
        return pd.DataFrame({"p_value": [*self.p_values, self.p_observation], "changed": changed}, index=index)

    def __repr__(self) -> str:
        if self.observation:
            return f"Changes(observation, sensor={self.sensor})"
        return f"Changes(mechanisms={list(self.mechanisms)})"

    def _repr_html_(self) -> str:
        return shown_in_notebook("What has changed", self.to_dataframe())


def what_changed(
    fitted: FittedModel,
    pairs: InterventionPairs,
    *,
    reference: InterventionPairs | None = None,
    error_rate: float = ERROR_RATE,
    seed: int = 0,
) -> Changes:
    """Test each mechanism, and the map to observations, on new pairs.

    Args:
        fitted: with a causal graph, of pairs of vectors.
        pairs: of the world now, of which the first 2,000 are used.
        reference: of the world before, held-out ones say, of which as many are; None for pairs drawn from
            the model. With some the error rate holds however well the model fits.
        error_rate: of saying that anything has changed where nothing has.
        seed: of the permutations.

    Raises:
        ValueError: if the model has no graph that is acyclic, observations are no vectors, there are too few pairs, or
            the error rate is not in (0, 1).
    """
    if not 0 < error_rate < 1:
        raise ValueError(f"error_rate: got {error_rate}, expected a number in (0, 1)")
    _check(fitted, pairs)
    order = _order(fitted)
    if len(pairs) <= fitted.dim_z + 2:
        raise ValueError(f"pairs: got {len(pairs)}, expected more than {fitted.dim_z + 2}")
    pairs = pairs[:_REFERENCE]
    before = fitted.sample(_REFERENCE, seed=seed) if reference is None else reference[:_REFERENCE]
    how = {"permutations": permutations_for(fitted.dim_z + 1, error_rate), "seed": seed}
    p_observation, sensor = _observation(fitted, pairs, before, error_rate / (fitted.dim_z + 1), how)
    now, old = fitted.encode(pairs.x), fitted.encode(before.x)
    p_values = np.ones(fitted.dim_z)
    for place, variable in enumerate(order):
        causes = order[:place]
        p_values[variable] = changed_regression(
            now.noise[:, variable].astype(np.float64),
            now.causal[:, causes].astype(np.float64),
            old.noise[:, variable].astype(np.float64),
            old.causal[:, causes].astype(np.float64),
            **how,
        )[1]
    return Changes(fitted.names, p_values, p_observation, error_rate, sensor)


def adapted(fitted: FittedModel, pairs: InterventionPairs, changes: Changes) -> FittedModel:
    """A copy of a model in which what has changed is learned anew, in closed form, and nothing else.

    A mechanism gets new weights of its parents, a new intercept and a new noise; a sensor a new gain and offset.

    Args:
        fitted: the model; for changed mechanisms it has to be linear.
        pairs: of the world now; a handful is enough if causes move in some of them.
        changes: what to learn anew.

    Raises:
        ValueError: if there is nothing to learn anew, or it cannot be.
    """
    _check(fitted, pairs)
    if changes.names != fitted.names:
        raise ValueError(f"changes: got those of {', '.join(changes.names)}, expected {', '.join(fitted.names)}")
    if not changes.any:
        raise ValueError("changes: got none, expected a mechanism or a sensor that has changed")
    if changes.observation:
        if changes.sensor is None:
            raise ValueError("changes: got observations that no single sensor is to blame for, expected one: fit anew")
        return _recalibrated(fitted, pairs, changes.sensor)
    if not fitted.linear or solution_of(fitted.model) is None:
        raise ValueError(f"model: got {fitted.name} that is not linear, expected a linear one; fine_tune takes others")
    objective = copy.deepcopy(fitted.objective)
    result = replace(fitted, objective=objective)
    order = _order(fitted)
    for variable in sorted((fitted.names.index(name) for name in changes.mechanisms), key=order.index):
        _relearn(result, pairs, variable)
    return result


def _check(fitted: FittedModel, pairs: InterventionPairs) -> None:
    if len(fitted.standardizer.shape) != 1 or not isinstance(fitted.standardizer, Standardizer):
        raise ValueError(f"model: got one of observations of shape {fitted.standardizer.shape}, expected vectors")
    if pairs.observation_shape != tuple(fitted.standardizer.shape):
        raise ValueError(
            f"pairs: got observations of shape {pairs.observation_shape}, expected {fitted.standardizer.shape}"
        )


def _order(fitted: FittedModel) -> list[int]:
    """Variables from causes to effects."""
    return [int(variable) for variable in topological_order(fitted.adjacency())]


# ------------------------------------------------------------------ observations


def _observation(
    fitted: FittedModel, pairs: InterventionPairs, before: InterventionPairs, threshold: float, how: dict[str, Any]
) -> tuple[float, int | None]:
    """p-value of the map to observations, and the sensor to blame if it has changed."""
    width = fitted.standardizer.shape[0]
    spread = np.asarray(before.x, dtype=np.float64).std(0)
    spread = np.where(spread > 0, spread, 1.0)
    now, old = (np.asarray(part.x, dtype=np.float64) for part in (pairs, before))
    if width > fitted.dim_z:
        p = larger_than(_misfit(fitted, now, spread), _misfit(fitted, old, spread), **how)
        return p, _sensor(fitted, now, old, spread, threshold, how) if p <= threshold else None
    if fitted.dim_z < 3:
        return 1.0, None
    return larger_than(*(_third_move(fitted, part) for part in (pairs, before)), **how), None


def _misfit(fitted: FittedModel, x: Array, spread: Array, without: int | None = None) -> Array:
    """Logarithm of the mean squared residual (N,) of what is decoded, over all features but one."""
    if without is None:
        squares = np.square((x - fitted.decode(fitted.encode(x).noise)) / spread)
    else:
        filled = _told_by_others(fitted, x, without)
        squares = np.square((filled - fitted.decode(fitted.encode(filled).noise)) / spread)
        squares = np.delete(squares, without, 1)
    result: Array = np.log(np.maximum(squares.mean(1), _FLOOR))
    return result


def _told_by_others(fitted: FittedModel, x: Array, sensor: int) -> Array:
    """Observations (N, D) in which a sensor reads what is decoded if it reads that: what the others say of it."""
    filled = x.copy()
    filled[:, sensor] = x[:, sensor].mean()

    def told(values: Array) -> Array:
        filled[:, sensor] = values
        result: Array = fitted.decode(fitted.encode(filled).noise)[:, sensor].astype(np.float64)
        return result

    values = filled[:, sensor].copy()
    for _ in range(_ROUNDS):
        first = told(values)
        second = told(first)
        bend = second - 2 * first + values
        far = np.abs(bend) > 1e-9 * (1 + np.abs(values))
        # Aitken's step, from three values of the sequence to its limit.
        values = np.where(far, values - np.square(first - values) / np.where(far, bend, 1.0), second)
    filled[:, sensor] = values
    return filled


def _sensor(
    fitted: FittedModel, now: Array, old: Array, spread: Array, threshold: float, how: dict[str, Any]
) -> int | None:
    """The feature without which the others fit as they did before; None if there is none, or too few features."""
    if len(spread) < fitted.dim_z + 2:
        return None
    misfits = [_misfit(fitted, now, spread, k) for k in range(len(spread))]
    best = int(np.argmin([misfit.mean() for misfit in misfits]))
    fits = larger_than(misfits[best], _misfit(fitted, old, spread, best), **how) > threshold
    return best if fits else None


def _third_move(fitted: FittedModel, pairs: InterventionPairs) -> Array:
    """Logarithm of the squared move (N,) of the noise encoding that moves third most within a pair.

    In parts of the largest move, of which an encoder that is not exact lets a little leak into the others.
    """
    before, after = (fitted.encode(side).noise.astype(np.float64) for side in sides(pairs))
    moves = np.sort(np.square(after - before), 1)
    result: Array = np.log(np.maximum(moves[:, -3] / (moves[:, -1] + _LEAK), _LEAK))
    return result


def _recalibrated(fitted: FittedModel, pairs: InterventionPairs, sensor: int) -> FittedModel:
    """A copy whose standardiser undoes the new gain and offset of one sensor."""
    x = np.concatenate([np.asarray(side, dtype=np.float64) for side in sides(pairs)])
    told, read = _told_by_others(fitted, x, sensor)[:, sensor], x[:, sensor]
    correlation = np.corrcoef(told, read)[0, 1] if told.std() > 0 < read.std() else 0.0
    if abs(correlation) < 0.5:
        raise ValueError(
            f"changes: got feature {sensor}, which says little of what the others do (correlation {correlation:.2f}),"
            " expected one with a new gain and offset: fit anew without it"
        )
    gain = np.cov(told, read)[0, 1] / told.var(ddof=1)
    offset = read.mean() - gain * told.mean()
    units = copy.deepcopy(fitted.standardizer)
    assert isinstance(units, Standardizer)
    mean = float(units.offset[sensor].double() + units.offset_rest[sensor].double())
    moved = gain * mean + offset
    units.offset[sensor] = moved
    units.offset_rest[sensor] = moved - float(units.offset[sensor])
    units.scale[sensor] *= gain
    return replace(fitted, standardizer=units)


# -------------------------------------------------------------------- mechanisms


@torch.no_grad()
def _relearn(fitted: FittedModel, pairs: InterventionPairs, variable: int) -> None:
    """Give noise encodings of one variable the law N(0, 1) again, in encoder, decoder and solution functions.

    With e_i = a e_< + c + b e_i' in the old encodings, encoder and decoder get the map from e to e', and solution
    functions, affine in e, the same values of e'.
    """
    solution = solution_of(fitted.model)
    assert solution is not None
    before, after = (fitted.encode(side) for side in sides(pairs))
    parents = np.flatnonzero(fitted.adjacency()[:, variable])
    slopes, intercept, sd = relearned_effects(
        before.noise[:, variable].astype(np.float64),
        before.causal[:, parents].astype(np.float64),
        after.noise[:, variable].astype(np.float64),
        after.causal[:, parents].astype(np.float64),
    )
    dim, weight = fitted.dim_z, solution.networks.affine
    probe = torch.cat([torch.zeros(1, dim), torch.eye(dim)]).to(weight)
    causal = solution(probe)[:, parents].double()
    along = torch.as_tensor(slopes, device=causal.device)
    effects = ((causal[1:] - causal[:1]) @ along).to(weight)
    constant = float(causal[0] @ along) + intercept
    last = torch.eye(dim).to(weight)
    last[:, variable] = -effects / sd
    last[variable, variable] = 1 / sd
    shift = torch.zeros(dim).to(weight)
    shift[variable] = -constant / sd
    encoder, decoder = fitted.guide.encoder, fitted.model.decoder
    for flow in {id(flow): flow for flow in (encoder.flow, decoder.flow)}.values():
        flow.compose(last, shift)
    rows = [j for j in range(dim) if j != variable]
    through = weight[rows, variable, 0].clone()
    weight[rows, :, 0] += through[:, None] * effects
    weight[rows, variable, 0] = through * sd
    solution.networks.bias[rows, 0, 0] += through * constant
    weight[variable, :, 0] = (weight[variable, :, 0] - effects) / sd
    solution.networks.bias[variable, 0, 0] = (solution.networks.bias[variable, 0, 0] - constant) / sd
    scale = (
        solution.networks.bias[variable, 0, 1].clamp(-6.0, 6.0).exp() * (1 - solution.min_scale) + solution.min_scale
    )
    scaled = ((scale / sd - solution.min_scale) / (1 - solution.min_scale)).clamp(min=1e-3)
    solution.networks.bias[variable, 0, 1] = scaled.log()
