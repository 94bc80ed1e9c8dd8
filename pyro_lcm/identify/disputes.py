"""Pairs that change the functions of two variables, and which of the two variables they are of.

A pair has one target, so if it changes the functions of two variables, one of these functions is not of its variable
alone. Such a function can be that of its own variable in most images and of the other's in the rest, where its own is
hard to see. The pairs that go from there to the others are then taken for its own, and none is left that it would have
to keep: a wrong answer that agrees with itself. So both answers are tried. Either variable is given the disputed pairs,
and the other's functions are found anew and have to keep them. A function of the variable that the pairs are of cannot:
from one region they go everywhere along it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_lcm.identify.found_variables import FoundVariables
from pyro_lcm.identify.target_search import UNSURE, TargetSearch

__all__ = ["Dispute", "most_disputed", "settle_disputes"]

_MOVED = 0.3
"""How far along a function of unit variance a pair moves that has surely changed it."""
_DISPUTED = 0.1
"""Share of a variable's pairs from which on it matters that they change another's functions as well."""
_FUNCTIONS = 8
"""Tries of a variable that is to keep disputed pairs."""
_ENOUGH = 0.3
"""Nats from which on a function is one."""


class Dispute(NamedTuple):
    """Two variables, 1 to d, and the pairs (N,) that change the functions of both."""

    first: int
    second: int
    pairs: Tensor


def most_disputed(moved: Tensor, settled: Collection[tuple[int, int]] = (), least: float = _DISPUTED) -> Dispute | None:
    """The two variables that share most of their pairs.

    Args:
        moved: (d, N) how far pairs move along a function of each variable, in standard deviations.
        settled: couples (first, second) of variables that are left out.
        least: the smallest share of the pairs of the rarer variable that counts.

    Returns:
        The dispute, or None if there is none left.

    >>> moved = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    >>> found = most_disputed(moved)
    >>> found.first, found.second, found.pairs.tolist()
    (1, 2, [False, True, False, False])
    >>> most_disputed(moved, {(1, 2)}) is None
    True
    """
    changed = moved.abs() > _MOVED
    both = changed.double() @ changed.double().T
    size = both.diagonal()
    share = (both / torch.minimum(size[:, None], size).clamp(min=1)).triu(1)
    for first, second in settled:
        share[first - 1, second - 1] = 0
    worst = int(share.argmax())
    first, second = divmod(worst, len(moved))
    if share[first, second] <= least:
        return None
    return Dispute(first + 1, second + 1, changed[first] & changed[second])


def settle_disputes(search: TargetSearch, variables: FoundVariables) -> FoundVariables:
    """Give the pairs that two variables share to one of them, after the functions of the other that then keep them.

    Args:
        search: searches in the features of the pairs.
        variables: functions and targets that may be disputed.

    Returns:
        Functions of which each couple was tried once.
    """
    settled: set[tuple[int, int]] = set()
    while (dispute := most_disputed(variables.moved, settled)) is not None:
        couple = dispute.first, dispute.second
        settled.add(couple)
        quiet = (variables.moved.abs() < _MOVED).all(0)  # nothing that was found tells whose these are
        certain = torch.where(quiet, UNSURE, variables.target)
        if variables.still is not None:
            certain[variables.still] = 0
        answers = []
        for owner, rival in (couple, couple[::-1]):
            target = torch.where(dispute.pairs, owner, certain)
            found = search.functions(target, rival, _FUNCTIONS, variables.functions[rival])
            keep = (found.change[:, dispute.pairs].abs() < _MOVED).double().mean(1) > 0.5
            if bool(keep.any()) and float(found.nats[keep].max()) > _ENOUGH:
                functions = {owner: search.judged(target, owner, variables.functions[owner]), rival: found.only(keep)}
                answers.append((sum(float(found.nats.max()) for found in functions.values()), functions))
        if answers:
            variables = variables.with_functions(max(answers, key=lambda answer: answer[0])[1])
    return variables
