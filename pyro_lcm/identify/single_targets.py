"""Which intervention a pair has seen, from functionals of x that few interventions change.

A functional u(x) of a causal variable z_j alone differs between the two sides of a pair only if the target is z_j or
one of its ancestors; one of a root of the graph differs for one target in d. No coordinates have to be known for that:
any functional will do, monotone in z_j or not. Sought are linear functionals of given features (principal components,
say) that most pairs leave as they are, and that yet vary as much as they can between observations,

    max_w  log E k(w'(x~ - x) / s) - log E k(w'(x' - x'') / s),        k(t) = exp(-t^2 / 2),

x' and x'' two observations at random: a lower bound of what the two sides of a pair have in common, in nats, at the
resolution s, which starts wide and narrows. The pairs that change it are those of one target. They are set aside, what
its functionals explain is regressed out, and the search goes on among the others, in which that variable is a constant
and its children are roots. That one variable alone changes in a noise encoding is what makes pairs identify a model
(Brehmer et al. 2022, arXiv 2203.16437, theorem 1); here it is used before there is any encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["find_single_targets", "two_groups"]

_STARTS = 32
_STEPS = 400
_BATCH = 2000
_TRIES = 3
_RESOLUTION = 0.1
"""Of functionals at the end of the search, in units of their standard deviation; at the start it is 1."""
_SLACK = 0.2
"""Nats by which a candidate may be below the best one and still win by how clearly it parts the pairs."""
_FLOOR = 0.5
"""Share of a functional's variance that counts though what was found before explains it."""
_WIDTH = 8
"""Most functionals that are kept for one variable."""
_LEAST = 0.02
"""Smallest share of the pairs that are left which a variable is believed to be the target of."""
_APART = 3.0
"""Distance of the means, in pooled standard deviations, from which on two groups are two."""
_HIDDEN = 400
"""Random features of what was found, by which it is regressed out."""


def find_single_targets(
    before: ArrayLike, after: ArrayLike, dim: int, *, seed: int = 0, pairs: int = 20_000
) -> NDArray[np.int64]:
    """Guess the intervention target of each pair.

    Args:
        before: (N, k) features of the observations before.
        after: (N, k) the same features after.
        dim: number of causal variables d.
        seed: of the search.
        pairs: how many pairs to search on at most; the others are told by what was found.

    Returns:
        (N,) targets, 0 = none, 1 to d = a variable, in the order in which they were found, causes before effects;
        -1 where it remains unknown.

    Raises:
        ValueError: if the shapes do not fit, or no pair shows a difference.

    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 3, 3000)
    >>> x = rng.normal(size=(3000, 2))
    >>> moved = np.where(target[:, None] == [1, 2], rng.normal(size=(3000, 2)), x)
    >>> mixing = rng.normal(size=(2, 5))
    >>> found = find_single_targets(np.tanh(x) @ mixing, np.tanh(moved) @ mixing, 2)
    >>> bool(max((found == target).mean(), (np.array([0, 2, 1])[found] == target).mean()) > 0.95)
    True
    """
    first, second = (torch.as_tensor(np.asarray(side), dtype=torch.float32) for side in (before, after))
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"after: got shape {tuple(second.shape)}, expected (N, k) as before, {tuple(first.shape)}")
    if dim < 1:
        raise ValueError(f"dim: got {dim}, expected at least 1")
    difference = second - first
    size = difference.square().sum(1)
    if not bool((size > 0).any()):
        raise ValueError("after: got the same as before, expected some pairs that differ")
    rows = torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))[:pairs].sort().values
    scale = torch.cat([first[rows], second[rows]]).std(0).clamp(min=1e-12)
    target = torch.full((len(first),), -1)
    logs = (size + 1e-10 * size.mean()).log()
    still, apart = two_groups(logs.numpy())
    if apart > _APART:
        target[logs <= still] = 0
    search = _Search(torch.cat([first[rows], second[rows]]) / scale, scale / scale.max(), seed)
    difference = difference / scale
    for number in range(1, dim):
        pool = (target == -1).nonzero()[:, 0]
        if len(pool) < 20 * dim:
            break
        looked_at = difference[pool[torch.isin(pool, rows)]]
        functionals, cut = next((f for _ in range(_TRIES) if (f := search.next(looked_at))[0] is not None), (None, 0.0))
        if functionals is None:
            return np.asarray(target.numpy(), dtype=np.int64)
        target[pool[_response(difference[pool], functionals) > cut]] = number
        if number < dim - 1:
            search.regress_out(functionals)
    target[target == -1] = dim
    return np.asarray(target.numpy(), dtype=np.int64)


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


def _response(difference: Tensor, functionals: Tensor) -> Tensor:
    """Logarithm of how much a pair changes functionals (k, r), (N,)."""
    return (difference @ functionals).square().sum(1).clamp(min=1e-8).log()


