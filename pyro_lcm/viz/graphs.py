"""Graphs over causal variables, causes to the left of effects, with the probability of each edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.viz.layout import MANY, RADIUS, arc, bend, graph_layout
from pyro_lcm.viz.style import BLACK, BLUE, GREEN, RED, bare, new_figure, style

MIN_PROBABILITY = 0.05
"""Edges below this probability are not drawn."""
MIN_PROBABILITY_OF_MANY = 0.5
"""The same in graphs of more than 20 variables, where arrowheads of edges that hardly show would hide the others."""
MAX_SIZE = 7.5
"""Inches of a figure's longer side at most, up to 20 variables; beyond, a variable adds a tenth of an inch."""


def graph_figure(
    adjacency: ArrayLike,
    names: Sequence[str],
    *,
    probabilities: ArrayLike | None = None,
    truth: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a graph in layers along its causal order.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d): what the layers follow and, without
            probabilities, the edges.
        names: Of the d variables.
        probabilities: Probabilities of the edges, shape (d, d), in [0, 1]; they give width, opacity and
            label. Edges below 0.05 (0.5 beyond 20 variables) are left out.
        truth: True graph, shape (d, d), if known: extra edges become orange, missing ones green and dashed.
        title: Of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    matrix = as_adjacency(adjacency)
    if len(names) != len(matrix):
        raise ValueError(f"names: got {len(names)}, expected {len(matrix)}, one for each variable")
    place = graph_layout(matrix if truth is None else _union(matrix, as_adjacency(truth)))
    size = np.ptp(place, axis=0) + np.array([1.4, 1.0])
    scale = min(1.0, (MAX_SIZE + 0.1 * max(0, len(names) - MANY)) / size.max())
    with style():
        figure = new_figure(*(scale * size))
        axes = figure.subplots()
        draw_graph(axes, matrix, names, place, probabilities=probabilities, truth=truth, scale=scale)
        if title:
            axes.set_title(title)
    return figure


def draw_graph(
    axes: Axes,
    adjacency: NDArray[Any],
    names: Sequence[str],
    place: NDArray[np.float64],
    *,
    probabilities: ArrayLike | None = None,
    truth: ArrayLike | None = None,
    emphasised: NDArray[Any] | None = None,
    scale: float = 1.0,
) -> None:
    """Draw a graph into axes that exist.

    Args:
        axes: Where to.
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        names: Of the d variables.
        place: Positions, shape (d, 2), as :func:`pyro_lcm.viz.layout.graph_layout` gives them.
        probabilities: As in :func:`graph_figure`.
        truth: As in :func:`graph_figure`.
        emphasised: Edges drawn in orange, (d, d) booleans.
        scale: Inches of a unit of the layout, for the sizes of text and lines.
    """
    chance = np.clip(np.asarray(adjacency if probabilities is None else probabilities, dtype=float), 0.0, 1.0)
    if chance.shape != adjacency.shape:
        raise ValueError(f"probabilities: got shape {chance.shape}, expected {adjacency.shape}")
    true = None if truth is None else as_adjacency(truth).astype(bool)
    least = MIN_PROBABILITY if len(names) <= MANY else MIN_PROBABILITY_OF_MANY
    shown = chance >= least if probabilities is not None else chance > 0
    if true is not None:
        shown = shown | true
    # Many edges are drawn thinner, or they hide each other.
    thick = scale * min(1.0, float(np.sqrt(24 / max(1, shown.sum()))))
    labelled = probabilities is not None and len(names) <= 8
    nodes = [
        Ellipse(tuple(at), _width(name), 2 * RADIUS, facecolor="white", edgecolor=BLUE, linewidth=1.1 * scale, zorder=2)
        for name, at in zip(names, place, strict=True)
    ]
    for name, node, at in zip(names, nodes, place, strict=True):
        axes.add_patch(node)
        axes.text(at[0], at[1], name, ha="center", va="center", zorder=3, fontsize=scale * _font_size(name))
    widths = np.array([_width(name) for name in names])
    reach = [place - np.array([0.5, 0]) * widths[:, None], place + np.array([0.5, 0]) * widths[:, None]]
    for i, j in zip(*np.nonzero(shown), strict=True):
        missing = true is not None and true[i, j] and chance[i, j] < least
        extra = true is not None and not true[i, j]
        loud = emphasised is not None and bool(emphasised[i, j])
        colour = GREEN if missing else RED if extra or loud else BLACK
        weight = 1.0 if missing or probabilities is None else float(chance[i, j])
        curve = bend(int(i), int(j), place, widths, both_ways=bool(shown[j, i]))
        reach.append(arc(place[i], place[j], curve))
        axes.add_patch(
            FancyArrowPatch(
                tuple(place[i]),
                tuple(place[j]),
                connectionstyle=f"arc3,rad={curve}",
                arrowstyle="-|>,head_length=3.2,head_width=1.8",
                mutation_scale=0.5 + 0.8 * thick,
                shrinkA=0,
                shrinkB=0,
                patchA=nodes[i],
                patchB=nodes[j],
                linewidth=thick * (0.5 + 1.5 * weight),
                linestyle=(0, (2.5, 2)) if missing else "-",
                color=colour,
                alpha=0.2 + 0.8 * weight,
                zorder=1,
            )
        )
        if labelled and not missing:
            at = arc(place[i], place[j], curve)[14]
            _label(axes, f"{chance[i, j]:.2f}", at, colour, 5.5 * scale)
    every = np.concatenate(reach)
    margin = np.array([0.1, 0.1 + RADIUS])
    low, high = every.min(axis=0) - margin, every.max(axis=0) + margin
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    bare(axes)


def _union(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Both graphs together if that has no cycle, else the first."""
    both = ((first + second) > 0).astype(np.int8)
    acyclic = nx.is_directed_acyclic_graph(nx.from_numpy_array(both, create_using=nx.DiGraph))
    return both if acyclic else first


def _label(axes: Axes, text: str, at: NDArray[np.float64], colour: str, size: float) -> None:
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.5}
    axes.text(at[0], at[1], text, fontsize=size, ha="center", va="center", color=colour, zorder=2, bbox=box)


def _width(name: str) -> float:
    return min(1.0, max(2 * RADIUS, 0.11 * _length(name) + 0.06))


def _font_size(name: str) -> float:
    return (7.0 if "\n" not in name else 5.5) if _length(name) <= 8 else max(4.0, 56.0 / _length(name))


def _length(name: str) -> int:
    return max(len(line) for line in name.split("\n"))
