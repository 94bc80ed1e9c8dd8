"""What a known system answers to questions that are asked in a fitted model's coordinates.

Learned variables are the true ones up to order and an increasing or decreasing map of each (Brehmer et al., NeurIPS
2022, arXiv 2203.16437), so what "raise a from -1/2 to 1/2" means to the system depends on that map. It is fitted on
observations of its own, which neither the model nor its effects have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.reasoning.known import KnownStructure

Array = NDArray[np.float64]

_KNOTS = 40
_POPULATION = 50_000
"""Draws of the system's noise that its effects are averaged over."""


@dataclass(frozen=True, eq=False)
class MonotoneMap:
    """An increasing or decreasing function through knots, linear beyond them.

    Attributes:
        x: (K,) increasing.
        y: (K,) increasing or decreasing.
    """

    x: Array
    y: Array

    def __call__(self, values: Array) -> Array:
        """The function of values of any shape."""
        return _along(np.asarray(values, dtype=np.float64), self.x, self.y)

    def inverse(self) -> MonotoneMap:
        """The inverse."""
        step = 1 if self.y[-1] > self.y[0] else -1
        return MonotoneMap(self.y[::step], self.x[::step])


def fit_monotone(x: Array, y: Array, *, straight: bool) -> MonotoneMap:
    """A monotone map from x to y.

    Args:
        x: (N,) numbers.
        y: (N,) numbers that are nearly a monotone function of these.
        straight: whether it is a line.

    Returns:
        The least squares line; or the means of y over shares of x of equal size, made monotone (isotonic regression).

    Example:
        >>> found = fit_monotone(np.linspace(0, 1, 100), 3 - 2 * np.linspace(0, 1, 100), straight=True)
        >>> found(np.array([0.5])).round(6).tolist(), found.inverse()(np.array([2.0])).round(6).tolist()
        ([2.0], [0.5])
    """
    if straight:
        slope, offset = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        return MonotoneMap(ends, slope * ends + offset)
    from sklearn.isotonic import isotonic_regression  # slow to import

    parts = np.array_split(np.argsort(x), min(_KNOTS, len(x) // 5))
    low, means = (np.array([of[part].mean() for part in parts]) for of in (x, y))
    rising = bool(np.corrcoef(low, means)[0, 1] > 0)
    smooth = isotonic_regression(means, increasing=rising)
    tilt = 1e-6 * (means.max() - means.min()) * np.arange(len(parts)) / len(parts)  # no two knots at one height
    return MonotoneMap(low, smooth + (tilt if rising else -tilt))


class TrueAnswers:
    """The answers of a system, in the order and the coordinates of a model that was fitted to its pairs.

    Args:
        system: the system.
        model: the model.
        test: how many pairs the maps are fitted on.
        seed: of these, another one than that of any pairs the model has seen.
    """

    def __init__(self, system: ScalingSystem, model: LatentCausalModel, *, test: int = 20_000, seed: int = 99) -> None:
        pairs = system.sample(test, seed=seed)
        latents, truth = model.encode(pairs.x), pairs.z
        if truth is None or pairs.noise is None:
            raise ValueError("system: its pairs have no truth, expected it")
        self.own = align(latents.noise, pairs.noise).permutation
        self.maps = [
            fit_monotone(latents.causal[:, own].astype(np.float64), truth[:, i], straight=model.fitted.linear)
            for i, own in enumerate(self.own)
        ]
        self.program = system.program
        self.scm = KnownStructure(self.program.mechanisms, self.program.adjacency)

    def true_value(self, variable: int, value: float) -> float:
        """What a value of a true variable, 0..d-1, is where the model's variable has the given one."""
        return float(self.maps[variable](np.array(value)))

    def effects(self, low: float, high: float) -> tuple[Array, Array]:
        """Average effects on the model's variables (d, d), ``[cause, outcome]``, and on x (d, D)."""
        dim = self.scm.dim
        noise = torch.randn(_POPULATION, dim, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        inverse = [of.inverse() for of in self.maps]
        causal, x = np.zeros((dim, dim)), []
        for i in range(dim):
            worlds = [self._under(noise, i, self.true_value(i, value)) for value in (high, low)]
            for j in range(dim):
                means = [inverse[j](world[:, j].numpy()).mean() for world in worlds]
                causal[self.own[i], self.own[j]] = means[0] - means[1]
            with torch.no_grad():
                means_x = [self.program.mixing(world).mean(0).numpy() for world in worlds]
            x.append(means_x[0] - means_x[1])
        return causal, np.stack(x)[np.argsort(self.own)]

    def outcomes(self, z: Array, values: Array) -> Array:
        """(N, D) what x becomes of true variables (N, d) when the model's are set to values (N, d), but where nan."""
        actions = {}
        for i, own in enumerate(self.own):
            wanted = torch.as_tensor(np.array([self.true_value(i, value) for value in values[:, own]]))
            actions[i] = lambda natural, wanted=wanted: torch.where(wanted.isnan(), natural, wanted)
        with torch.no_grad():
            after = self.scm.solve(self.scm.invert(torch.as_tensor(z)), actions).causal
            return np.asarray(self.program.mixing(after))

    def _under(self, noise: torch.Tensor, variable: int, value: float) -> torch.Tensor:
        return self.scm.solve(noise, {variable: lambda natural: torch.full_like(natural, value)}).causal


def _along(values: Array, x: Array, y: Sequence[float] | Array) -> Array:
    heights = np.asarray(y, dtype=np.float64)
    if len(x) == 2:
        return np.asarray(heights[0] + (values - x[0]) * (heights[1] - heights[0]) / (x[1] - x[0]))
    inside = PchipInterpolator(x, heights)(values.clip(x[0], x[-1]))
    first, last = (heights[2] - heights[0]) / (x[2] - x[0]), (heights[-1] - heights[-3]) / (x[-1] - x[-3])
    return np.asarray(inside + np.minimum(values - x[0], 0) * first + np.maximum(values - x[-1], 0) * last)
