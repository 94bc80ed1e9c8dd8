"""Which intervention a pair has seen, from functions of x that few interventions change.

Functions that pairs keep and that yet vary are of one noise encoding each (:mod:`pyro_lcm.identify.kept_functions`).

1. *One at a time.* The pairs that change a function are those of one target; they become a group, and the next function
   has to keep the group, too. Of several starts that one is taken which parts the pairs most clearly.
2. *Again.* With all groups known, several functions of each variable are found anew, which have to keep all other
   groups, and each pair goes to the variable whose functions it changes, all others being kept up to their own
   tolerance. A function that folds, so that some of its changes come to nothing, is made up for by the others of its
   variable.
3. *Unrolled.* Pairs say nothing of which way a function of one noise encoding runs: where an object moves across an
   image it is a wave or two as readily as a slope. Together, the functions of a variable put it on a curve, and how far
   along it is is one function that neither folds nor tears (:mod:`pyro_lcm.identify.unrolling`). Targets are inferred
   once more from how these change. Pairs that differ, where these can be told, are some variable's, however little a
   function changes: taken for pairs that nothing has changed they hold two places of a variable together, and what is
   learned from them folds or tears there.

That one variable alone changes in a noise encoding is what makes pairs identify a model (Brehmer et al. 2022,
arXiv 2203.16437, theorem 1); here it is used before there is any encoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.identify.kept_functions import KeptFunctions, find_kept_functions
from pyro_lcm.identify.unrolling import unroll_curve

__all__ = ["SingleTargets", "find_single_targets", "infer_single_targets", "two_groups", "unchanged"]

_STARTS = 8
"""Functions that are tried for each variable, one variable at a time."""
_AGAIN = 4
"""Functions of each variable once all groups are known."""
_CHANGED = 0.2
"""Standard deviations of a function from which on a pair has changed it."""
_SLACK = 0.3
"""Nats by which a function may be below the best one and still count."""
_ALIKE = 0.15
"""Nats by which one may be and still help to unroll a variable: those further below are of other variables as well."""
_SLENDER = 2.0
"""How slender a curve has to be (:class:`~pyro_lcm.identify.unrolling.Unrolled`): functions that are of other variables
as well make a surface of it."""
_LEAST = 0.02
"""Smallest share of the pairs that are left which a variable is believed to be the target of."""
_APART = 3.0
"""Distance of the means, in pooled standard deviations, from which on two groups are two."""
_SOFTENING = 0.05
"""Features are brought to one scale; those far below this share of the largest stay small."""
_NONE = 8.0
"""Twice the nats that a target has to gain over none."""


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
    before: ArrayLike, after: ArrayLike, dim: int, *, seed: int = 0, steps: int = 400
) -> SingleTargets:
    """Guess the intervention target of each pair.

    Args:
        before: (N, k) features of the observations before.
        after: (N, k) the same features after.
        dim: number of causal variables d.
        seed: of the search.
        steps: in which functions are found, each time.

    Returns:
        Targets and functions.

    Raises:
        ValueError: if the shapes do not fit, or no pair shows a difference.

    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 3, 3000)
    >>> x = rng.normal(size=(3000, 2))
    >>> moved = np.where(target[:, None] == [1, 2], rng.normal(size=(3000, 2)), x)
    >>> mixing = rng.normal(size=(2, 5))
    >>> found = find_single_targets(np.tanh(x) @ mixing, np.tanh(moved) @ mixing, 2).target
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
    target = torch.full((len(first),), -1)
    if still is not None:
        target[still] = 0
    search = _Search(first, second, seed, steps)
    # Where noise hides which pairs nothing has changed, they are those that remain, and the last variable is not.
    last = 0 if still is None else dim
    for number in range(1, dim + (last == 0)):
        left = target == -1
        if int(left.sum()) < 20 * dim:
            break
        target[search.next(target, number, dim)] = number
    target[target == -1] = last
    found = search.again(target, dim)
    nats = found.nats.reshape(dim, _AGAIN)
    values = torch.cat([found.before, found.after], 1).reshape(dim, _AGAIN, -1)
    places = [_unrolled(*parts, seed) for parts in zip(values.numpy(), nats.numpy(), strict=True)]
    sides = np.split(np.column_stack(places).astype(np.float32), 2)
    if dim > 1:
        poor = nats < nats.max(1, keepdim=True).values - _SLACK
        change = found.change.square().reshape(dim, _AGAIN, -1)
        target = infer_single_targets(change.masked_fill(poor[..., None], torch.nan), target)
        moved = torch.from_numpy(sides[1] - sides[0]).T.square().unsqueeze(1)
        for _ in range(2):  # the first time with tolerances by targets that are not as good
            target = infer_single_targets(moved, target, still)
    return SingleTargets(np.asarray(target.numpy(), dtype=np.int64), *sides)


def unchanged(before: Tensor, after: Tensor) -> Tensor | None:
    """Pairs (N,) of (N, k) features that nothing has changed, or None if these do not stand apart from the others.

    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> int(unchanged(x, torch.cat([x[:100] + 1e-4, x[100:].roll(1, 0)])).sum())
    100
    """
    size = (after - before).square().sum(1)
    logs = (size + 1e-10 * size.mean()).log()
    cut, apart = two_groups(logs.numpy())
    return logs <= cut if apart > _APART else None


