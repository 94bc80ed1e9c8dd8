"""Decomposable scores: what a graph score is, and how its values are kept.

A score of a graph is a sum over variables of log p(data of the child | data of its parents), the marginal
likelihood of one mechanism. Interventions enter through the rows (Cooper & Yoo, UAI 1999): a row in which a
variable was the target says nothing about that variable's own mechanism, and everything about the others'.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData, IntArray

CHUNK = 16_384
"""Parent sets that are scored in one batch; bounds the memory of a batched factorisation."""
_MOST_VALUES = 2_000_000
"""Values kept for all variables together: 400 MB."""


@runtime_checkable
class LocalScore(Protocol):
    """What an engine asks of a score. Anything with these four members is one."""

    @property
    def num_variables(self) -> int:
        """Number of variables d."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the d variables."""

    def local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Log p(data of child | parents): (n, d) booleans in, (n,) floats out."""

    def total(self, adjacency: ArrayLike) -> FloatArray:
        """Log p(data | graph): (..., d, d) adjacency[parent, child] in, (...) floats out."""


class CachedScore(ABC):
    """A local score that computes each parent set once.

    A subclass gives ``_prepare``, the statistics of one group of rows, and ``_evidence``, the log evidence of
    many parent sets given them.

    Args:
        data: The rows.
        cache_size: Most values kept for one variable, and never more than 2 million over the d; the oldest go first. A
            value takes about 0.2 kB.

    Attributes:
        kept_groups: Most groups of rows whose statistics are kept at once. Under hard interventions each variable has
            rows of its own, and d statistics of a score that needs much of them would fill the memory.
    """

    kept_groups: int | None = None

    def __init__(self, data: GraphData, *, cache_size: int = 500_000) -> None:
        if cache_size < 1:
            raise ValueError(f"cache_size: got {cache_size}, expected at least 1")
        self.data = data
        self._cache_size = min(cache_size, max(1, _MOST_VALUES // data.num_variables))
        self._cache: list[dict[bytes, float]] = [{} for _ in range(data.num_variables)]
        self._prepared: dict[bytes, Any] = {}
        self._statistics: dict[int, list[Any]] = {}

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return self.data.num_variables

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the d variables."""
        return self.data.names

    def local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Log marginal likelihood of a variable's mechanism for each of many parent sets.

        Args:
            child: The variable, 0 ... d - 1.
            parent_sets: (n, d) booleans; column i says whether variable i is a parent.

        Returns:
            (n,) values of log p(data of child | data of parents), in nats.

        Raises:
            ValueError: If the shape does not fit, or a set holds the child itself.
        """
        sets = as_parent_sets(child, parent_sets, self.num_variables)
        cache = self._cache[child]
        keys = _set_keys(sets)
        missing = {key: row for row, key in enumerate(keys) if key not in cache}
        if not missing:
            return np.fromiter(map(cache.__getitem__, keys), np.float64, len(keys))
        rows = np.fromiter(missing.values(), np.int64, len(missing))
        fresh = np.concatenate([self._compute(child, sets[rows[i : i + CHUNK]]) for i in range(0, len(rows), CHUNK)])
        found = dict(zip(missing, fresh.tolist(), strict=True))
        result = np.fromiter((found[k] if k in found else cache[k] for k in keys), np.float64, len(keys))
        cache.update(found)
        while len(cache) > self._cache_size:
            del cache[next(iter(cache))]
        return result

    def total(self, adjacency: ArrayLike) -> FloatArray:
        """Log marginal likelihood of graphs: the sum of their local scores.

        Args:
            adjacency: (..., d, d) zeros and ones, ``adjacency[..., parent, child]``.

        Returns:
            (...) values of log p(data | graph), in nats.
        """
        return total_score(self, adjacency)

    def row_statistics(self, child: int) -> list[Any]:
        """Statistics of each group of rows of a variable (see `GraphData.row_groups`).

        Computed once, and shared by variables that the same rows count for.
        """
        if child not in self._statistics:
            if self.kept_groups is not None and len(self._prepared) >= self.kept_groups:
                self._statistics.clear()
                self._prepared.clear()
            self._statistics[child] = [self._share(*group) for group in self.data.row_groups(child)]
        return self._statistics[child]

    def of_rows(self, child: int, rows: IntArray, parent_sets: BoolArray) -> FloatArray:
        """Log evidence of one mechanism from some rows alone, whatever was a target in them; not kept.

        Args:
            child: The variable.
            rows: (m,) numbers of rows, at least one.
            parent_sets: (n, d) booleans.

        Returns:
            (n,) values.
        """
        weights = np.ones(len(rows)) if self.data.weights is None else self.data.weights[rows, child]
        return self._evidence(self._share(rows, weights), child, parent_sets)

    def _share(self, rows: IntArray, weights: FloatArray) -> Any:
        key = hashlib.sha256(rows.tobytes() + weights.tobytes()).digest()
        if key not in self._prepared:
            self._prepared[key] = self._prepare(self.data.values[rows], weights)
        return self._prepared[key]

    def _compute(self, child: int, parent_sets: BoolArray) -> FloatArray:
        total = np.zeros(len(parent_sets))
        for statistics in self.row_statistics(child):
            total += self._evidence(statistics, child, parent_sets)
        return total

    @abstractmethod
    def _prepare(self, values: FloatArray, weights: FloatArray) -> Any:
        """Statistics of one group of rows: (n, d) values and (n,) weights."""

    @abstractmethod
    def _evidence(self, statistics: Any, child: int, parent_sets: BoolArray) -> FloatArray:
        """Log evidence of (n, d) parent sets from one group's statistics, (n,)."""


def total_score(score: LocalScore, adjacency: ArrayLike) -> FloatArray:
    """Sum a score's local values over the variables of each graph.

    Args:
        score: The score.
        adjacency: (..., d, d) zeros and ones, ``adjacency[..., parent, child]``.

    Returns:
        (...) sums, in nats.

    Raises:
        ValueError: If the last two dimensions are not (d, d).
    """
    graphs = np.asarray(adjacency) != 0
    size = score.num_variables
    if graphs.ndim < 2 or graphs.shape[-2:] != (size, size):
        raise ValueError(f"adjacency: got shape {graphs.shape}, expected (..., {size}, {size})")
    flat = graphs.reshape(-1, size, size)
    result = np.zeros(len(flat))
    for child in range(size):
        result += score.local(child, flat[:, :, child])
    return result.reshape(graphs.shape[:-2])


def as_parent_sets(child: int, parent_sets: ArrayLike, num_variables: int) -> BoolArray:
    """Check parent sets of a variable and give them as (n, d) booleans."""
    sets: BoolArray = np.asarray(parent_sets) != 0
    if not 0 <= child < num_variables:
        raise ValueError(f"child: got {child}, expected 0 ... {num_variables - 1}")
    if sets.ndim != 2 or sets.shape[1] != num_variables:
        raise ValueError(f"parent_sets: got shape {sets.shape}, expected (n, {num_variables})")
    if sets[:, child].any():
        raise ValueError(f"parent_sets: variable {child} among its own parents, expected sets without it")
    return sets


def _set_keys(sets: BoolArray) -> list[bytes]:
    packed = np.ascontiguousarray(np.packbits(sets, axis=1))
    keys: list[bytes] = packed.view(f"V{packed.shape[1]}").ravel().tolist()
    return keys
