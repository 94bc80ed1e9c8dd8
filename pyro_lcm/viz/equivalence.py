"""Which variables are adjacent, and which directions the rows tell: lines and arrows with two probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch
from numpy.typing import ArrayLike

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.viz.layout import MANY, RADIUS, arc, bend, graph_layout
from pyro_lcm.viz.style import BLACK, BLUE, GREY, bare, new_figure, style

LEAST_ADJACENT = 0.5
"""Pairs that are less probably adjacent are not drawn."""
LEAST_DIRECTION = 0.9
"""Probability of a direction, given that there is an edge, from which on it is an arrow."""
_LABELLED = 10
_INCHES = 7.5


def adjacency_figure(adjacent: ArrayLike, direction: ArrayLike, layout: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw lines between variables that are probably adjacent, arrows where the direction is told.

    Args:
        adjacent: (d, d) symmetric probabilities that two variables are adjacent.
        direction: (d, d) probabilities of an edge from the first to the second, given that they are.
        layout: (d, d) graph whose layers give the places.
        names: Of the d variables.

    Returns:
        The figure; up to ten variables with P(adjacent) and P(direction) at each line.

    Raises:
        ValueError: If a shape does not fit.
    """
    chance, way = np.asarray(adjacent, dtype=float), np.nan_to_num(np.asarray(direction, dtype=float))
    size = len(names)
    for argument, value in (("adjacent", chance), ("direction", way)):
        if value.shape != (size, size):
            raise ValueError(f"{argument}: got shape {value.shape}, expected ({size}, {size})")
    place = graph_layout(as_adjacency(layout))
    span = np.ptp(place, axis=0) + np.array([1.4, 1.0])
    scale = min(1.0, (_INCHES + 0.1 * max(0, size - MANY)) / span.max())
    widths = np.array([min(1.0, max(2 * RADIUS, 0.11 * len(name) + 0.06)) for name in names])
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size) if chance[i, j] >= LEAST_ADJACENT]
    thick = scale * min(1.0, float(np.sqrt(24 / max(1, len(pairs)))))
    with style():
        figure = new_figure(*(scale * span))
        axes = figure.subplots()
        nodes = [
            Ellipse((x, y), width, 2 * RADIUS, facecolor="white", edgecolor=BLUE, linewidth=1.1 * scale, zorder=2)
            for (x, y), width in zip(place.tolist(), widths.tolist(), strict=True)
        ]
        for name, node, at in zip(names, nodes, place, strict=True):
            axes.add_patch(node)
            font = 7.0 if len(name) <= 8 else max(4.0, 56.0 / len(name))
            axes.text(at[0], at[1], name, ha="center", va="center", zorder=3, fontsize=scale * font)
        reach = [place]
        for i, j in pairs:
            told = max(way[i, j], way[j, i]) >= LEAST_DIRECTION
            start, end = (i, j) if way[i, j] >= way[j, i] else (j, i)
            curve = bend(start, end, place, widths, both_ways=False)
            path = arc(place[start], place[end], curve)
            reach.append(path)
            axes.add_patch(
                FancyArrowPatch(
                    tuple(place[start]),
                    tuple(place[end]),
                    connectionstyle=f"arc3,rad={curve}",
                    arrowstyle="-|>,head_length=3.2,head_width=1.8" if told else "-",
                    mutation_scale=0.5 + 0.8 * thick,
                    shrinkA=0,
                    shrinkB=0,
                    patchA=nodes[start],
                    patchB=nodes[end],
                    linewidth=thick * (0.4 + 1.4 * chance[i, j]),
                    color=BLACK if told else GREY,
                    alpha=0.3 + 0.7 * chance[i, j],
                    zorder=1,
                )
            )
            if size <= _LABELLED:
                axes.text(
                    path[14, 0],
                    path[14, 1],
                    f"{chance[i, j]:.2f}, {way[start, end]:.2f}",
                    fontsize=5.5 * scale,
                    ha="center",
                    va="center",
                    zorder=2,
                    bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.5},
                )
        every = np.concatenate(reach)
        margin = np.array([widths.max() / 2 + 0.1, 0.1 + RADIUS])
        low, high = every.min(axis=0) - margin, every.max(axis=0) + margin
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
        bare(axes)
    return figure
