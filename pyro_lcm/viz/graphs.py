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
from pyro_lcm.viz.style import BLACK, BLUE, GREEN, RED, bare, new_figure, style

MIN_PROBABILITY = 0.05
"""Edges below this probability are not drawn."""
_RADIUS = 0.2
_BENDS = (0.0, 0.15, -0.15, 0.25, -0.25, 0.35, -0.35, 0.5, -0.5, 0.65, -0.65)
"""Curvatures that are tried for an edge, the smallest first."""


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
        adjacency: Graph, ``[parent, child]``, shape (d, d), acyclic: what the layers follow and, without
            probabilities, the edges.
        names: Of the d variables.
        probabilities: Probabilities of the edges, shape (d, d), in [0, 1]; they give width, opacity and
            label. Edges below 0.05 are left out.
        truth: True graph, shape (d, d), if known: extra edges become orange, missing ones green and dashed.
        title: Of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit or the graph has a cycle.
    """
    matrix = as_adjacency(adjacency)
    if len(names) != len(matrix):
        raise ValueError(f"names: got {len(names)}, expected {len(matrix)}, one for each variable")
    place = layered_layout(matrix if truth is None else _union(matrix, as_adjacency(truth)))
    span = np.ptp(place, axis=0) if len(place) else np.zeros(2)
    with style():
        figure = new_figure(min(7.5, 1.0 * span[0] + 1.4), min(6.0, 0.95 * span[1] + 1.0))
        axes = figure.subplots()
        draw_graph(axes, matrix, names, place, probabilities=probabilities, truth=truth)
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
) -> None:
    """Draw a graph into axes that exist.

    Args:
        axes: Where to.
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        names: Of the d variables.
        place: Positions, shape (d, 2), as :func:`layered_layout` gives them.
        probabilities: As in :func:`graph_figure`.
        truth: As in :func:`graph_figure`.
        emphasised: Edges drawn in orange, (d, d) booleans.
    """
    chance = np.clip(np.asarray(adjacency if probabilities is None else probabilities, dtype=float), 0.0, 1.0)
    if chance.shape != adjacency.shape:
        raise ValueError(f"probabilities: got shape {chance.shape}, expected {adjacency.shape}")
    true = None if truth is None else as_adjacency(truth).astype(bool)
    shown = chance >= MIN_PROBABILITY if probabilities is not None else chance > 0
    if true is not None:
        shown = shown | true
    labelled = probabilities is not None and len(names) <= 8
    nodes = [
        Ellipse(tuple(at), _width(name), 2 * _RADIUS, facecolor="white", edgecolor=BLUE, linewidth=1.1, zorder=2)
        for name, at in zip(names, place, strict=True)
    ]
    for name, node in zip(names, nodes, strict=True):
        axes.add_patch(node)
        axes.text(*node.center, name, ha="center", va="center", zorder=3, fontsize=_font_size(name))
    widths = np.array([_width(name) for name in names])
    reach = [place - np.array([0.5, 0]) * widths[:, None], place + np.array([0.5, 0]) * widths[:, None]]
    for i, j in zip(*np.nonzero(shown), strict=True):
        missing = true is not None and true[i, j] and chance[i, j] < MIN_PROBABILITY
        extra = true is not None and not true[i, j]
        loud = emphasised is not None and bool(emphasised[i, j])
        colour = GREEN if missing else RED if extra or loud else BLACK
        weight = 1.0 if missing or probabilities is None else float(chance[i, j])
        curve = _curve(int(i), int(j), place, widths, both_ways=bool(shown[j, i]))
        reach.append(_bezier(place[i], place[j], curve))
        axes.add_patch(
            FancyArrowPatch(
                tuple(place[i]),
                tuple(place[j]),
                connectionstyle=f"arc3,rad={curve}",
                arrowstyle="-|>,head_length=3.2,head_width=1.8",
                mutation_scale=1.25,
                shrinkA=0,
                shrinkB=0,
                patchA=nodes[i],
                patchB=nodes[j],
                linewidth=0.5 + 1.5 * weight,
                linestyle=(0, (2.5, 2)) if missing else "-",
                color=colour,
                alpha=0.2 + 0.8 * weight,
                zorder=1,
            )
        )
        if labelled and not missing:
            _label(axes, f"{chance[i, j]:.2f}", place[i], place[j], curve, colour)
    every = np.concatenate(reach)
    margin = np.array([0.1, 0.1 + _RADIUS])
    low, high = every.min(axis=0) - margin, every.max(axis=0) + margin
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    bare(axes)


def layered_layout(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Place the variables of a DAG: one column for each generation, few crossings.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d), acyclic.

    Returns:
        Positions, shape (d, 2); a variable is to the right of all its ancestors.

    >>> layered_layout([[0, 1], [0, 0]]).round(1).tolist()
    [[0.0, 0.0], [1.3, 0.0]]
    """
    matrix = as_adjacency(adjacency)
    graph = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
    try:
        layers = [sorted(layer) for layer in nx.topological_generations(graph)]
    except nx.NetworkXUnfeasible as error:
        raise ValueError("adjacency: got a graph with a cycle, expected none") from error
    # One crowded column, as of a graph without edges, becomes several.
    layers = [part for layer in layers for part in _fold(layer)] if len(layers) == 1 else layers
    tied = (matrix + matrix.T) > 0
    height = np.zeros(len(matrix))
    for layer in layers:
        height[layer] = _spread(len(layer))
    for sweep in range(8):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            centre = [height[tied[node]].mean() if tied[node].any() else height[node] for node in layer]
            ranked = [layer[k] for k in np.argsort(centre, kind="stable")]
            height[ranked] = _spread(len(ranked))
    place = np.zeros((len(matrix), 2))
    for column, layer in enumerate(layers):
        place[layer, 0] = 1.3 * column
        # A slight zigzag keeps an edge that skips a column from running through the nodes of it.
        place[layer, 1] = height[layer] + (0.3 * (-1) ** column if len(layers) > 2 else 0.0)
    return place


