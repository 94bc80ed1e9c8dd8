"""Interventions whose targets are unknown: any mechanism may be another one in their rows, and the rows say which.

Rows come in regimes (conditions, experiments). In the reference every variable has its mechanism; in another regime a
variable keeps it, or has one of its own with the same parents. With probability c of a change, each variable and regime
on its own, the evidence of a variable given its parents is a sum over the set S of regimes that keep the mechanism,

    sum over S of (1 - c)^|S| c^(R - |S|) p(rows of reference and S) product over r not in S of p(rows of r)

(Eaton & Murphy, AISTATS 2007, where the indicators are nodes of their own). A perfect intervention is a change to a
mechanism without dependence. Up to six regimes all sets are summed; beyond, those on the way of taking in the regime
that helps most, one after the other, and their neighbours, which is a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData, IntArray
from pyro_lcm.discovery.scores.base import CachedScore, as_parent_sets, total_score

MOST_SUMMED = 6
"""Most regimes whose sets are all summed."""
MOST_REGIMES = 60
_CHUNK = 4096


class UnknownTargetsScore:
    """Evidence of mechanisms that may change in each regime of unknown rows, a local score.

    Args:
        build: Makes a score of rows, one that keeps values (`CachedScore`).
        data: The rows; those that are ``unknown`` come in regimes. A variable that is declared a target in a regime has
            changed there for sure (its rows do not count where the intervention is perfect).
        change_probability: Prior probability c that a variable changes in a regime; 1 / d when None, one of the d
            variables a regime on average.

    Raises:
        ValueError: If there are no unknown rows, or too many regimes.

    Example:
        >>> from pyro_lcm.discovery.scores.bge import BGeScore
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 2))
        >>> x[:100, 1] += x[:100, 0]  # not in the second half: something was done to the effect
        >>> score = UnknownTargetsScore(BGeScore, GraphData(x, unknown=np.arange(200) >= 100))
        >>> score.change_probabilities([[[0, 1], [0, 0]]]).round(2).tolist()[0]
        [0.01, 1.0]
    """

    def __init__(
        self,
        build: Callable[[GraphData], CachedScore],
        data: GraphData,
        *,
        change_probability: float | None = None,
    ) -> None:
        if data.unknown is None or not data.unknown.any():
            raise ValueError("data: got no unknown rows, expected some")
        size = data.num_variables
        chance = 1.0 / max(2, size) if change_probability is None else change_probability
        if not 0.0 < chance < 1.0:
            raise ValueError(f"change_probability: got {change_probability}, expected between 0 and 1")
        labels = np.zeros(len(data.values), np.int64) if data.regimes is None else data.regimes
        self.regimes = np.unique(labels[data.unknown])
        if len(self.regimes) > MOST_REGIMES:
            raise ValueError(f"regimes: got {len(self.regimes)} of unknown targets, expected at most {MOST_REGIMES}")
        self.data = data
        self._unknown = np.asarray(data.unknown)
        self._inner = build(data)
        self._log_odds = float(np.log(chance) - np.log1p(-chance))
        self._base = float(np.log1p(-chance))
        self._rows = [np.flatnonzero(data.unknown & (labels == label)) for label in self.regimes]
        self._cache: list[dict[bytes, tuple[float, FloatArray]]] = [{} for _ in range(size)]

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return self.data.num_variables

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the d variables."""
        return self.data.names

    def local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Log evidence (n,) of a variable for (n, d) parent sets, changes summed over."""
        return self._find(child, parent_sets)[0]

    def total(self, adjacency: ArrayLike) -> FloatArray:
        """Log evidence (...) of graphs (..., d, d)."""
        return total_score(self, adjacency)

    def change_probabilities(self, graphs: ArrayLike) -> FloatArray:
        """Posterior probability that a variable changed in a regime, averaged over draws of graphs.

        Args:
            graphs: (n, d, d) DAGs.

        Returns:
            (regimes, d) probabilities, 1 where a variable is declared a target.
        """
        drawn = np.asarray(graphs) != 0
        return np.stack([self._find(j, drawn[:, :, j])[1].mean(axis=0) for j in range(self.num_variables)], axis=1)

    def _find(self, child: int, parent_sets: ArrayLike) -> tuple[FloatArray, FloatArray]:
        sets = as_parent_sets(child, parent_sets, self.num_variables)
        unique, inverse = np.unique(sets, axis=0, return_inverse=True)
        kept = self._cache[child]
        keys = [row.tobytes() for row in np.packbits(unique, axis=1)]
        new = [k for k, key in enumerate(keys) if key not in kept]
        for start in range(0, len(new), _CHUNK):
            part = new[start : start + _CHUNK]
            values, changes = self._sum(child, unique[part])
            kept.update({keys[k]: (float(v), c) for k, v, c in zip(part, values, changes, strict=True)})
        value = np.array([kept[key][0] for key in keys])
        change = np.stack([kept[key][1] for key in keys])
        return value[inverse.ravel()], change[inverse.ravel()]

    def _sum(self, child: int, sets: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Log sums (n,) over sets of regimes, and probabilities (n, regimes) of a change."""
        data = self.data
        hit = np.zeros(len(data.values), bool) if data.targets is None else data.targets[:, child]
        imperfect = np.asarray(data.imperfect)[:, child]
        declared = np.array([bool(hit[rows].any()) for rows in self._rows])
        counted = [rows[~hit[rows] | imperfect[rows]] for rows in self._rows]
        free = [k for k in range(len(self._rows)) if not declared[k] and len(counted[k])]
        reference = np.flatnonzero(~self._unknown & ~hit)
        fixed = np.zeros(len(sets))
        for rows, _ in data.row_groups(child)[1:]:
            outside = rows[~self._unknown[rows]]
            fixed += self._evidence(child, outside, sets) if len(outside) else 0.0
        for k in np.flatnonzero(declared):
            fixed += self._evidence(child, counted[k], sets) if len(counted[k]) else 0.0
        own = np.stack([self._evidence(child, counted[k], sets) for k in free]) if free else np.zeros((0, len(sets)))
        changed = np.ones((len(sets), len(self._rows)))
        changed[:, [k for k in range(len(self._rows)) if not declared[k] and not len(counted[k])]] = 0.5
        pools = _Pools(
            lambda rows, chosen: self._evidence(child, rows, chosen), sets, reference, [counted[k] for k in free]
        )
        visit = pools.every if len(free) <= MOST_SUMMED else pools.greedy
        masks, log_pool = visit(own, self._log_odds)
        apart = ~masks  # (states, n, free)
        log_weight = log_pool + np.where(apart, own.T[None] + self._log_odds, 0.0).sum(axis=2) + len(free) * self._base
        top = log_weight.max(axis=0)
        weight = np.exp(log_weight - top)
        total = weight.sum(axis=0)
        changed[:, free] = (weight[:, :, None] * apart).sum(axis=0) / total[:, None]
        return fixed + top + np.log(total), changed

    def _evidence(self, child: int, rows: IntArray, sets: BoolArray) -> FloatArray:
        return self._inner.of_rows(child, rows, sets)


