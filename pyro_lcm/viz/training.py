"""How a training run went: the loss of each phase, from the run's ``metrics.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from pyro_lcm.storage.text_files import reading
from pyro_lcm.viz.style import BLUE, RED, new_figure, style

if TYPE_CHECKING:
    import pandas as pd


def training_curves(rows: Sequence[Mapping[str, object]] | pd.DataFrame | str | Path) -> Figure | None:
    """Draw training and held-out loss against the step, a panel for each phase that has steps.

    Phases have losses of their own, which cannot be compared.

    Args:
        rows: Rows with step, phase, loss and perhaps validation_loss, as of
            :attr:`pyro_lcm.training.FitResult.history`; or a pandas DataFrame of them, as
            :attr:`pyro_lcm.LatentCausalModel.history`; or the path of such a CSV file.

    Returns:
        The figure; None if no phase has steps.
    """
    if isinstance(rows, str | Path):
        with reading(rows, "a table of metrics"):
            return training_curves(_read(Path(rows)))
    table: Sequence[Mapping[str, object]]
    table = [dict(row) for _, row in rows.iterrows()] if hasattr(rows, "iterrows") else rows
    phases: dict[str, list[Mapping[str, object]]] = {}
    for row in table:
        phases.setdefault(str(row["phase"]), []).append(row)
    shown = {name: part for name, part in phases.items() if len(_column(part, "loss")[0]) > 1}
    if not shown:
        return None
    with style():
        figure = new_figure(min(7.5, 2.3 * len(shown) + 0.3), 2.0)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, (name, part) in zip(panels, shown.items(), strict=True):
            axes.plot(*_column(part, "loss"), color=BLUE, label="training")
            steps, held_out = _column(part, "validation_loss")
            if steps:
                axes.plot(steps, held_out, "o-", markersize=2.5, color=RED, label="held out")
            axes.set_title(name)
            axes.set_xlabel("step")
            axes.locator_params(axis="x", nbins=4)
        panels[0].set_ylabel("loss per pair")
        panels[-1].legend()
    return figure


def _column(rows: Sequence[Mapping[str, object]], name: str) -> tuple[list[int], list[float]]:
    found = [
        (int(str(row["step"])), float(str(row[name])))
        for row in rows
        if row.get(name) not in (None, "") and math.isfinite(float(str(row[name])))
    ]
    return [step for step, _ in found], [value for _, value in found]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
