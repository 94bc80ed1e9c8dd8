"""Lazy rows: what numpy would give, and no row read that was not asked for."""

import numpy as np
import pytest

from pyro_lcm.data import lazy as lazy_module
from pyro_lcm.data.files import read_arrays, write_arrays
from pyro_lcm.data.lazy import LazyRows, RowsOf, as_rows
from tables import each_row

WHOLE = np.arange(40.0).reshape(10, 4)


class Counted(LazyRows):
    """Rows of an array, with a note of those that were read."""

    def __init__(self, array):
        super().__init__(len(array), array.shape[1:], array.dtype)
        self.array, self.seen = array, []

    def _read(self, rows):
        self.seen.append(rows.tolist())
        return self.array[rows]


@pytest.mark.parametrize(
    "index", [slice(2, 9, 3), slice(None, None, -1), [5, 0, 5], np.array([-1, 2]), np.arange(10) % 2 == 0, []], ids=str
)
def test_indexing_is_that_of_numpy(index):
    rows = Counted(WHOLE)
    expected = WHOLE[np.asarray(index, dtype=int) if isinstance(index, list) else index]
    np.testing.assert_array_equal(rows[index], expected)
    np.testing.assert_array_equal(np.asarray(rows.select(index)), expected)
    assert rows.select(index).shape == expected.shape


def test_selecting_reads_nothing_and_composes():
    rows = Counted(WHOLE)
    chosen = rows.select(slice(1, None)).select([4, 0]).select([True, False])
    assert (rows.seen, chosen.shape, chosen.ndim, chosen.size) == ([], (1, 4), 2, 4)
    np.testing.assert_array_equal(chosen[0], WHOLE[5])
    assert rows.seen == [[5]]


def test_much_is_read_in_pieces(monkeypatch):
    monkeypatch.setattr(lazy_module, "CHUNK_BYTES", 3 * 4 * 8)
    rows = Counted(WHOLE)
    np.testing.assert_array_equal(np.asarray(rows), WHOLE)
    assert rows.seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_lazy_rows_are_written_in_pieces_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_module.chunks, "__defaults__", (3 * 4 * 8,))
    rows = Counted(WHOLE)
    write_arrays(tmp_path / "lazy.npz", {"x": rows})
    np.savez(tmp_path / "whole.npz", x=WHOLE)
    assert max(map(len, rows.seen)) == 3
    assert (tmp_path / "lazy.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    np.testing.assert_array_equal(read_arrays(tmp_path / "lazy.npz", mmap=True)["x"], WHOLE)


def test_dtypes_and_copies():
    assert np.asarray(RowsOf(WHOLE), dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy: got False"):
        np.array(RowsOf(WHOLE), copy=False)


@each_row(("index", "error"), [([10], IndexError), ([-11], IndexError), ([[0]], ValueError), ([0.5], ValueError)])
def test_other_indices_are_refused(index, error):
    with pytest.raises(error, match="index: got"):
        as_rows(index, 10)
