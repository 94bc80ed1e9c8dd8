"""Figures of a posterior over graphs: edge probabilities, most probable graphs, effects, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.discovery.calibration import Calibration
from pyro_lcm.viz.graphs import draw_graph
from pyro_lcm.viz.layout import graph_layout
from pyro_lcm.viz.style import BLACK, BLUE, GREY, LIGHT, ORANGE, SEQUENTIAL, bare, log_scale, new_figure, style

MAX_ANNOTATED = 12
"""Most variables for which the numbers are written into a matrix."""


def edge_probability_matrix(
    probabilities: ArrayLike, names: Sequence[str], *, truth: ArrayLike | None = None
) -> Figure:
    """Draw the probability of each edge, parents down, children across.

    Args:
        probabilities: Shape (d, d), ``[parent, child]``, in [0, 1].
        names: Of the d variables.
        truth: True graph, shape (d, d), if known; its edges get a frame.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    chance = _square(probabilities, names, "probabilities")
    size = len(chance)
    side = min(0.42 * size, max(6.0, 0.11 * size))
    with style():
        figure = new_figure(max(2.4, side + 1.5), max(1.9, side + 0.7))
        axes = figure.subplots()
        shown = np.where(np.eye(size, dtype=bool), np.nan, chance)
        image = axes.imshow(shown, vmin=0, vmax=1, cmap=SEQUENTIAL)
        axes.set_facecolor(LIGHT)
        bare(axes)
        small = min(7.0, 0.8 * 72 * side / size)
        long = max(map(len, names)) > 3
        axes.set_xticks(range(size), names, rotation=90 if long else 0, fontsize=small)
        axes.set_yticks(range(size), names, fontsize=small)
        axes.tick_params(length=0)
        axes.set_xlabel("child")
        axes.set_ylabel("parent")
        if size <= MAX_ANNOTATED:
            for (i, j), value in np.ndenumerate(chance):
                if i != j:
                    colour = "white" if value > 0.6 else "#333333"
                    axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
        if truth is not None:
            for i, j in zip(*np.nonzero(as_adjacency(truth)), strict=True):
                axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=ORANGE, linewidth=1.4))
            axes.set_title("frames: edges of the true graph")
        figure.colorbar(image, ax=axes, shrink=0.7, label="probability")
    return figure


