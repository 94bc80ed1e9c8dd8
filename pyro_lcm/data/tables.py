"""Tables of numbers: pairs as two columns for each feature, before and after, from CSV, Parquet or pandas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyro_lcm.data.image_files import listed
from pyro_lcm.storage.text_files import replacing

if TYPE_CHECKING:
    import pandas as pd

Names = str | Sequence[str]

BEFORE, AFTER = "*_before", "*_after"
"""Names of the columns of the two sides, unless told otherwise; * is the name of the feature."""
TARGET = "target"
"""Column of the true targets, if there: 0 for none, i for variable i."""
SUFFIXES = (".csv", ".parquet", ".pq")


def is_table(path: Path) -> bool:
    """Whether a path has the name of a table."""
    return path.suffix.lower() in SUFFIXES


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read a table from a CSV file with a header, or from a Parquet file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such table, or what reads Parquet is not installed.
    """
    import pandas as pd

    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{path}: no such file or folder")
    try:
        if file.suffix.lower() == ".csv":
            frame = pd.read_csv(file, encoding="utf-8-sig", skipinitialspace=True)
        else:
            frame = pd.read_parquet(file)
    except ImportError as error:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow, which is not installed: pip install pyarrow"
        ) from error
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors, pyarrow's are
        raise ValueError(f"{path}: not a readable table ({' '.join(str(error).split())})") from error
    if frame.empty:
        raise ValueError(f"{path}: got a table without rows, expected a header and at least one row")
    if frame.shape[1] == 1 and any(sign in str(frame.columns[0]) for sign in ";\t|"):
        raise ValueError(
            f"{path}: got one column {str(frame.columns[0])[:60]!r}, expected columns with commas between them;"
            " pandas.read_csv(..., sep=, decimal=) reads others"
        )
    return frame.rename(columns=lambda name: str(name).strip())


def is_image_table(path: Path) -> bool:
    """Whether a CSV file lists image files: it has the columns ``before`` and ``after``."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = {name.strip().strip('"') for name in file.readline().split(",")}
    return {"before", "after"} <= header


def check_writable(path: Path) -> None:
    """Check that a table of such a name could be written, before anything else is done.

    Raises:
        ValueError: If it is a Parquet file, and what writes these is not installed.
    """
    if path.suffix.lower() != ".csv" and find_spec("pyarrow") is None:
        raise ValueError(f"{path}: writing Parquet needs pyarrow, which is not installed: pip install pyarrow")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table, without its index, as CSV or Parquet by the name of the file, whole or not at all."""
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            frame.to_csv(partial, index=False, lineterminator="\n")
        else:
            frame.to_parquet(partial, index=False)


def pairs_of_frame(
    frame: pd.DataFrame, before: Names | None, after: Names | None
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The two sides of pairs from the columns of a table.

    Args:
        frame: A row for each pair.
        before: Names of the columns of the side before: a list, or a pattern in which * is the name of the feature;
            :data:`BEFORE` if None.
        after: The same for the other side, whose columns are put into the order of the first.

    Returns:
        Names of the D features, what * stands for; and ``x`` and ``x_after``, (N, D) float64, and ``targets``, (N,),
        if there is a column :data:`TARGET`.

    Raises:
        ValueError: If columns are missing, left without their other side, or hold something else than finite numbers.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"p_before": [1.0], "q_before": [2.0], "q_after": [2.0], "p_after": [5.0]})
    >>> features, sides = pairs_of_frame(frame, None, None)
    >>> features, {name: side.tolist() for name, side in sides.items()}
    (('p', 'q'), {'x': [[1.0, 2.0]], 'x_after': [[5.0, 2.0]]})
    """
    frame = frame.rename(columns=str)
    names = frame.columns.tolist()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"column {twice[0]}: got it more than once, expected different names")
    first = _chosen(names, BEFORE if before is None else before, "before")
    other = _chosen(names, AFTER if after is None else after, "after")
    if _is_pattern(before) and _is_pattern(after):
        alone = [column for stem, column in first.items() if stem not in other]
        alone += [column for stem, column in other.items() if stem not in first]
        if alone:
            raise ValueError(f"before, after: got columns without their other side: {listed(alone)}")
        pairs = [(column, other[stem]) for stem, column in first.items()]
    elif len(first) != len(other):
        raise ValueError(f"after: got {len(other)} columns, expected {len(first)}, as many as before")
    else:
        pairs = list(zip(first.values(), other.values(), strict=True))
    arrays: dict[str, Any] = {
        "x": np.stack([_numbers(frame, column) for column, _ in pairs], axis=1),
        "x_after": np.stack([_numbers(frame, column) for _, column in pairs], axis=1),
    }
    if TARGET in names and TARGET not in {column for pair in pairs for column in pair}:
        targets = _numbers(frame, TARGET)
        if (targets != np.round(targets)).any():
            row = int(np.argmax(targets != np.round(targets)))
            raise ValueError(f"column {TARGET} has {targets[row]:g} in row {row + 1}, expected integers")
        arrays["targets"] = targets.astype(np.int64)
    return tuple(first if _is_pattern(before) else _without_side([column for column, _ in pairs])), arrays


def _without_side(names: list[str]) -> list[str]:
    """Names of columns without the end that says which side they are of, where all have it."""
    end = BEFORE.strip("*")
    return [name.removesuffix(end) for name in names] if all(name.endswith(end) for name in names) else names


def _is_pattern(columns: Names | None) -> bool:
    return columns is None or isinstance(columns, str)


def _chosen(names: Sequence[str], columns: Names, argument: str) -> dict[str, str]:
    """Names by the name of their feature: what * stands for, or their own name in a list."""
    if not isinstance(columns, str):
        missing = [name for name in columns if str(name) not in names]
        if missing or not columns:
            got = f"{missing[0]!r}" if missing else "no column"
            raise ValueError(f"{argument}: got {got}, expected columns of the table: {listed(list(names))}")
        return {str(name): str(name) for name in columns}
    if columns.count("*") != 1:
        raise ValueError(f"{argument}: got {columns!r}, expected one * in it, for the name of a feature")
    start, end = columns.split("*")
    form = re.compile(f"{re.escape(start)}(.*){re.escape(end)}")
    found = {match[1]: name for name in names if (match := form.fullmatch(name))}
    if not found:
        raise ValueError(
            f"{argument}: got no column like {columns!r}, expected a pattern of names (--{argument}) with * for the"
            f" feature, such as '*_{argument}', or the names (or a table of image files, with the columns 'before' and"
            f" 'after'); the table has {listed(list(names))}"
        )
    return found


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    import pandas as pd

    column = frame[name]
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise ValueError(f"column {name} has times, expected numbers")
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = int(bad.argmax())
        value = column.iloc[row]
        shown = repr(value) if isinstance(value, str) else str(value)
        raise ValueError(
            f"column {name} has {shown} in row {row + 1}, expected a finite number; before and after (--before,"
            " --after) can name the columns to be used"
        )
    return numbers