class _Pools:
    """Evidence of the rows that share the reference's mechanism, for sets of regimes that were taken in."""

    def __init__(
        self,
        evidence: Callable[[IntArray, BoolArray], FloatArray],
        sets: BoolArray,
        reference: IntArray,
        regimes: list[IntArray],
    ) -> None:
        self._evidence, self._sets, self._reference, self._regimes = evidence, sets, reference, regimes

    def every(self, own: FloatArray, log_odds: float) -> tuple[BoolArray, FloatArray]:
        """All sets of regimes: masks (2^R, n, R), true where taken in, and log evidence (2^R, n)."""
        del own, log_odds
        count, number = len(self._regimes), len(self._sets)
        masks = ((np.arange(1 << count)[:, None] >> np.arange(count)) & 1) == 1
        values = np.stack([self._of(mask, np.arange(number)) for mask in masks])
        return np.broadcast_to(masks[:, None], (len(masks), number, count)), values

    def greedy(self, own: FloatArray, log_odds: float) -> tuple[BoolArray, FloatArray]:
        """Take in the regime that helps most until all are in; what was looked at on the way is kept."""
        count, number = len(self._regimes), len(self._sets)
        mask = np.zeros((number, count), dtype=bool)
        states = [mask.copy()]
        values = [self._of(mask[0], np.arange(number))]
        for _ in range(count):
            gain = np.full((number, count), -np.inf)
            looked = np.full((number, count), -np.inf)
            for k in range(count):
                rows = np.flatnonzero(~mask[:, k])
                for pool, members in _alike(mask[rows]):
                    grown = pool.copy()
                    grown[k] = True
                    looked[rows[members], k] = self._of(grown, rows[members])
                gain[rows, k] = looked[rows, k] - own[k, rows] - log_odds
                state = mask.copy()
                state[:, k] = True
                states.append(state)
                values.append(np.where(mask[:, k], -np.inf, looked[:, k]))
            best = gain.argmax(axis=1)
            mask[np.arange(number), best] = True
        return np.stack(states), np.stack(values)

    def _of(self, mask: BoolArray, which: IntArray) -> FloatArray:
        rows = np.sort(
            np.concatenate([self._reference, *(r for r, taken in zip(self._regimes, mask, strict=True) if taken)])
        )
        return self._evidence(rows, self._sets[which]) if len(rows) else np.zeros(len(which))


def _alike(masks: BoolArray) -> list[tuple[BoolArray, NDArray[np.int64]]]:
    """Different rows of (n, R) booleans, each with where it is."""
    unique, inverse = np.unique(masks, axis=0, return_inverse=True)
    return [(unique[k], np.flatnonzero(inverse.ravel() == k)) for k in range(len(unique))]
