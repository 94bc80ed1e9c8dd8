"""Figures of studies: a score against the number of causal variables, by method, or by data set and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyro_lcm.viz.style import CYCLE, log_scale, new_figure, style


def score_against_dim(
    rows: Sequence[Mapping[str, object]],
    score: str,
    *,
    label: str,
    good: float | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Figure | None:
    """Draw the median over runs of a score against the number of variables, and every run as a dot.

    Args:
        rows: Runs, with ``dim``, ``method`` and the score; those without the score are left out.
        score: Key of the score.
        label: Of the axis.
        good: A value to mark by a dashed line.
        log: Whether the axis is logarithmic.
        limits: Of the axis.

    Returns:
        The figure; None if no run has the score.
    """
    known = [row for row in rows if isinstance(row.get(score), int | float)]
    if not known:
        return None
    methods = list(dict.fromkeys(str(row["method"]) for row in known))
    dims = sorted({int(str(row["dim"])) for row in known})
    with style():
        figure = new_figure(3.3, 2.5)
        axes = figure.subplots()
        if good is not None:
            axes.axhline(good, color="#b3b3b3", linestyle="--", linewidth=0.8, zorder=0)
        for number, method in enumerate(methods):
            mine = [row for row in known if row["method"] == method]
            colour = CYCLE[number % len(CYCLE)]
            x = [dims.index(int(str(row["dim"]))) + 0.06 * (number - (len(methods) - 1) / 2) for row in mine]
            y = [float(str(row[score])) for row in mine]
            axes.plot(x, y, ".", markersize=3.5, alpha=0.45, color=colour, markeredgewidth=0)
            at = sorted({int(str(row["dim"])) for row in mine})
            medians = [
                float(np.median([float(str(row[score])) for row in mine if int(str(row["dim"])) == dim])) for dim in at
            ]
            axes.plot([dims.index(dim) for dim in at], medians, "o-", markersize=4, color=colour, label=method)
        axes.set_xticks(range(len(dims)), [str(dim) for dim in dims])
        axes.set_xlabel("causal variables d")
        axes.set_ylabel(label)
        if log:
            log_scale(axes)
        if limits is not None:
            axes.set_ylim(*limits)
        if len(methods) > 1:
            axes.legend()
    return figure


def score_by_method(rows: Sequence[Mapping[str, object]], score: str, *, label: str) -> Figure | None:
    """Draw a score in [0, 1] of every run as a dot and medians as bars, methods downwards, a panel for each data set.

    Args:
        rows: Runs, with ``data``, ``method`` and the score; those without the score are left out.
        score: Key of the score.
        label: Of the axes.

    Returns:
        The figure; None if no run has the score.
    """
    values = _by_set_and_method(rows, score)
    if not values:
        return None
    sets, methods = (list(dict.fromkeys(names)) for names in zip(*values, strict=True))
    with style():
        figure = new_figure(2.2 * len(sets) + 1.2, 0.22 * len(methods) + 0.9)
        panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
        for axes, data in zip(panels, sets, strict=True):
            for place, method in enumerate(methods):
                _draw_runs(axes, place, values.get((data, method), []), 0.7, CYCLE[0])
            axes.set_xlim(0.0, 1.03)
            axes.set_title(data)
            axes.set_xlabel(label)
        panels[0].set_yticks(range(len(methods)), methods)
        panels[0].invert_yaxis()
    return figure


def score_by_data(rows: Sequence[Mapping[str, object]], score: str, *, label: str) -> Figure | None:
    """Draw a score in [0, 1] of every run as a dot and medians as bars, data sets downwards, methods beside each other.

    Args:
        rows: Runs, with ``data``, ``method`` and the score; those without the score are left out.
        score: Key of the score.
        label: Of the axis.

    Returns:
        The figure; None if no run has the score.
    """
    values = _by_set_and_method(rows, score)
    if not values:
        return None
    sets, methods = (list(dict.fromkeys(names)) for names in zip(*values, strict=True))
    height = 0.8 / len(methods)
    with style():
        figure = new_figure(4.6, 0.16 * len(methods) * len(sets) + 0.9)
        axes = figure.subplots()
        for number, method in enumerate(methods):
            colour = CYCLE[number % len(CYCLE)]
            for place, data in enumerate(sets):
                at = place + height * (number - (len(methods) - 1) / 2)
                _draw_runs(axes, at, values.get((data, method), []), 0.9 * height, colour)
            axes.barh(0, 0, color=colour, alpha=0.3, label=method)
        axes.set_xlim(0.0, 1.03)
        axes.set_xlabel(label)
        axes.set_yticks(range(len(sets)), sets)
        axes.invert_yaxis()
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _by_set_and_method(rows: Sequence[Mapping[str, object]], score: str) -> dict[tuple[str, str], list[float]]:
    """The scores of the runs that have one, by data set and method, in the order in which these come."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if isinstance(value := row.get(score), int | float):
            values.setdefault((str(row["data"]), str(row["method"])), []).append(float(value))
    return values


def _draw_runs(axes: Axes, at: float, values: Sequence[float], height: float, colour: str) -> None:
    """Runs as dots, their median as a bar."""
    if values:
        axes.barh(at, float(np.median(values)), height=height, color=colour, alpha=0.3)
        axes.plot(values, [at] * len(values), ".", markersize=3.5, color=colour)
