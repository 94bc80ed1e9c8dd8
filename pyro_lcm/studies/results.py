"""What a study leaves behind: a table of its runs, figures, and medians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyro_lcm.evaluation.check import CheckReport
from pyro_lcm.storage.text_files import read_json, reading, write_csv
from pyro_lcm.studies.study import COLUMNS
from pyro_lcm.viz.scaling import score_against_dim, score_by_method
from pyro_lcm.viz.style import save_figure

_SHOWN = (
    "disentanglement",
    "mcc",
    "mcc_noise",
    "intervention_accuracy",
    "shd",
    "edge_f1",
    "seconds",
    "pairs_per_second",
)
"""Scores that the medians are of."""
FOUND, NOTHING = "problem", "no problem found"
"""What a check says in short."""


def said(report: CheckReport) -> dict[str, str]:
    """What a check said, for the row of a run: ``verdict``, ``message`` (its problems) and ``hint``."""
    return {
        "verdict": NOTHING if report.ok else FOUND,
        "message": "; ".join(report.problems),
        "hint": "; ".join(report.hints),
    }


def score_range(rows: Sequence[Mapping[str, Any]], name: str, digits: int) -> str:
    """The lowest and the highest value of a score among runs, one number where they agree, - where none has it.

    >>> score_range([{"d": 0.91}, {"d": None}, {"d": 0.994}], "d", 2)
    '0.91 to 0.99'
    """
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return "-"
    ends = [f"{value:.{digits}f}" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def read_result(path: Path) -> dict[str, Any]:
    """Read what a run of a study came to.

    Raises:
        ValueError: if it is no such file.
    """
    with reading(path, "the result of a run"):
        row = read_json(path)
        for name in ("method", "dim", "error"):
            row[name]
        for name in ("dim", *_SHOWN):
            if not isinstance(row.get(name), int | float | None):
                raise ValueError(f"{name}: got {row[name]!r}, expected a number")
        return row


def write_results(folder: Path, rows: Sequence[dict[str, Any]], study: str = "scaling") -> None:
    """Write the table of runs and the figures."""
    write_csv(folder / f"{study}.csv", COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows])
    if study == "models":
        for score in ("disentanglement", "completeness"):
            figure = score_by_method(rows, score, label=score)
            if figure is not None:
                save_figure(figure, folder / "figures" / f"{score}.png")
        return
    figures = {
        "disentanglement": score_against_dim(
            rows, "disentanglement", label="disentanglement D", good=0.98, limits=(0.0, 1.03)
        ),
        "graph_distance": score_against_dim(rows, "shd", label="graph distance (SHD)", good=0.0),
        "seconds": score_against_dim(rows, "seconds", label="time to fit (s)", log=True),
        "seconds_to_d": score_against_dim(rows, "seconds_to_d", label="time to D of 0.98 (s)", log=True),
    }
    for name, figure in figures.items():
        if figure is not None:
            save_figure(figure, folder / "figures" / f"{name}.png")


def medians(rows: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Medians over the runs of each data set, method and number of variables: a header, and a row of texts each.

    >>> medians([{"method": "ilcm", "dim": 4, "mcc": mcc} for mcc in (0.9, 1.0)])[1][0][:6]
    ('scaling', 'ilcm', '4', '2', '-', '0.950')
    """
    cells: list[tuple[str, ...]] = []
    keys = ("data", "method", "dim")
    for data, method, dim in sorted({tuple(row.get(key, "scaling") for key in keys) for row in rows}):
        mine = [row for row in rows if tuple(row.get(key, "scaling") for key in keys) == (data, method, dim)]
        middles = []
        for key in _SHOWN:
            known = [row[key] for row in mine if row.get(key) is not None]
            digits = 0 if key in ("seconds", "pairs_per_second") else 3
            middles.append(f"{np.median(known):.{digits}f}" if known else "-")
        cells.append((data, method, str(dim), str(len(mine)), *middles))
    return ("data", "method", "d", "runs", *_SHOWN), cells
