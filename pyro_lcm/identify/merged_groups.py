"""Whether the pairs of a group are of two variables, and which are whose.

A function of two variables is changed by the pairs of both, and a search that takes these for one group is a variable
short. Several functions that all other pairs keep, and that tell observations apart together, are coordinates of the
one variable or of the two, with nothing of any other in them. Among so few coordinates it is easy to find a function
that half of the group's pairs keep. Along one variable there is none: a function that many pairs keep hardly varies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.identify.target_search import UNKNOWN, WORTH, TargetSearch, mark_changed

__all__ = ["split_group"]

_FUNCTIONS = 8
_SLACK = 0.5
"""Nats by which a function may be below the best one and still be of the group alone."""
_FEWEST = 40
"""Pairs of a group that is looked at, as of two variables that are searched for."""
_SHARE = 0.2
"""Smallest part of a group that is one of two variables."""


def split_group(search: TargetSearch, target: Tensor, number: int, second: int) -> Tensor | None:
    """Part a group in two if its pairs are of two variables.

    Args:
        search: searches in the features of the pairs.
        target: (N,) groups as :meth:`TargetSearch.functions` takes them.
        number: of the group.
        second: of a group that there is not yet.

    Returns:
        (N,) groups with the second one, or None if all are of one variable, as far as is found.
    """
    members = target == number
    if int(members.sum()) < _FEWEST:
        return None
    found = search.functions(target, number, _FUNCTIONS)
    own = found.only(found.nats > found.nats.max() - _SLACK)
    inner = TargetSearch(own.before.T[members], own.after.T[members], 2, seed=number, steps=search.steps)
    function = inner.next_function(torch.full((int(members.sum()),), UNKNOWN), 2)
    if float(function.nats) < WORTH:
        return None
    parted = target.clone()
    parted[members] = mark_changed(target[members], number, function, second)
    sizes = [int((parted == part).sum()) for part in (number, second)]
    return parted if min(sizes) > _SHARE * int(members.sum()) else None
