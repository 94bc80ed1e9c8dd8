"""A graph whose nodes are pictures: what each variable does to an image, low beside high."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from numpy.typing import ArrayLike

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.viz.images import drawable
from pyro_lcm.viz.layout import RADIUS, bend, graph_layout
from pyro_lcm.viz.style import BLACK, BLUE, new_figure, style

_THUMB = 0.85
"""Inches of the longer side of a thumbnail."""
_GAP = 0.04
_STEPS = np.array([1.25, 1.0])
"""Widths and heights of a node, with room for arrows, from one to the next."""


def thumbnails_graph_figure(adjacency: ArrayLike, thumbnails: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw a graph in layers along its causal order, the pictures of each variable side by side as its node.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        thumbnails: K images for each variable, such as one with the variable low and one with it high, shape
            (d, K, C, H, W).
        names: Of the d variables.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    matrix = as_adjacency(adjacency)
    pictures = drawable(thumbnails, "thumbnails", "variables, K")
    if len(names) != len(matrix) or len(pictures) != len(matrix):
        raise ValueError(
            f"names, thumbnails: got {len(names)} and {len(pictures)}, expected {len(matrix)}, one for each variable"
        )
    number, tall, wide = pictures.shape[1:4]
    unit = _THUMB / max(tall, wide)
    node = np.array([number * wide * unit + (number - 1) * _GAP, tall * unit])
    place = graph_layout(matrix) * (node + 0.6) * _STEPS
    low, high = place.min(axis=0) - node / 2 - 0.15, place.max(axis=0) + node / 2 + np.array([0.15, 0.35])
    with style():
        figure = new_figure(*(high - low))
        figure.set_layout_engine("none")  # pictures are placed in inches
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        frames = [Rectangle(tuple(at - node / 2), *node, fill=False, edgecolor=BLUE, linewidth=0.6) for at in place]
        scale = 2 * RADIUS / node[1]  # to the scale at which a node has the height that bends are made for
        widths = np.full(len(matrix), 1.15 * node[0] * scale)
        for i, j in zip(*np.nonzero(matrix), strict=True):
            curve = bend(int(i), int(j), place * scale, widths, both_ways=bool(matrix[j, i]))
            axes.add_patch(
                FancyArrowPatch(
                    tuple(place[i]),
                    tuple(place[j]),
                    connectionstyle=f"arc3,rad={curve}",
                    arrowstyle="-|>,head_length=4,head_width=2.2",
                    patchA=frames[i],
                    patchB=frames[j],
                    color=BLACK,
                    linewidth=1.3,
                    shrinkA=2,
                    shrinkB=2,
                    zorder=3,
                )
            )
        for frame, at, row, name in zip(frames, place, pictures, names, strict=True):
            axes.add_patch(frame)
            for k, picture in enumerate(row):
                left, bottom = at - node / 2 + np.array([k * (wide * unit + _GAP), 0])
                extent = (left, left + wide * unit, bottom, bottom + tall * unit)
                axes.imshow(picture, extent=extent, interpolation="nearest", zorder=2)
            axes.text(at[0], at[1] + node[1] / 2 + 0.05, name, ha="center", va="bottom", fontsize=8)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
    return figure
