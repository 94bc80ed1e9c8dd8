"""What the next frame of a sequence becomes when variables are set, or when none is.

From the latents of a frame the model's transitions run a step, by draws: what is set takes its value, cut off from all
else, and what depends on it within the frame (iCITRIS: Lippe et al., ICLR 2023, arXiv 2206.06169) follows. An interval
is not the spread of these draws, which knows neither the errors of the fit nor those of the encoder: it is that spread
times what covers the share asked for among steps that were seen, as in split conformal prediction (Lei, G'Sell,
Rinaldo, Tibshirani, Wasserman, JASA 2018). Without such steps there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.data.pixels import unit_range
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.process import random_state

__all__ = ["NextFrame", "predict_next"]

Array = NDArray[np.floating[Any]]

_ROWS = 1024
_LEAST = 50
_NO_SPREAD = 1e-3
"""Of the largest spread of a feature: from here on it counts as one."""
"""Fewest steps that an interval is made of."""


@dataclass(frozen=True)
class NextFrame:
    """A prediction of N frames.

    Attributes:
        causal: (N, M) mean of the latents, of what is set the values.
        x: (N, ...) mean of the observations, in the units of the data.
        causal_low: (N, M) lower end of the interval of each latent; None without steps to make it of.
        causal_high: (N, M) upper end.
        x_low: (N, ...) lower end of the interval of each feature of x.
        x_high: (N, ...) upper end.
    """

    causal: Array
    x: Array
    causal_low: Array | None = None
    causal_high: Array | None = None
    x_low: Array | None = None
    x_high: Array | None = None


def predict_next(
    fitted: FittedModel,
    x: ArrayLike,
    values: Mapping[str, float] | None = None,
    *,
    seen: InterventionSequences | None = None,
    level: float = 0.9,
    draws: int = 50,
    seed: int = 0,
) -> NextFrame:
    """Predict the frame after each of some frames.

    Args:
        fitted: a fitted model of sequences.
        x: (N, ...) frames.
        values: what latents, by name, are set to in the step; none if None.
        seen: sequences that the model was not trained on, for intervals; None for means alone.
        level: share of next frames, of the system that they are from, that the interval of one number covers.
        draws: of each frame, at least 10.
        seed: of the draws.

    Returns:
        The prediction.

    Raises:
        ValueError: if an argument is out of range, a name is not a latent's, the model is of pairs, or ``seen`` has too
            few steps.
    """
    if not fitted.temporal:
        raise ValueError(f"model: got {fitted.name}, expected a model of sequences")
    if not hasattr(fitted.model, "step"):
        raise ValueError(f"model: got {fitted.name}, whose steps need an action, expected citris or icitris")
    if draws < 10 or not 0 < level < 1:
        raise ValueError(f"draws, level: got {draws}, {level}, expected at least 10, and a number in (0, 1)")
    fixed = np.full(fitted.dim_z, np.nan)
    for name, value in (values or {}).items():
        if name not in fitted.names or not np.isfinite(value):
            raise ValueError(f"values: got {name}={value}, expected finite values of some of {', '.join(fitted.names)}")
        fixed[fitted.names.index(name)] = value
    before = fitted.encode(x).causal
    causal, spread, seen_x, spread_x = _summary(fitted, before, np.broadcast_to(fixed, before.shape), draws, seed)
    if seen is None:
        return NextFrame(causal, seen_x)
    factor, factor_x = _factors(fitted, seen, level, draws, seed)
    # What is set has no spread, so its interval is a point.
    reach, reach_x = factor * spread, factor_x * spread_x
    return NextFrame(causal, seen_x, causal - reach, causal + reach, seen_x - reach_x, seen_x + reach_x)


def _factors(
    fitted: FittedModel, seen: InterventionSequences, level: float, draws: int, seed: int
) -> tuple[Array, Array]:
    """How many standard deviations of draws cover the share asked for, of each latent and each feature of x."""
    if seen.dim != fitted.model.recorded:
        raise ValueError(f"seen: got {seen.dim} columns, expected {fitted.model.recorded} as in the fit")
    if len(seen) < _LEAST:
        raise ValueError(f"seen: got {len(seen)} steps, expected at least {_LEAST}")
    pairs = seen.transitions()[:2000]
    before, after = (fitted.encode(side).causal for side in (pairs.x, pairs.x_after))
    assignment = fitted.model.assignment.cpu().numpy()
    hit = np.column_stack([np.zeros(len(pairs), dtype=bool), np.asarray(pairs.targets) > 0])[:, assignment]
    causal, spread, x, spread_x = _summary(fitted, before, np.where(hit, after, np.nan), draws, seed + 1)
    share = min(1.0, level * (1 + 1 / len(pairs)))
    errors = np.where(hit, np.nan, np.abs(after - causal) / np.maximum(spread, 1e-12))
    factor = np.nanquantile(errors, share, axis=0)
    # A feature of latents that are set has no spread in a step, and its error there says nothing of a spread.
    told = spread_x > _NO_SPREAD * spread_x.max(0)
    errors_x = np.abs(unit_range(pairs.x_after, np.float64) - x) / np.where(told, spread_x, 1.0)
    factor_x = np.nanquantile(np.where(told, errors_x, np.where(told.any(0), np.nan, 0.0)), share, axis=0)
    return factor, factor_x


@torch.no_grad()
def _summary(
    fitted: FittedModel, before: Array, fixed: NDArray[np.floating[Any]], draws: int, seed: int
) -> tuple[Array, Array, Array, Array]:
    """Mean and standard deviation over draws of the next latents, and of the next x."""
    parts: list[tuple[Array, ...]] = []
    with random_state.isolated(seed, fitted.device):
        for first in range(0, len(before), _ROWS):
            rows = slice(first, first + _ROWS)
            start, given = (
                torch.as_tensor(np.array(each[rows]), device=fitted.device, dtype=fitted.dtype)
                for each in (before, fixed)
            )
            causal, x = _Moments(), _Moments()
            for _ in range(draws):
                drawn: Tensor = fitted.model.step(start, torch.randn_like(start), given)
                causal.add(drawn.cpu().double().numpy())
                x.add(np.asarray(fitted.decode(drawn.cpu().numpy()), dtype=np.float64))
            parts.append((*causal.result(), *x.result()))
    mean, sd, mean_x, sd_x = (np.concatenate(column) for column in zip(*parts, strict=True))
    return mean, sd, mean_x, sd_x


class _Moments:
    """Mean and standard deviation of arrays that come one at a time (Welford, Technometrics 1962)."""

    def __init__(self) -> None:
        self.number, self.mean, self.squares = 0, np.zeros(()), np.zeros(())

    def add(self, value: Array) -> None:
        self.number += 1
        change = value - self.mean
        self.mean = self.mean + change / self.number
        self.squares = self.squares + change * (value - self.mean)

    def result(self) -> tuple[Array, Array]:
        return self.mean, np.sqrt(self.squares / self.number)
