"""Groups of pairs of one target each, one after another, by functions that all other pairs keep.

The pairs that change a function which the others keep are those of one target
(:mod:`pyro_lcm.identify.kept_functions`); they become a group, which the next function has to keep. A function of two
variables is kept by fewer pairs, and takes both to be one: what a changed pair costs is set so that each variable of
m that are left costs about as much, however many there are. Pairs of which a function does not say clearly whether they
change it are in no group meanwhile.

A search that finds nothing worth its cost is done again with care: longer, and from linear functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.identify.kept_functions import KeptFunctions, find_kept_functions, nats_of
from pyro_lcm.identify.target_groups import two_groups

__all__ = ["UNKNOWN", "UNSURE", "WORTH", "TargetSearch", "mark_changed"]

UNKNOWN, UNSURE = -1, -2
"""Pairs that are in no group, but some variable's that is still to be found, or in none meanwhile."""
_STARTS = 8
"""Functions that are tried for each variable, one variable at a time."""
_CHANGED = 0.2
"""Standard deviations of a function from which on a pair has changed it, perhaps."""
_SURELY = 0.5
"""The same, surely."""
_SLACK = 0.3
"""Nats by which a function may be below the best one and still count."""
_LEAST = 0.2
"""Smallest part of its share of the pairs that are left which a variable is believed to be the target of."""
_SOFTENING = 0.05
"""Features are brought to one scale; those far below this share of the largest stay small."""
_COST = 0.8
"""Nats that each variable costs which a function depends on and whose pairs are in no group."""
_FLOOR = 0.01
"""What a pair of a group that is known counts as at least."""
WORTH = 1.0
"""Nats from which on one more variable has been found; a function of one alone has about 2.5 less its cost."""
_CLEAR = 1.5
"""The same where all groups are known."""
_LONGER = 3
"""How many times as many steps a careful search takes."""


