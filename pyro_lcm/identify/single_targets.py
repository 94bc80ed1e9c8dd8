"""Which intervention a pair has seen, from functions of x that few interventions change.

Functions that pairs keep and that yet vary are of one noise encoding each (:mod:`pyro_lcm.identify.kept_functions`).

1. *Groups*, one variable at a time (:mod:`pyro_lcm.identify.target_search`).
2. *Functions.* With all groups known, several functions of each variable are found anew, which have to keep all other
   groups, and each pair goes to the variable whose functions it changes, all others being kept up to their own
   tolerance. A function that folds, so that some of its changes come to nothing, is made up for by the others of its
   variable. Groups that were not found are sought among the pairs that change none of the others' functions.
3. *Unrolled.* Pairs say nothing of which way a function of one noise encoding runs: where an object moves across an
   image it is a wave or two as readily as a slope. Together, the functions of a variable put it on a curve, and how far
   along it is is one function that neither folds nor tears (:mod:`pyro_lcm.identify.unrolling`); the more functions,
   those of earlier rounds too, the better they tell its places apart. Where the two sides of
   pairs that nothing has changed are the same to rounding, targets are inferred once more from these too: a pair
   that differs is of some variable, however little a function changes. Taken for pairs that nothing has changed they
   hold two places of a variable together, and what is learned from them folds or tears there.

That one variable alone changes in a noise encoding is what makes pairs identify a model (Brehmer et al. 2022,
arXiv 2203.16437, theorem 1); here it is used before there is any encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from torch import Tensor

from pyro_lcm.identify.kept_functions import KeptFunctions
from pyro_lcm.identify.target_groups import infer_single_targets, the_same, unchanged
from pyro_lcm.identify.target_search import UNKNOWN, TargetSearch
from pyro_lcm.identify.unrolling import unroll_curve

__all__ = ["SingleTargets", "find_single_targets"]

_FUNCTIONS = 4
"""Of each variable once all groups are known."""
_ROUNDS = 3
"""How often at most groups that are missing, and functions that are faint, are looked for."""
_ATTEMPTS = 3
"""Searches from other starts where one has left a variable without a function."""
_ENOUGH = 0.3
"""Nats from which on a variable has one."""
_FAINT = 2.0
"""Nats below which functions of a variable are looked for once more with better targets of all. So are those that wind:
a few wrong targets hold two places of such a variable together."""
_SLACK = 0.3
"""Nats by which a function may be below the best one of its variable and still count."""
_ONE_WAY = 0.95
"""Rank correlation from which on two functions run the same way."""
_ALIKE = 0.15
"""Nats by which one may be and still help to unroll a variable: those further below are of other variables as well."""
_SLENDER = 2.0
"""How slender a curve has to be (:class:`~pyro_lcm.identify.unrolling.Unrolled`): functions that are of other variables
as well make a surface of it."""


@dataclass(frozen=True, eq=False)
class SingleTargets:
    """The targets of N pairs, and functions of one variable each.

    Attributes:
        target: (N,) targets, 0 = none, 1 to d = a variable, in the order in which they were found.
        before: (N, d) values of one function of each variable before, which rises or falls with it all the way, on a
            normal scale.
        after: (N, d) its values after.
    """

    target: NDArray[np.int64]
    before: NDArray[np.float32]
    after: NDArray[np.float32]


def find_single_targets(
    before: ArrayLike, after: ArrayLike, dim: int, *, known: ArrayLike | None = None, seed: int = 0, steps: int = 400
) -> SingleTargets:
    """Guess the intervention target of each pair.

    Args:
        before: (N, k) features of the observations before.
        after: (N, k) the same features after.
        dim: number of causal variables d.
        known: (N,) targets, -1 where unknown, if any are known; variables have these numbers then.
        seed: of the search.
        steps: in which functions are found, each time.

    Returns:
        Targets and functions.

    Raises:
        ValueError: if the shapes do not fit, no pair shows a difference, or known targets are out of range.

    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 3, 1000)
    >>> x = rng.normal(size=(1000, 2))
    >>> moved = np.where(target[:, None] == [1, 2], rng.normal(size=(1000, 2)), x)
    >>> mixing = rng.normal(size=(2, 5))
    >>> found = find_single_targets(np.tanh(x) @ mixing, np.tanh(moved) @ mixing, 2, steps=100).target
    >>> bool(max((found == target).mean(), (np.array([0, 2, 1])[found] == target).mean()) > 0.95)
    True
    """
    first, second = (torch.as_tensor(np.asarray(side), dtype=torch.float32) for side in (before, after))
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"after: got shape {tuple(second.shape)}, expected (N, k) as before, {tuple(first.shape)}")
    if dim < 1:
        raise ValueError(f"dim: got {dim}, expected at least 1")
    if not bool((first != second).any()):
        raise ValueError("after: got the same as before, expected some pairs that differ")
    still = unchanged(first, second)
    if known is not None:
        told = torch.as_tensor(np.asarray(known, dtype=np.int64))
        if told.shape != first.shape[:1] or not -1 <= int(told.min()) <= int(told.max()) <= dim:
            raise ValueError(
                f"known: got shape {tuple(told.shape)} and targets {int(told.min())} to {int(told.max())}, expected "
                f"({len(first)},) and -1 to {dim}"
            )
        return _functions_of(TargetSearch(first, second, dim, seed=seed, steps=steps), told, seed)
    best, lowest = None, -np.inf
    for attempt in range(_ATTEMPTS):
        found, nats = _find(TargetSearch(first, second, dim, seed=seed + attempt, steps=steps), still, seed)
        if best is None or min(nats) > lowest:
            best, lowest = found, min(nats)
        if lowest > _ENOUGH or max(nats) < _ENOUGH:  # where nothing at all is found, other starts find nothing either
            break
    assert best is not None
    return best


def _find(search: TargetSearch, still: Tensor | None, seed: int) -> tuple[SingleTargets, list[float]]:
    """Targets and functions by one search, and the nats of each variable."""
    target = torch.full((len(search.before),), UNKNOWN)
    if still is not None:
        target[still] = 0
    numbers = list(range(1, search.dim + 1))
    missing, found = numbers, {}
    for position in range(_ROUNDS):
        target, failed = search.groups(target, missing, apart=still is not None)
        last = position == _ROUNDS - 1 or len(failed) == len(numbers)
        for number in missing:
            if last or number not in failed:
                found[number] = search.functions(target, number, _FUNCTIONS)
        missing = failed
        if last or not missing:
            break
        target = _of_others(target, found, still)
    same = the_same(search.before, search.after)
    places = {number: _unrolled(found[number], seed) for number in numbers}
    target = _inferred(target, found, places, same)
    for _ in range(_ROUNDS - 1):
        nats = _nats(found)
        again = [number for number in numbers if nats[number] < _FAINT or _winds(found[number])]
        if not again or len(numbers) == 1 or max(nats.values()) < _ENOUGH:
            break
        found |= {number: search.functions(target, number, _FUNCTIONS, found[number]) for number in again}
        places |= {number: _unrolled(found[number], seed) for number in again}
        target = _inferred(target, found, places, same)
    return _single_targets(target, places), list(_nats(found).values())


def _functions_of(search: TargetSearch, known: Tensor, seed: int) -> SingleTargets:
    """Functions of variables whose pairs are known, and the targets of those that are not."""
    numbers = range(1, search.dim + 1)
    found = {number: search.functions(known, number, _FUNCTIONS) for number in numbers}
    places = {number: _unrolled(found[number], seed) for number in numbers}
    target = torch.where(known >= 0, known, _inferred(known, found, places, the_same(search.before, search.after)))
    return _single_targets(target, places)


def _single_targets(target: Tensor, places: Mapping[int, NDArray[np.float64]]) -> SingleTargets:
    sides = np.split(np.column_stack([places[number] for number in sorted(places)]).astype(np.float32), 2)
    return SingleTargets(np.asarray(target.numpy(), dtype=np.int64), *sides)


def _nats(found: Mapping[int, KeptFunctions]) -> dict[int, float]:
    """Those of the best function of each variable."""
    return {number: float(functions.nats.max()) for number, functions in found.items()}


def _winds(found: KeptFunctions) -> bool:
    """Whether the functions of a variable run different ways along it, so that a place is read off all of them."""
    alike = found.nats > found.nats.max() - _ALIKE
    ranks = rankdata(found.before[alike].numpy(), axis=1)
    return bool(np.abs(np.atleast_2d(np.corrcoef(ranks))).min() < _ONE_WAY)


def _inferred(
    target: Tensor, found: Mapping[int, KeptFunctions], places: Mapping[int, NDArray[np.float64]], still: Tensor | None
) -> Tensor:
    """Targets (N,) by functions of all d variables, and how far pairs move along each where noise hides nothing."""
    if len(found) == 1:
        return target.clamp(min=0)
    numbers = sorted(found)
    changes = _changes([found[number] for number in numbers])
    target = infer_single_targets(changes, target)
    if still is not None:
        before, after = np.split(np.stack([places[number] for number in numbers]), 2, axis=1)
        moved = torch.from_numpy(after - before).square().unsqueeze(1).to(changes)
        for _ in range(2):  # the first time with tolerances by targets that are not as good
            target = infer_single_targets(torch.cat([changes, moved], 1), target, still)
    return target


def _changes(found: Sequence[KeptFunctions]) -> Tensor:
    """Squared changes (d, r, N) of r functions of each of d variables; NaN where one has fewer that count."""
    rows = [of_one.change[of_one.nats >= of_one.nats.max() - _SLACK].square() for of_one in found]
    most = max(len(row) for row in rows)
    return torch.stack([torch.cat([row, row.new_full((most - len(row), row.shape[1]), torch.nan)]) for row in rows])


def _of_others(target: Tensor, found: Mapping[int, KeptFunctions], still: Tensor | None) -> Tensor:
    """Targets (N,) by the functions of the variables that have some; pairs that change none of these are unknown."""
    others = sorted(found)
    given = torch.full_like(target, UNKNOWN)
    if others:
        place = torch.zeros(int(target.max()) + 1, dtype=target.dtype)
        place[others] = torch.arange(1, len(others) + 1)
        so_far = torch.where(target < 0, target, place[target.clamp(min=0)])
        inferred = infer_single_targets(_changes([found[number] for number in others]), so_far)
        given = torch.tensor([UNKNOWN, *others])[inferred]
    return given if still is None else torch.where(still, 0, given)


def _unrolled(found: KeptFunctions, seed: int) -> NDArray[np.float64]:
    """A function (2 N,) that never turns, of several of one variable, on both sides of pairs."""
    functions, nats = torch.cat([found.before, found.after], 1).numpy(), found.nats.numpy()
    order = np.argsort(-nats)
    alike = int((nats > nats.max() - _ALIKE).sum())
    for count in range(alike, 0, -1):
        best = unroll_curve(functions[order[:count]].T, seed=seed)
        if best.slender >= _SLENDER:
            break
    return best.place
