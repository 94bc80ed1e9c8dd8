"""Which image files make a pair: a table of them, or names that end in _before and _after."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.image_files import SUFFIXES, listed

logger = logging.getLogger(__name__)

TABLE = "pairs.csv"
"""Name of the table that a folder of image files may hold."""
_SIDES = ("before", "after")
_NAMED = re.compile(r"(.+)_(before|after)")
_LATENT = re.compile(r"(z|noise)(\d+)(_after)?")


@dataclass(frozen=True)
class PairedFiles:
    """Image files in pairs.

    Attributes:
        before: N files.
        after: The N files that belong to them.
        truth: What a table says of the pairs, by the names of :class:`pyro_lcm.data.InterventionPairs`, not checked.
    """

    before: tuple[Path, ...]
    after: tuple[Path, ...]
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)


def image_files_in(folder: Path) -> list[Path]:
    """Image files that lie directly in a folder, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not _hidden(file))


def is_named_as_side(file: Path) -> bool:
    """Whether the name of a file ends in _before or _after, but for its suffix."""
    return _NAMED.fullmatch(file.stem) is not None


def find_pairs(path: Path) -> PairedFiles:
    """Find pairs of image files.

    Args:
        path: A table, see :func:`read_pair_table`; or a folder with a table ``pairs.csv``, or with image files
            ``NAME_before.png`` and ``NAME_after.png`` (or .jpg, .jpeg), in the order of their names.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is something else, or files are left without their other side; the message lists them.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not path.is_dir():
        if path.suffix.lower() != ".csv":
            raise ValueError(f"{path}: got a single file, expected a table (.csv) or a folder of image files")
        return read_pair_table(path)
    if (path / TABLE).is_file():
        return read_pair_table(path / TABLE)
    sides: dict[str, dict[str, list[Path]]] = {side: {} for side in _SIDES}
    others = []
    for file in image_files_in(path):
        match = _NAMED.fullmatch(file.stem)
        if match is None:
            others.append(file.name)
        else:
            sides[match[2]].setdefault(match[1], []).append(file)
    before, after = sides.values()
    wanted = f"expected NAME_before.png with NAME_after.png, or a table {TABLE}"
    if not (before or after or others):
        raise ValueError(f"{path}: got no image files ({', '.join(SUFFIXES)}), {wanted}")
    if others:
        raise ValueError(f"{path}: {len(others)} image files are named otherwise: {listed(others)}; {wanted}")
    twice = [file.name for side in (before, after) for files in side.values() if len(files) > 1 for file in files]
    if twice:
        raise ValueError(f"{path}: {len(twice)} files stand for the same image: {listed(twice)}; expected one each")
    alone = [files[0].name for side, other in ((before, after), (after, before))
             for name, files in side.items() if name not in other]  # fmt: skip
    if alone:
        raise ValueError(f"{path}: {len(alone)} image files are without their other side: {listed(alone)}; {wanted}")
    names = sorted(before)
    return PairedFiles(tuple(before[name][0] for name in names), tuple(after[name][0] for name in names))


def read_pair_table(path: Path) -> PairedFiles:
    """Read a table of pairs of image files.

    Args:
        path: CSV file with a header. Columns ``before`` and ``after`` are image files, relative to the table.
            Others are the truth, if there: ``target``, 0 for none and i for variable i; ``z1``, ``z2``, ... and
            ``z1_after``, ``z2_after``, ...; ``noise1``, ... and ``noise1_after``, .... What has another name is left
            out, with a warning in the log.

    Raises:
        ValueError: If it is no such table; the message says which column or row is wrong.
    """
    header, rows = _read(path)
    for name in _SIDES:
        if name not in header:
            raise ValueError(f"{path}: the column {name!r} is missing; got {', '.join(header)}")
    if not rows:
        raise ValueError(f"{path}: got no rows, expected at least one pair")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    files = {}
    for name in _SIDES:
        bad = [f"{text!r} in row {row}" for row, text in enumerate(columns[name], start=1)
               if Path(text).suffix.lower() not in SUFFIXES]  # fmt: skip
        if bad:
            raise ValueError(f"{path}: column {name}: got {listed(bad)}, expected files {', '.join(SUFFIXES)}")
        files[name] = tuple(path.parent / text for text in columns[name])
    truth: dict[str, NDArray[Any]] = {}
    if "target" in header:
        truth["targets"] = _numbers(path, "target", columns["target"], int)
    numbered: dict[str, dict[int, str]] = {}
    ignored = []
    for name in header:
        if match := _LATENT.fullmatch(name):
            numbered.setdefault(match[1] + (match[3] or ""), {})[int(match[2])] = name
        elif name not in (*_SIDES, "target"):
            ignored.append(name)
    if ignored:
        logger.warning("%s: ignored the columns %s", path, ignored)
    for key, names in numbered.items():
        if sorted(names) != list(range(1, len(names) + 1)):
            raise ValueError(f"{path}: got the columns {', '.join(names.values())}, expected all numbers from 1 on")
        truth[key] = np.stack([_numbers(path, names[i], columns[names[i]], float) for i in sorted(names)], axis=1)
    return PairedFiles(files["before"], files["after"], truth)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file ({error})") from error
    if not lines:
        raise ValueError(f"{path}: got an empty file, expected a table with the columns before and after")
    header, *rows = lines
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: got the columns {', '.join(header)}, expected each name once")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} cells, expected {len(header)}")
    return header, rows


def _numbers(path: Path, name: str, texts: Sequence[str], kind: type[int] | type[float]) -> NDArray[Any]:
    for row, text in enumerate(texts, start=1):
        try:
            kind(text)
        except ValueError:
            expected = "an integer" if kind is int else "a number"
            raise ValueError(f"{path}: column {name}: got {text!r} in row {row}, expected {expected}") from None
    return np.array([kind(text) for text in texts])


def _hidden(file: Path) -> bool:
    return file.name.startswith(".")
