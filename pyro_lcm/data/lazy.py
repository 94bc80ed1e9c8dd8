"""Rows that are read when they are asked for: what stands in the place of an array that is larger than memory."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK_BYTES = 2**26
"""Rows are read in pieces of about this size, so that nothing larger than memory is ever loaded."""


class LazyRows(ABC):
    """An array whose first axis counts rows, which are read when they are indexed.

    Like a memory map it has ``shape``, ``dtype`` and a length, and ``numpy.asarray`` reads all of it. Indexing reads:
    ``rows[2:5]``, ``rows[[7, 1]]`` and ``rows[mask]`` are arrays. :meth:`select` does not, and gives lazy rows.

    Args:
        length: Number of rows there are.
        row_shape: Shape of one.
        dtype: Of the numbers.
    """

    def __init__(self, length: int, row_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._length, self._row_shape, self.dtype = length, row_shape, dtype
        self._chosen: NDArray[np.int64] | None = None

    @abstractmethod
    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows (B,), each from 0 to the length less one, as an array (B, ...) of the dtype."""

    def _row_bytes(self) -> int:
        """Memory that reading one row takes."""
        return self.dtype.itemsize * max(1, math.prod(self._row_shape))

    def __len__(self) -> int:
        """Number of rows."""
        return self._length if self._chosen is None else len(self._chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and the shape of one."""
        return (len(self), *self._row_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 1 + len(self._row_shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.dtype.itemsize

    @property
    def files(self) -> list[str] | None:
        """The file of each row, where each has one of its own."""
        return None

    def select(self, index: Any) -> LazyRows:
        """Choose rows without reading them.

        Args:
            index: A slice, integers or a boolean mask.
        """
        chosen = copy.copy(self)
        chosen._chosen = self._rows(index)
        return chosen

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read rows: a slice, integers or a boolean mask, or a single one."""
        if isinstance(index, int | np.integer):
            return self[[int(index)]][0]  # type: ignore[no-any-return]
        rows = self._rows(index)
        step = max(1, CHUNK_BYTES // self._row_bytes())
        if len(rows) <= step:
            return self._read(rows)
        result = np.empty((len(rows), *self._row_shape), dtype=self.dtype)
        for start in range(0, len(rows), step):
            result[start : start + step] = self._read(rows[start : start + step])
        return result

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows."""
        if copy is False:
            raise ValueError("copy: got False for rows that have to be read, expected None or True")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def _rows(self, index: Any) -> NDArray[np.int64]:
        """Translate an index into rows of all there are."""
        if isinstance(index, slice):
            rows = np.arange(*index.indices(len(self)), dtype=np.int64)
        else:
            rows = as_rows(index, len(self))
        return rows if self._chosen is None else self._chosen[rows]


Rows: TypeAlias = NDArray[Any] | LazyRows
"""An array, or rows that are read when they are asked for."""


class RowsOf(LazyRows):
    """Chosen rows of an array, for instance a memory map, that are copied when they are asked for.

    Args:
        array: Shape (N, ...).
        rows: (B,) which ones; by default all.

    >>> RowsOf(np.arange(6).reshape(3, 2), np.array([2, 0]))[:1]
    array([[4, 5]])
    """

    def __init__(self, array: NDArray[Any], rows: NDArray[np.int64] | None = None) -> None:
        super().__init__(len(array), array.shape[1:], array.dtype)
        self._array = array
        self._chosen = rows

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._array[rows]


def chunks(array: Rows, chunk_bytes: int = CHUNK_BYTES, *, most: int | None = None) -> list[slice]:
    """Cut the rows of an array into slices of about ``chunk_bytes``.

    Args:
        array: Any array, at least 1-d.
        chunk_bytes: Size of a piece in bytes; a piece has at least one row.
        most: Most rows of a piece.

    Returns:
        Slices that cover all rows in order.

    >>> chunks(np.zeros((5, 2)), chunk_bytes=32)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    row_bytes = max(1, array.itemsize * int(np.prod(array.shape[1:], dtype=np.int64)))
    step = max(1, min(chunk_bytes // row_bytes, len(array) if most is None else most))
    return [slice(start, min(start + step, len(array))) for start in range(0, len(array), step)]


def as_rows(index: Any, length: int) -> NDArray[np.int64]:
    """Check which rows an index means.

    Args:
        index: 1-d integers, negative ones counted from the end, or a boolean mask.
        length: Number of rows there are.

    Returns:
        The rows, each from 0 to ``length`` less one.

    Raises:
        ValueError: If the index is something else.
        IndexError: If an index is out of range.

    >>> as_rows([True, False, True], 3), as_rows([-1], 3)
    (array([0, 2]), array([2]))
    """
    rows = np.asarray(index)
    if rows.ndim == 1 and rows.dtype == bool and len(rows) == length:
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        raise ValueError(
            f"index: got {type(index).__name__} of shape {rows.shape} and dtype {rows.dtype}, expected a "
            f"slice, a 1-d array of integers or a boolean mask of length {length}"
        )
    if len(rows) and not (-length <= rows.min() and rows.max() < length):
        raise IndexError(f"index: got {rows.min()} to {rows.max()}, expected less than {length} in size")
    return rows.astype(np.int64) % length


def array_or_lazy(values: ArrayLike | LazyRows) -> Rows:
    """Give lazy rows as they are and anything else as an array."""
    return values if isinstance(values, LazyRows) else np.asarray(values)
