"""Tables of observed variables: a CSV or Parquet file becomes the arrays that graphs are scored on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.tables import read_frame

UNKNOWN = "?"
"""Stands among names of targets for those that are not known."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: Where it is from.
        header: Names of the columns, different ones.
        rows: Cells, as many in each as there are names.
    """

    path: str
    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        """Cells of a column."""
        k = self.header.index(name)
        return [row[k] for row in self.rows]


@dataclass(frozen=True, eq=False)
class TableOfVariables:
    """What a table says of variables.

    Attributes:
        names: The d names of the columns that are variables.
        values: (N, d) numbers, finite.
        targets: (N, d) booleans, which variables were targets in which row; None if no column tells.
        unknown: (N,) booleans, rows with targets that are not known, ``?``; None if there are none.
        regimes: (N,) numbers of the conditions of rows, in the order of their first rows; None if no column tells.
        conditions: Their names.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    targets: NDArray[np.bool_] | None
    unknown: NDArray[np.bool_] | None = None
    regimes: NDArray[np.int64] | None = None
    conditions: tuple[str, ...] = ()


def read_variables(
    path: str | Path,
    *,
    targets: str | None = None,
    drop: Sequence[str] = (),
    only: str | None = None,
    log: bool = False,
    regimes: str | None = None,
) -> TableOfVariables:
    """Read a table of variables; the arguments, and what is refused, are those of :meth:`GraphData.from_csv`."""
    table = read_table(str(path))
    if only is not None:
        table = _filtered(table, only)
    named = [("drop", name) for name in drop]
    named += [(argument, name) for argument, name in (("targets", targets), ("regimes", regimes)) if name]
    for argument, name in named:
        if name not in table.header:
            raise ValueError(f"{argument}: got {name!r}, expected a column of {path}: {', '.join(table.header)}")
    names = tuple(name for name in table.header if name not in drop and name not in (targets, regimes))
    if len(names) < 2:
        raise ValueError(f"{path}: got {len(names)} columns of variables, expected at least 2")
    values = np.stack([_numbers(table, name) for name in names], axis=1)
    if log:
        if (values <= 0).any():
            row, column = np.argwhere(values <= 0)[0]
            raise ValueError(
                f"log: {path} has {values[row, column]:g} in row {row + 1} of {names[column]}, expected > 0"
            )
        values = np.log(values)
    hit, unknown = (None, None) if targets is None else _targets(table, targets, names)
    labels, conditions = None, list(dict.fromkeys(table.column(regimes))) if regimes else []
    if regimes:
        labels = np.array([conditions.index(cell) for cell in table.column(regimes)], dtype=np.int64)
    return TableOfVariables(names, values, hit, unknown, labels, tuple(conditions))


def read_table(path: str) -> Table:
    """Read a table.

    Raises:
        ValueError: If there is none, or rows have different numbers of cells.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        frame = read_frame(path)
        cells = frame.astype(object).where(frame.notna(), "")
        return Table(path, list(frame.columns), [[str(cell) for cell in row] for row in cells.itertuples(index=False)])
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file ({error})") from error
    if len(lines) < 2:
        raise ValueError(f"{path}: got {len(lines)} lines, expected a header and at least one row")
    header = [name.strip() for name in lines[0]]
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: got a column name twice, expected different ones")
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise ValueError(f"{path}: row {number} has {len(line)} cells, expected {len(header)}")
    return Table(path, header, [[cell.strip() for cell in line] for line in lines[1:]])


def _filtered(table: Table, only: str) -> Table:
    name, equals, value = only.partition("=")
    if not equals or name not in table.header:
        raise ValueError(
            f"only: got {only!r}, expected column=value, with a column of {table.path}: {', '.join(table.header)}"
        )
    rows = [row for row, cell in zip(table.rows, table.column(name), strict=True) if cell == value]
    if not rows:
        raise ValueError(f"only: got {only!r}, expected a value that some row of {table.path} has")
    return Table(table.path, table.header, rows)


def _numbers(table: Table, name: str) -> NDArray[np.float64]:
    cells = table.column(name)
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        number, cell = next((n, c) for n, c in enumerate(cells, start=1) if not _is_number(c))
        raise ValueError(
            f"{table.path}: column {name} has {cell!r} in row {number}, expected a number; leave it out with drop"
        ) from None
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise ValueError(f"{table.path}: column {name} has {cells[row]} in row {row + 1}, expected finite numbers")
    return numbers


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _targets(table: Table, column: str, names: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Targets of rows, and which rows have some that are not known."""
    hit = np.zeros((len(table.rows), len(names)), dtype=bool)
    unknown = np.zeros(len(table.rows), dtype=bool)
    for row, cell in enumerate(table.column(column)):
        for name in filter(None, (part.strip() for part in cell.split(";"))):
            if name == UNKNOWN:
                unknown[row] = True
                continue
            if name not in names:
                raise ValueError(
                    f"{table.path}: column {column} has {name!r} in row {row + 1},"
                    f" expected empty, {UNKNOWN}, or one of {', '.join(names)}"
                )
            hit[row, names.index(name)] = True
    return hit, unknown if unknown.any() else None
