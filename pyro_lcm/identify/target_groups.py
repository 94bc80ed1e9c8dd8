"""Pairs in groups: those that nothing has changed, and those that change the functions of one variable alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["infer_single_targets", "the_same", "two_groups", "unchanged"]

_APART = 3.0
"""Distance of the means, in pooled standard deviations, from which on two groups are two."""
_ROUNDING = 1e-6
"""Mean square difference of two sides that are the same, in units of that of two that are not."""
_NONE = 8.0
"""Twice the nats that a target has to gain over none."""


def unchanged(before: Tensor, after: Tensor) -> Tensor | None:
    """Pairs (N,) of (N, k) features that nothing has changed, or None if these do not stand apart from the others.

    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> int(unchanged(x, torch.cat([x[:100] + 1e-4, x[100:].roll(1, 0)])).sum())
    100
    """
    size = (after - before).square().sum(1)
    logs = (size + 1e-10 * size.mean()).log()
    cut, apart = two_groups(logs.cpu().numpy())
    return logs <= cut if apart > _APART else None


def the_same(before: Tensor, after: Tensor) -> Tensor | None:
    """Pairs (N,) of (N, k) features whose sides are the same to rounding, or None if there are none.

    Of these it is certain that nothing has changed them, and of the others that something has; pairs that noise alone
    parts are among neither.

    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> moved = torch.cat([x[:100], x[100:].roll(1, 0)])
    >>> int(the_same(x, moved).sum()), the_same(x, moved + 0.01 * x.roll(7, 0))
    (100, None)
    """
    still = unchanged(before, after)
    size = (after - before).square().sum(1)
    rounding = still is not None and float(size[still].mean()) < _ROUNDING * float(size[~still].mean())
    return still if rounding else None


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