class TargetSearch:
    """Features of both sides of pairs, brought to one scale, and searches in them.

    Args:
        before: (N, k) features.
        after: (N, k) features.
        dim: number of causal variables d.
        seed: of everything random.
        steps: in which functions are found.
    """

    def __init__(self, before: Tensor, after: Tensor, dim: int, *, seed: int, steps: int) -> None:
        both = torch.cat([before, after])
        sd = both.std(0)
        scale = 1 / (sd + _SOFTENING * sd.max())
        mean = both.mean(0)
        self.before, self.after = (before - mean) * scale, (after - mean) * scale
        self.blur = scale * sd.square().sum().sqrt()
        self.dim = dim
        self.steps = steps
        self.generator = torch.Generator().manual_seed(seed)

    def groups(self, target: Tensor, missing: Sequence[int], *, apart: bool) -> tuple[Tensor, list[int]]:
        """Find the groups that are missing.

        Args:
            target: (N,) of each pair 0 for none, 1 to d for a group that is known, or ``UNKNOWN``.
            missing: numbers that new groups get.
            apart: whether the pairs that nothing has changed stand apart; the last group is then what is left, which
                is none's otherwise.

        Returns:
            (N,) the same with the new groups, and ``UNSURE``; and the numbers of the groups that were not found, with
            that of what is left where there are such.
        """
        target = target.clone()
        failed: list[int] = []
        for position, number in enumerate(missing[: len(missing) - apart]):
            unknown, left = int((target == UNKNOWN).sum()), len(missing) - position
            if unknown < 20 * self.dim:
                failed += missing[position : len(missing) - apart]
                break
            given = mark_changed(target, UNKNOWN, self.next_function(target, left), number)
            if int((given == number).sum()) < _LEAST * unknown / left:
                failed.append(number)
                continue
            target = given
        target[target == UNKNOWN] = missing[-1] if apart else 0
        return target, [*failed, missing[-1]] if failed and apart else failed

    def functions(self, target: Tensor, number: int, starts: int, so_far: KeptFunctions | None = None) -> KeptFunctions:
        """Functions of one variable, which the pairs of all others keep.

        Args:
            target: (N,) 0 for none, 1 to d for a group, negative for in no group.
            number: of the variable.
            starts: how many functions.
            so_far: functions that were found of it by other targets; they are kept, and judged by these.
        """
        group, weights = self._others(target, number)
        found = self._search(group, weights.repeat(starts, 1), _FLOOR, _CLEAR, together=True)
        if so_far is None:
            return found
        earlier = self.judged(target, number, so_far)
        return KeptFunctions(
            torch.cat([found.before, earlier.before]),
            torch.cat([found.after, earlier.after]),
            torch.cat([found.nats, earlier.nats]),
        )

    def judged(self, target: Tensor, number: int, found: KeptFunctions) -> KeptFunctions:
        """The same functions of one variable, with what they are worth by other targets.

        Args:
            target: (N,) as :meth:`functions` takes it.
            number: of the variable.
            found: its functions.
        """
        group, weights = self._others(target, number)
        floor = torch.full((self.dim + 2,), _FLOOR, dtype=self.before.dtype)
        return replace(found, nats=nats_of(found.before, found.after, group, weights[None], floor))

    def _others(self, target: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Groups (N,) of all pairs, and weights (d + 2,) of those that functions of one variable have to keep."""
        weights = torch.ones(self.dim + 2, dtype=self.before.dtype)
        weights[[number, self.dim + 1]] = 0
        return torch.where(target < 0, self.dim + 1, target), weights

    def next_function(self, target: Tensor, left: int) -> KeptFunctions:
        """One function of one more variable of several that are left.

        Args:
            target: (N,) 0 for none, 1 to d for a group, ``UNKNOWN`` for those of variables that are left, ``UNSURE``.
            left: how many variables these are.
        """
        unknown = target == UNKNOWN
        weights = torch.ones(_STARTS, self.dim + 3, dtype=self.before.dtype)
        weights[:, [0, self.dim + 2]] = 0
        group = torch.where(unknown, self.dim + 1, torch.where(target == UNSURE, self.dim + 2, target))
        found = self._search(group, weights, math.exp(-_COST * (left + 1)), WORTH)
        changed = (found.change.abs() > _CHANGED) & unknown
        best, chosen = -np.inf, int(found.nats.argmax())
        for start in (found.nats > found.nats.max() - _SLACK).nonzero()[:, 0].tolist():
            _, apart = two_groups((found.change[start, unknown].square() + 1e-6).log().numpy())
            if apart > best and int(changed[start].sum()) > _LEAST * int(unknown.sum()) / left:
                best, chosen = apart, start
        return found.only(torch.arange(len(found.nats)) == chosen)

    def _search(
        self, group: Tensor, weights: Tensor, floor_of_unknown: float, enough: float, *, together: bool = False
    ) -> KeptFunctions:
        """Functions by a quick search, or by a careful one where that finds none of so many nats."""
        floor = torch.full((weights.shape[1],), _FLOOR, dtype=self.before.dtype)
        floor[self.dim + 1] = floor_of_unknown
        present = set(group.unique().tolist())
        known = [number for number in range(self.dim + 1) if number in present and weights[0, number] > 0]
        for careful in (False, True):
            found = find_kept_functions(
                self.before,
                self.after,
                group,
                weights,
                floor,
                blur=self.blur,
                generator=self.generator,
                steps=self.steps * (_LONGER if careful else 1),
                levelled=known if careful else (),
                together=together,
            )
            if not known or float(found.nats.max()) > enough:
                break
        return found


def mark_changed(target: Tensor, among: int, function: KeptFunctions, number: int) -> Tensor:
    """Targets (N,) after those pairs of one group that surely change a function went to another, and those that may.

    Args:
        target: (N,) groups.
        among: the group whose pairs are looked at.
        function: one function.
        number: of the group that they go to; those of which it is not clear get ``UNSURE``.
    """
    size, members = function.change[0].abs(), target == among
    marked = torch.where(members & (size > _CHANGED), UNSURE, target)
    return torch.where(members & (size > _SURELY), number, marked)
