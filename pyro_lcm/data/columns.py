"""Named arrays with a row for each pair, and which of the rows are chosen, in memory or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.checks import PER_PAIR_KEYS
from pyro_lcm.data.lazy import LazyRows, RowsOf


@dataclass(frozen=True)
class Columns:
    """Arrays of pairs by name.

    Attributes:
        arrays: In memory, memory-mapped or lazy; those in ``PER_PAIR_KEYS`` have a row for each pair.
        rows: (N,) which rows are chosen; None for all.
        mapped: Whether some are not in memory, so that rows are chosen without reading them.
        features: Names of the features of observations, of vectors from a table; else empty.

    >>> columns = Columns({"x": np.arange(6).reshape(3, 2)})
    >>> columns.chosen(np.array([2, 0])).get("x")
    array([[4, 5],
           [0, 1]])
    """

    arrays: Mapping[str, Any]
    rows: NDArray[np.int64] | None = None
    mapped: bool = False
    features: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of chosen rows."""
        return len(self.arrays["x"]) if self.rows is None else len(self.rows)

    def unread(self, key: str) -> Any:
        """An array, or its chosen rows without reading them; None if there is none."""
        array = self.arrays.get(key)
        if array is None or self.rows is None or key not in PER_PAIR_KEYS:
            return array
        return array.select(self.rows) if isinstance(array, LazyRows) else RowsOf(array, self.rows)

    def get(self, key: str) -> Any:
        """An array, or its chosen rows, read unless they are lazy; None if there is none."""
        rows = self.unread(key)
        return rows[:] if isinstance(rows, RowsOf) else rows

    def read(self, key: str, index: Any) -> NDArray[Any]:
        """Read some of the chosen rows.

        Args:
            key: Of the array.
            index: A slice or 1-d integers.
        """
        rows: NDArray[Any] = self.arrays[key][index if self.rows is None else self.rows[index]]
        return rows

    def chosen(self, index: slice | NDArray[np.int64]) -> Columns:
        """Choose among the chosen rows: a view for a slice or if some arrays are not in memory, else a copy."""
        if self.rows is not None:
            return replace(self, rows=self.rows[index])
        if self.mapped and not isinstance(index, slice):
            return replace(self, rows=index)
        arrays = {key: _chosen(array, index) if key in PER_PAIR_KEYS else array for key, array in self.arrays.items()}
        return replace(self, arrays=arrays)

    def in_memory(self) -> Columns:
        """Read all chosen rows."""
        if not self.mapped:
            return self
        return Columns({key: np.array(self.get(key)) for key in self.arrays}, features=self.features)


def _chosen(array: Any, index: slice | NDArray[np.int64]) -> Any:
    return array.select(index) if isinstance(array, LazyRows) else array[index]