def top_graphs(graphs: Sequence[tuple[ArrayLike, float]], names: Sequence[str], *, columns: int = 3) -> Figure:
    """Draw the most probable graphs side by side; edges that the first one does not have are emphasised.

    Args:
        graphs: Adjacency ``[parent, child]``, shape (d, d), and posterior mass of each, at least one.
        names: Of the d variables.
        columns: Most graphs in a row.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no graph or a shape does not fit.
    """
    if not graphs:
        raise ValueError("graphs: got none, expected at least one")
    matrices = [as_adjacency(graph) for graph, _ in graphs]
    place = graph_layout(matrices[0])
    across = min(columns, len(graphs))
    down = -(-len(graphs) // across)
    size = np.ptp(place, axis=0) + np.array([1.2, 1.3])
    scale = min(0.75, 9.0 / (across * float(size[0])))
    with style():
        figure = new_figure(max(1.6, scale * size[0]) * across, max(1.2, scale * size[1]) * down)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, matrix, (_, mass) in zip(panels, matrices, graphs, strict=False):
            new = (matrix == 1) & (matrices[0] == 0)
            draw_graph(axes, matrix, names, place, emphasised=new, scale=scale)
            axes.set_title(f"{mass:.3f}" if mass >= 0.0005 else f"{mass:.1e}")
        for axes in panels[len(graphs) :]:
            axes.set_visible(False)
        figure.suptitle("posterior mass of the most probable graphs", fontsize=8)
    return figure


def effect_forest(effects: ArrayLike, names: Sequence[str], *, most: int = 20) -> Figure | None:
    """Draw average causal effects with their uncertainty, the largest first.

    Args:
        effects: Draws, shape (n, d, d), ``[cause, outcome]``.
        names: Of the d variables.
        most: Most effects that are drawn.

    Returns:
        The figure: medians, 50 % (thick) and 94 % intervals (thin); None if no draw has an effect.

    Raises:
        ValueError: If a shape does not fit.
    """
    draws = np.asarray(effects, dtype=float)
    if draws.ndim != 3 or draws.shape[1:] != (len(names), len(names)):
        raise ValueError(f"effects: got shape {draws.shape}, expected (n, {len(names)}, {len(names)})")
    size = np.sqrt((draws**2).mean(axis=0))
    np.fill_diagonal(size, 0.0)
    ranked = np.argsort(-size, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(flat, size.shape) for flat in ranked if size.flat[flat] > 1e-6]
    if not pairs:
        return None
    with style():
        figure = new_figure(4.2, 0.19 * len(pairs) + 0.8)
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        for row, (i, j) in enumerate(pairs):
            low, lower, middle, upper, high = np.quantile(draws[:, i, j], (0.03, 0.25, 0.5, 0.75, 0.97))
            present = float((draws[:, i, j] != 0).mean())
            colour = BLUE if low > 0 or high < 0 else GREY
            axes.plot((low, high), (row, row), color=colour, linewidth=1.0, solid_capstyle="butt")
            axes.plot((lower, upper), (row, row), color=colour, linewidth=3.0, solid_capstyle="butt")
            axes.plot(middle, row, "o", color="white", markeredgecolor=colour, markersize=4)
            axes.text(
                1.02,
                row,
                f"{present:.2f}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=6.5,
                color="#4d4d4d",
            )
        axes.set_yticks(range(len(pairs)), [f"{names[i]} → {names[j]}" for i, j in pairs])
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.set_xlabel("average causal effect (median, 50 % and 94 % intervals)")
        axes.text(1.02, 1.0, "P(path)", transform=axes.transAxes, va="bottom", fontsize=6.5, color="#4d4d4d")
    return figure


def calibration_curve(calibration: Calibration | Sequence[tuple[str, Calibration]]) -> Figure:
    """Draw how often edges were true against how probable they were said to be.

    Args:
        calibration: One calibration, or several with their names.

    Returns:
        The figure, with the number of edges in each bin below.
    """
    named = [("", calibration)] if isinstance(calibration, Calibration) else list(calibration)
    colours = (BLUE, ORANGE, BLACK, GREY)
    with style():
        figure = new_figure(3.0, 3.5)
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        curve.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle="--", zorder=0)
        for number, (name, found) in enumerate(named):
            colour = colours[number % len(colours)]
            filled = found.counts > 0
            half = _binomial_error(found)
            curve.errorbar(
                found.predicted[filled],
                found.observed[filled],
                yerr=half[filled],
                fmt="o-",
                markersize=3.5,
                linewidth=1.1,
                elinewidth=0.7,
                color=colour,
                label=f"{name} (ECE {found.error:.3f})" if name else f"ECE {found.error:.3f}",
            )
            edges = np.linspace(0, 1, len(found.counts) + 1)
            counts.stairs(found.counts, edges, color=colour, fill=len(named) == 1, alpha=0.8)
        curve.set_xlim(-0.02, 1.02)
        curve.set_ylim(-0.02, 1.02)
        curve.set_aspect("equal")
        curve.set_ylabel("share of true edges")
        curve.legend(loc="upper left")
        log_scale(counts)
        counts.set_ylabel("edges")
        counts.set_xlabel("stated probability")
    return figure


def _binomial_error(found: Calibration) -> NDArray[np.float64]:
    """Half width of a 95 % interval of each bin's frequency."""
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = found.observed * (1 - found.observed) / found.counts
    return np.asarray(1.96 * np.sqrt(np.nan_to_num(variance)))


def _square(matrix: ArrayLike, names: Sequence[str], argument: str) -> NDArray[Any]:
    array = np.asarray(matrix, dtype=float)
    if array.shape != (len(names), len(names)):
        raise ValueError(f"{argument}: got shape {array.shape}, expected ({len(names)}, {len(names)})")
    return array
