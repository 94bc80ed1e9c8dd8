"""Where the variables of a graph go, and how its edges bend around them."""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency

RADIUS = 0.2
"""Half the height of a node, in units of the layout."""
_BENDS = (0.0, 0.15, -0.15, 0.25, -0.25, 0.35, -0.35, 0.5, -0.5, 0.65, -0.65)
"""Curvatures that are tried for an edge, the smallest first."""
MANY = 20
"""Variables beyond which a column of a layout is cut, and only likely edges are drawn."""
_STEP = 1.3
"""Distance of two columns."""


def graph_layout(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Place the variables of a DAG, causes to the left of effects.

    Layers where they suit the graph. One that is nearly a complete order would become a long line, and is put on
    an ellipse instead, clockwise from the left in a causal order; so is one with a cycle, in the order given.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).

    Returns:
        Positions, shape (d, 2).
    """
    matrix = as_adjacency(adjacency)
    graph = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
    if not nx.is_directed_acyclic_graph(graph):
        return circular_layout(list(range(len(matrix))))
    layers = len(list(nx.topological_generations(graph)))
    if len(matrix) > 6 and 2 * layers > len(matrix) and matrix.sum() > 2 * len(matrix):
        order = list(nx.lexicographical_topological_sort(graph))
        return circular_layout(order)
    return layered_layout(matrix)


def circular_layout(order: list[int]) -> NDArray[np.float64]:
    """Place variables on an ellipse, clockwise from the left.

    Args:
        order: The variables, 0-based, in the order in which they come.

    Returns:
        Positions, shape (d, 2), about one unit between neighbours.
    """
    angle = np.pi - 2 * np.pi * np.arange(len(order)) / len(order)
    radius = max(1.0, 0.95 * len(order) / (2 * np.pi))
    place = np.zeros((len(order), 2))
    place[order] = radius * np.stack([1.25 * np.cos(angle), np.sin(angle)], axis=1)
    return place


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
    layers = [sorted(layer) for layer in nx.topological_generations(graph)]
    if len(matrix) > MANY:
        layers = _roots_beside_children(matrix, layers)
    # One crowded column, as of a graph without edges, becomes several; so do those of many variables.
    if len(layers) == 1 or len(matrix) > MANY:
        most = int(np.ceil(np.sqrt(len(matrix) if len(layers) == 1 else 2 * len(matrix))))
        layers = [part for layer in layers for part in _fold(layer, most)]
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
        place[layer, 0] = _STEP * column
        # A slight zigzag keeps an edge that skips a column from running through the nodes of it.
        place[layer, 1] = height[layer] + (0.3 * (-1) ** column if len(layers) > 2 else 0.0)
    return place


def _roots_beside_children(matrix: NDArray[np.int8], layers: list[list[int]]) -> list[list[int]]:
    """Layers in which variables without a parent stand just before their first child; those without any are last."""
    depth = np.zeros(len(matrix), dtype=int)
    for number, layer in enumerate(layers):
        depth[layer] = number
    for root in layers[0]:
        children = np.flatnonzero(matrix[root])
        depth[root] = depth[children].min() - 1 if len(children) else len(layers)
    return [found for number in range(len(layers) + 1) if (found := np.flatnonzero(depth == number).tolist())]


def _fold(layer: list[int], rows: int) -> list[list[int]]:
    """A column as several of nearly equal length, none longer than so many rows."""
    parts = -(-len(layer) // rows)
    return [part.tolist() for part in np.array_split(np.array(layer), parts)]


def _spread(count: int) -> NDArray[np.float64]:
    return np.arange(count, dtype=float) - (count - 1) / 2


def bend(i: int, j: int, place: NDArray[np.float64], widths: NDArray[np.float64], both_ways: bool) -> float:
    """How much an edge bends: as little as keeps it clear of other nodes, and of its reverse."""
    start, end = place[i], place[j]
    others = np.delete(np.arange(len(place)), [i, j])
    # Two edges that bend to the left, each seen from its own start, lie on different sides.
    bends = tuple(bend for bend in _BENDS if bend > 0) if both_ways else _BENDS
    if not len(others):
        return bends[0]
    scale = np.stack([widths[others] / 2, np.full(len(others), RADIUS)], axis=1)
    clear = []
    for bend in bends:
        path = arc(start, end, bend)
        gaps = np.hypot(*np.moveaxis((path[:, None] - place[others]) / scale, -1, 0))
        clear.append(float(gaps.min()))
    return next((bend for bend, gap in zip(bends, clear, strict=True) if gap > 1.25), bends[int(np.argmax(clear))])


def arc(start: NDArray[np.float64], end: NDArray[np.float64], bend: float) -> NDArray[np.float64]:
    """Points of matplotlib's connection style arc3, (n, 2)."""
    line = end - start
    control = (start + end) / 2 + bend * np.array([line[1], -line[0]])
    t = np.linspace(0, 1, 33)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)
