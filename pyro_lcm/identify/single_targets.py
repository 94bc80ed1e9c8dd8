"""Which intervention a pair has seen, from functions of x that few interventions change.

Functions that pairs keep and that yet vary are of one noise encoding each (:mod:`pyro_lcm.identify.kept_functions`).

1. *Groups*, one variable at a time (:mod:`pyro_lcm.identify.target_search`).
2. *Functions.* With all groups known, several functions of each variable are found anew, which have to keep all other
   groups, and each pair goes to the variable whose functions it changes, all others being kept up to their own
   tolerance. A function that folds, so that some of its changes come to nothing, is made up for by the others of its
   variable. Groups that were not found are sought among the pairs that change none of the others' functions, and in
   groups that are of two variables (:mod:`pyro_lcm.identify.merged_groups`).
3. *Unrolled.* Functions that wave and fold are made one that runs along its variable, and pairs that noise spares
   are given to variables by these too (:mod:`pyro_lcm.identify.found_variables`); the more functions, those of earlier
   rounds too, the better they tell places apart.
4. *Disputes.* Pairs that change the functions of two variables are given to one of them
   (:mod:`pyro_lcm.identify.disputes`).

That one variable alone changes in a noise encoding is what makes pairs identify a model (Brehmer et al. 2022,
arXiv 2203.16437, theorem 1); here it is used before there is any encoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.identify.disputes import settle_disputes
from pyro_lcm.identify.found_variables import FoundVariables, squared_changes
from pyro_lcm.identify.kept_functions import KeptFunctions
from pyro_lcm.identify.merged_groups import split_group
from pyro_lcm.identify.target_groups import infer_single_targets, the_same, unchanged
from pyro_lcm.identify.target_search import UNKNOWN, TargetSearch

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
        for number in sorted(found, key=lambda n: -int((target == n).sum())):
            if (
                len(missing) > (still is not None)
                and (parted := split_group(search, target, number, missing[0])) is not None
            ):
                target, second, missing = parted, missing[0], missing[1:]
                found |= {part: search.functions(target, part, _FUNCTIONS) for part in (number, second)}
    begun = FoundVariables(target, the_same(search.before, search.after), seed, {}, {})
    variables = begun.with_functions(found)
    for _ in range(_ROUNDS - 1):
        nats = variables.nats
        again = [number for number in numbers if nats[number] < _FAINT or variables.winds(number)]
        if not again or len(numbers) == 1 or max(nats.values()) < _ENOUGH:
            break
        variables = variables.with_functions(
            {n: search.functions(variables.target, n, _FUNCTIONS, variables.functions[n]) for n in again}
        )
    variables = settle_disputes(search, variables)
    return _single_targets(variables), list(variables.nats.values())


def _functions_of(search: TargetSearch, known: Tensor, seed: int) -> SingleTargets:
    """Functions of variables whose pairs are known, and the targets of those that are not."""
    numbers = range(1, search.dim + 1)
    found = {number: search.functions(known, number, _FUNCTIONS) for number in numbers}
    variables = FoundVariables(known, the_same(search.before, search.after), seed, {}, {}).with_functions(found)
    return _single_targets(replace(variables, target=torch.where(known >= 0, known, variables.target)))


def _single_targets(variables: FoundVariables) -> SingleTargets:
    sides = (side.T.astype(np.float32) for side in variables.sides)
    return SingleTargets(np.asarray(variables.target.numpy(), dtype=np.int64), *sides)


def _of_others(target: Tensor, found: Mapping[int, KeptFunctions], still: Tensor | None) -> Tensor:
    """Targets (N,) by the functions of the variables that have some; pairs that change none of these are unknown."""
    others = sorted(found)
    given = torch.full_like(target, UNKNOWN)
    if others:
        place = torch.zeros(int(target.max()) + 1, dtype=target.dtype)
        place[others] = torch.arange(1, len(others) + 1)
        so_far = torch.where(target < 0, target, place[target.clamp(min=0)])
        inferred = infer_single_targets(squared_changes([found[number] for number in others]), so_far)
        given = torch.tensor([UNKNOWN, *others])[inferred]
    return given if still is None else torch.where(still, 0, given)