def _fold(layer: list[int]) -> list[list[int]]:
    rows = int(np.ceil(np.sqrt(len(layer))))
    return [layer[start : start + rows] for start in range(0, len(layer), rows)]


def _spread(count: int) -> NDArray[np.float64]:
    return np.arange(count, dtype=float) - (count - 1) / 2


def _union(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Both graphs together if that has no cycle, else the first."""
    both = ((first + second) > 0).astype(np.int8)
    acyclic = nx.is_directed_acyclic_graph(nx.from_numpy_array(both, create_using=nx.DiGraph))
    return both if acyclic else first


def _curve(i: int, j: int, place: NDArray[np.float64], widths: NDArray[np.float64], both_ways: bool) -> float:
    """How much an edge bends: as little as keeps it clear of other nodes, and of its reverse."""
    start, end = place[i], place[j]
    others = np.delete(np.arange(len(place)), [i, j])
    # Two edges that bend to the left, each seen from its own start, lie on different sides.
    bends = tuple(bend for bend in _BENDS if bend > 0) if both_ways else _BENDS
    if not len(others):
        return bends[0]
    scale = np.stack([widths[others] / 2, np.full(len(others), _RADIUS)], axis=1)
    clear = []
    for bend in bends:
        path = _bezier(start, end, bend)
        gaps = np.hypot(*np.moveaxis((path[:, None] - place[others]) / scale, -1, 0))
        clear.append(float(gaps.min()))
    return next((bend for bend, gap in zip(bends, clear, strict=True) if gap > 1.25), bends[int(np.argmax(clear))])


def _bezier(start: NDArray[np.float64], end: NDArray[np.float64], bend: float) -> NDArray[np.float64]:
    """Points of matplotlib's connection style arc3, (n, 2)."""
    line = end - start
    control = (start + end) / 2 + bend * np.array([line[1], -line[0]])
    t = np.linspace(0, 1, 33)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)


def _label(
    axes: Axes,
    text: str,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    curve: float,
    colour: str,
) -> None:
    middle = _bezier(start, end, curve)[14]
    axes.text(
        *middle,
        text,
        fontsize=5.5,
        ha="center",
        va="center",
        color=colour,
        zorder=2,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.5},
    )


def _width(name: str) -> float:
    return min(1.0, max(2 * _RADIUS, 0.11 * _length(name) + 0.06))


def _font_size(name: str) -> float:
    return (7.0 if "\n" not in name else 5.5) if _length(name) <= 8 else max(4.0, 56.0 / _length(name))


def _length(name: str) -> int:
    return max(len(line) for line in name.split("\n"))
