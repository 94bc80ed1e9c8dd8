"""Pictures of images: grids with labels, and a graph whose nodes are thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.viz.layout import RADIUS, bend, graph_layout
from pyro_lcm.viz.style import BLACK, bare, new_figure, style

_THUMB = 1.25
"""Inches of a thumbnail in a graph."""


def image_grid(
    images: ArrayLike,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    size: float = 0.95,
) -> Figure:
    """Draw images in rows and columns.

    Args:
        images: RGB in [0, 1], shape (R, C, H, W, 3).
        rows: R labels at the left, or none.
        columns: C labels at the top, or none.
        size: Inches of an image.

    Returns:
        The figure.

    Raises:
        ValueError: If the shape or the number of labels does not fit.
    """
    array = np.asarray(images, dtype=float)
    if array.ndim != 5 or array.shape[-1] != 3:
        raise ValueError(f"images: got shape {array.shape}, expected (rows, columns, height, width, 3)")
    down, across = array.shape[:2]
    for name, labels, number in (("rows", rows, down), ("columns", columns, across)):
        if len(labels) not in (0, number):
            raise ValueError(f"{name}: got {len(labels)} labels, expected {number}")
    with style():
        left = 0.12 + 0.055 * max((len(line) for label in rows for line in label.split("\n")), default=0)
        figure = new_figure(size * across + left, size * down + 0.25)
        panels = figure.subplots(down, across, squeeze=False)
        for r in range(down):
            for c in range(across):
                axes = panels[r, c]
                axes.imshow(np.clip(array[r, c], 0, 1), interpolation="nearest")
                bare(axes)
                axes.set_xticks([])
                axes.set_yticks([])
                if columns and r == 0:
                    axes.set_title(columns[c], fontsize=7, pad=3)
                if rows and c == 0:
                    axes.set_ylabel(rows[r], rotation=0, ha="right", va="center", fontsize=7)
    return figure


def graph_over_thumbnails(adjacency: ArrayLike, thumbnails: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw a graph in layers along its causal order, a picture for each variable.

    Args:
        adjacency: Graph, ``[parent, child]``, shape (d, d).
        thumbnails: RGB in [0, 1], shape (d, H, W, 3).
        names: Of the d variables.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    matrix = as_adjacency(adjacency)
    pictures: NDArray[np.float64] = np.asarray(thumbnails, dtype=float)
    if pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(f"thumbnails: got shape {pictures.shape}, expected (variables, height, width, 3)")
    if len(names) != len(matrix) or len(pictures) != len(matrix):
        raise ValueError(
            f"names, thumbnails: got {len(names)} and {len(pictures)}, expected {len(matrix)}, one for each variable"
        )
    place = graph_layout(matrix) * np.array([2.0, 1.9])
    low, high = place.min(axis=0) - 0.85, place.max(axis=0) + 0.95
    with style():
        figure = new_figure(*(high - low))
        figure.set_layout_engine("none")  # pictures are placed in inches
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
        axes.axis("off")
        half = _THUMB / 2
        frames = [Rectangle((x - half, y - half), _THUMB, _THUMB, fill=False, edgecolor="none") for x, y in place]
        shrunk = place * RADIUS / half  # to the scale at which a node has the height that bends are made for
        widths = np.full(len(matrix), 2.4 * RADIUS)
        for i, j in zip(*np.nonzero(matrix), strict=True):
            axes.add_patch(
                FancyArrowPatch(
                    tuple(place[i]),
                    tuple(place[j]),
                    connectionstyle=f"arc3,rad={bend(int(i), int(j), shrunk, widths, both_ways=False)}",
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
        for frame in frames:
            axes.add_patch(frame)
        for at, picture, name in zip(place, pictures, names, strict=True):
            extent = (at[0] - half, at[0] + half, at[1] - half, at[1] + half)
            axes.imshow(np.clip(picture, 0, 1), extent=extent, interpolation="nearest", zorder=2)
            axes.text(at[0], at[1] + half + 0.05, name, ha="center", va="bottom", fontsize=8)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
    return figure
