"""What the functions of all variables say together: where an observation is along each, and whose a pair is.

Pairs say nothing of which way a function of one noise encoding runs: where an object moves across an image it is a wave
or two as readily as a slope. Together, the functions of a variable put it on a curve, and how far along it is is one
function that neither folds nor tears (:mod:`pyro_lcm.identify.unrolling`). A pair is of the variable whose functions it
changes, all others being kept up to their own tolerance. Where the two sides of pairs that nothing has changed are the
same to rounding, a pair that differs is of some variable, however little a function changes; taken for pairs that
nothing has changed they would hold two places of a variable together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from pyro_lcm.identify.kept_functions import KeptFunctions
from pyro_lcm.identify.target_groups import infer_single_targets
from pyro_lcm.identify.unrolling import unroll_curve

__all__ = ["FoundVariables", "squared_changes"]

_SLACK = 0.3
"""Nats by which a function may be below the best one of its variable and still count."""
_ALIKE = 0.15
"""Nats by which one may be and still help to unroll a variable: those further below are of other variables as well."""
_SLENDER = 2.0
"""How slender a curve has to be (:class:`~pyro_lcm.identify.unrolling.Unrolled`): functions that are of other variables
as well make a surface of it."""
_ONE_WAY = 0.95
"""Rank correlation from which on two functions run the same way."""


@dataclass(frozen=True, eq=False)
class FoundVariables:
    """Targets of N pairs, and functions of d variables.

    Args:
        target: (N,) targets so far, 0 = none, 1 to d = a variable, -1 or less for unknown.
        still: (N,) pairs whose sides are the same to rounding, or None where there are none.
        seed: of the unrolling.
        functions: of each variable that has some, by its number.
        places: (2 N,) of each of these, how far along it the sides of pairs are.
    """

    target: Tensor
    still: Tensor | None
    seed: int
    functions: Mapping[int, KeptFunctions]
    places: Mapping[int, NDArray[np.float64]]

    @property
    def numbers(self) -> list[int]:
        """The variables that have functions, in order."""
        return sorted(self.functions)

    @property
    def nats(self) -> dict[int, float]:
        """Those of the best function of each variable."""
        return {number: float(self.functions[number].nats.max()) for number in self.numbers}

    @property
    def sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(d, N) places before, and after."""
        before, after = np.split(np.stack([self.places[number] for number in self.numbers]), 2, axis=1)
        return before, after

    @property
    def moved(self) -> Tensor:
        """(d, N) how far pairs move along each variable."""
        before, after = self.sides
        return torch.from_numpy(after - before)

    def winds(self, number: int) -> bool:
        """Whether the functions of a variable run different ways along it, so that a place is read off all of them."""
        found = self.functions[number]
        alike = found.nats > found.nats.max() - _ALIKE
        ranks = rankdata(found.before[alike].numpy(), axis=1)
        return bool(np.abs(np.atleast_2d(np.corrcoef(ranks))).min() < _ONE_WAY)

    def with_functions(self, functions: Mapping[int, KeptFunctions]) -> FoundVariables:
        """The same with new functions of some variables: their places, and all targets, from these."""
        places = {number: _place(found, self.seed) for number, found in functions.items()}
        given = replace(self, functions={**self.functions, **functions}, places={**self.places, **places})
        return replace(given, target=given._inferred())

    def _inferred(self) -> Tensor:
        """Targets (N,) by all functions, and by how far pairs move along each variable where noise hides nothing."""
        if len(self.functions) == 1:
            return self.target.clamp(min=0)
        changes = squared_changes([self.functions[number] for number in self.numbers])
        target = infer_single_targets(changes, self.target)
        if self.still is not None:
            moved = self.moved.square().unsqueeze(1).to(changes)
            for _ in range(2):  # the first time with tolerances by targets that are not as good
                target = infer_single_targets(torch.cat([changes, moved], 1), target, self.still)
        return target


def squared_changes(found: Sequence[KeptFunctions]) -> Tensor:
    """Squared changes (d, r, N) of r functions of each of d variables; NaN where one has fewer that count."""
    rows = [of_one.change[of_one.nats >= of_one.nats.max() - _SLACK].square() for of_one in found]
    most = max(len(row) for row in rows)
    return torch.stack([torch.cat([row, row.new_full((most - len(row), row.shape[1]), torch.nan)]) for row in rows])


def _place(found: KeptFunctions, seed: int) -> NDArray[np.float64]:
    """A function (2 N,) that never turns, of several of one variable, on both sides of pairs."""
    functions, nats = torch.cat([found.before, found.after], 1).numpy(), found.nats.numpy()
    order = np.argsort(-nats)
    alike = int((nats > nats.max() - _ALIKE).sum())
    for count in range(alike, 0, -1):
        best = unroll_curve(functions[order[:count]].T, seed=seed)
        if best.slender >= _SLENDER:
            break
    return best.place