class _Search:
    """The search for the next variable; holds features of both sides and what is left of them.

    Args:
        features: (M, k), of unit variance.
        weights: (k,), how large those of each feature are where the search starts.
        seed: of everything random.
    """

    def __init__(self, features: Tensor, weights: Tensor, seed: int) -> None:
        self.weights = weights
        self.features = features - features.mean(0)
        self.left = self.features
        self.covariance = torch.cov(features.T).reshape(features.shape[1], -1)
        self.found: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def next(self, difference: Tensor) -> tuple[Tensor | None, float]:
        """Functionals (k, r) that only one target among those of the pairs changes, and the cut of their response."""
        best, chosen, cut = -np.inf, None, 0.0
        for lacking, functional in self._candidates(difference):
            found = self._widen(difference, (difference @ functional).abs() > 2 * _RESOLUTION)
            if found is None:
                continue
            functionals, at, apart = found
            score = apart + 10 * min(0.0, _SLACK - lacking)
            if score > best:
                best, chosen, cut = score, functionals, at
        return chosen, cut

    def _candidates(self, difference: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Functionals (k,) of unit scale that part the pairs differently, and by how many nats they lack the best."""
        functionals, nats = self._climb(difference)
        seen: list[Tensor] = []
        best: float | None = None
        for number in nats.argsort(descending=True).tolist():
            changed = (difference @ functionals[:, number]).abs() > 2 * _RESOLUTION
            if float(changed.float().mean()) < _LEAST or any(_alike(changed, other) > 0.8 for other in seen):
                continue
            seen.append(changed)
            best = float(nats[number]) if best is None else best
            yield best - float(nats[number]), functionals[:, number]

    def _climb(self, difference: Tensor) -> tuple[Tensor, Tensor]:
        """Local maxima (k, starts) of the criterion, in units of their standard deviation, and their values."""
        start = torch.randn(self.features.shape[1], _STARTS, generator=self.generator)
        weights = (start * self.weights[:, None]).requires_grad_()
        optimizer = torch.optim.Adam([weights], 5e-2)
        for step in range(_STEPS):
            optimizer.param_groups[0]["lr"] = 5e-2 * min(1.0, 2 * (1 - step / _STEPS))
            resolution = _RESOLUTION ** min(1.0, step / (0.6 * _STEPS))
            rows = torch.randint(len(difference), (_BATCH,), generator=self.generator)
            with torch.enable_grad():
                _, nats = self._criterion(weights, difference[rows], resolution)
                optimizer.zero_grad()
                (-nats.sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            return self._criterion(weights, difference, _RESOLUTION)

    def _criterion(self, weights: Tensor, difference: Tensor, resolution: float) -> tuple[Tensor, Tensor]:
        one, other = (
            self.left[torch.randint(len(self.left), (_BATCH,), generator=self.generator)] @ weights for _ in range(2)
        )
        variance = torch.cat([one, other]).var(0)
        # Else a rest that regression leaves of what was found would count as much as a variable of its own.
        scale = (variance + _FLOOR * (self.covariance @ weights * weights).sum(0)).sqrt()
        of_pairs, at_random = (difference @ weights) / scale, (one - other) / scale
        kept, met = ((-(d / resolution).square() / 2).exp().mean(0).log() for d in (of_pairs, at_random))
        return weights / scale, kept - met

    def _widen(self, difference: Tensor, changed: Tensor) -> tuple[Tensor, float, float] | None:
        """From one functional to all that the same pairs change and the others do not (a discriminant analysis)."""
        eye = torch.eye(difference.shape[1])
        functionals, cut, apart = eye[:, :0], 0.0, 0.0
        for _ in range(4):
            if min(int(changed.sum()), int((~changed).sum())) < 50:
                return None
            inside, outside = (part.T @ part / len(part) for part in (difference[changed], difference[~changed]))
            inverse = torch.linalg.inv(torch.linalg.cholesky(outside + 1e-3 * eye))
            ratios, axes = torch.linalg.eigh(inverse @ inside @ inverse.T)
            wide = int((ratios.flip(0)[:_WIDTH] > max(0.1 * float(ratios[-1]), 20.0)).sum())
            functionals = (inverse.T @ axes).flip(1)[:, : max(1, wide)]
            response = _response(difference, functionals)
            cut, apart = two_groups(response.numpy())
            changed = response > cut
        return functionals, cut, apart

    def regress_out(self, functionals: Tensor) -> None:
        """Leave of the features what no function of the functionals found so far explains."""
        self.found.append(functionals)
        known = torch.cat([self.features @ found for found in self.found], 1)
        known = known / known.std(0).clamp(min=1e-12)
        turn = 1.5 * torch.randn(known.shape[1], _HIDDEN, generator=self.generator) / known.shape[1] ** 0.5
        hidden = torch.tanh(known @ turn + torch.randn(_HIDDEN, generator=self.generator))
        hidden = torch.cat([hidden, known, torch.ones(len(known), 1)], 1)
        gram = hidden.T @ hidden + 1e-5 * len(hidden) * torch.eye(hidden.shape[1])
        self.left = self.features - hidden @ torch.linalg.solve(gram, hidden.T @ self.features)


def _alike(one: Tensor, other: Tensor) -> float:
    """Jaccard index of two sets of pairs."""
    return float((one & other).sum() / (one | other).sum().clamp(min=1))