def _unrolled(functions: NDArray[np.float32], nats: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """A function (N,) that never turns, of several of one variable, (r, N), and of their values (r,)."""
    order = np.argsort(-nats)
    taken = functions[order[:1]]
    best = unroll_curve(taken.T, seed=seed)
    for number in order[1 : int((nats > nats.max() - _ALIKE).sum())]:
        wider = np.concatenate([taken, functions[number, None]])
        unrolled = unroll_curve(wider.T, seed=seed)
        if unrolled.slender >= _SLENDER:
            taken, best = wider, unrolled
    return best.place


def infer_single_targets(change: Tensor, target: Tensor, still: Tensor | None = None) -> Tensor:
    """Targets from how much pairs change functions: all but those of the target are kept up to their own tolerance.

    Args:
        change: (d, r, N) squared changes of r functions of each variable, in units of their variances; NaN where a
            function does not count.
        target: (N,) targets so far, by which tolerances are set: medians of what pairs of other targets change; -1 for
            unknown.
        still: (N,) pairs that nothing has changed, where that is known: all others are then some variable's, even
            where functions hardly change.

    Returns:
        (N,) targets, 0 = none, 1 to d = a variable.

    >>> change = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 1e-4]]])
    >>> infer_single_targets(change, torch.tensor([1, 2, 0])).tolist()
    [1, 2, 0]
    >>> infer_single_targets(change, torch.tensor([1, 2, 0]), torch.tensor([False, False, False])).tolist()
    [1, 2, 2]
    """
    rows = []
    for number, of_variable in enumerate(change, 1):
        others = of_variable[:, (target != number) & (target >= 0)]
        tolerance = others.median(1, keepdim=True).values if others.shape[1] else others.new_zeros(len(others), 1)
        rows.append((of_variable / (tolerance + 1e-4)).nanmean(0))
    apart = torch.stack(rows, -1)
    if still is not None:
        return torch.where(still, 0, apart.argmax(-1) + 1)
    total = apart.sum(-1, keepdim=True)
    return torch.cat([total - _NONE, total - apart], -1).argmin(-1)


def two_groups(values: NDArray[np.floating]) -> tuple[float, float]:
    """The cut that parts numbers in two with the largest variance between the parts (Otsu 1979), and how far apart.

    Args:
        values: (N,), at least two.

    Returns:
        The cut, and the distance of the two means in pooled standard deviations, 0 where there is one value only.

    >>> cut, apart = two_groups(np.array([0.0, 0.1, 0.2, 5.0, 5.1]))
    >>> 0.2 < cut < 5.0, apart > 10
    (True, True)
    """
    counts, edges = np.histogram(values, 200)
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * middles)
    above = counts.sum() - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    between = np.nan_to_num(between)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    cut = float(edges[1 + (best[0] + best[-1]) // 2])
    low, high = values[values <= cut], values[values > cut]
    if len(low) == 0 or len(high) == 0:
        return cut, 0.0
    spread = float(np.sqrt(low.var() + high.var()))
    return cut, float((high.mean() - low.mean()) / max(spread, 1e-12))


class _Search:
    """Features of both sides, brought to one scale.

    Args:
        before: (N, k) features.
        after: (N, k) features.
        seed: of everything random.
        steps: in which functions are found.
    """

    def __init__(self, before: Tensor, after: Tensor, seed: int, steps: int) -> None:
        both = torch.cat([before, after])
        sd = both.std(0)
        scale = 1 / (sd + _SOFTENING * sd.max())
        mean = both.mean(0)
        self.before, self.after = (before - mean) * scale, (after - mean) * scale
        self.blur = scale * sd.square().sum().sqrt()
        self.steps = steps
        self.generator = torch.Generator().manual_seed(seed)

    def next(self, target: Tensor, number: int, dim: int) -> Tensor:
        """Which pairs (N,) of unknown target, -1, are those of one more variable; 1 to number - 1 are known."""
        left = target == -1
        weights = torch.zeros(_STARTS, dim + 2, dtype=self.before.dtype)
        weights[:, 1:number] = 1
        weights[:, dim + 1] = 1
        found = self._functions(torch.where(left, dim + 1, target), weights)
        changed = (found.change.abs() > _CHANGED) & left
        best, chosen = -np.inf, int(found.nats.argmax())
        for start in (found.nats > found.nats.max() - _SLACK).nonzero()[:, 0].tolist():
            _, apart = two_groups((found.change[start, left].square() + 1e-6).log().numpy())
            if apart > best and int(changed[start].sum()) > _LEAST * int(left.sum()):
                best, chosen = apart, start
        return changed[chosen]

    def again(self, target: Tensor, dim: int) -> KeptFunctions:
        """Functions of each variable, one variable after another, given all targets."""
        own = torch.arange(1, dim + 1).repeat_interleave(_AGAIN)
        weights = torch.ones(len(own), dim + 1, dtype=self.before.dtype)
        weights[torch.arange(len(own)), own] = 0
        return self._functions(target, weights)

    def _functions(self, group: Tensor, weights: Tensor) -> KeptFunctions:
        return find_kept_functions(
            self.before, self.after, group, weights, blur=self.blur, generator=self.generator, steps=self.steps
        )
