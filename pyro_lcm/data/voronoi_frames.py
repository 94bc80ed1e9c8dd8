"""Frames of the Voronoi benchmark as images: each number is the hue of a cell of a Voronoi diagram.

After the benchmark of Lippe et al. (ICLR 2023, arXiv 2206.06169): 32 pixels wide, the cells of random points that are
not too near each other, hues within 7/8 of a circle so that no two values look alike, black between cells.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import hsv_to_rgb
from numpy.typing import ArrayLike, NDArray

_RANGE = 7 / 8
_TRIES = 200
_ROWS = 4096


def voronoi_cells(number: int, size: int, seed: int) -> NDArray[np.int64]:
    """Which cell each pixel belongs to, 0 to ``number`` - 1, or -1 between two of them, shape (size, size).

    Args:
        number: Number of cells.
        size: Width and height in pixels, at least 8.
        seed: Of the points; of some hundred draws the one whose points are farthest apart.

    Raises:
        ValueError: If the size is too small.

    >>> cells = voronoi_cells(3, 16, seed=0)
    >>> cells.shape, np.unique(cells).tolist()
    ((16, 16), [-1, 0, 1, 2])
    """
    if size < 8:
        raise ValueError(f"size: got {size}, expected at least 8 pixels")
    rng = np.random.default_rng((seed, 2))
    best, points = -1.0, np.zeros((number, 2))
    for _ in range(_TRIES):
        drawn = rng.uniform(size / 8, 7 * size / 8, (number, 2))
        apart = np.linalg.norm(drawn[:, None] - drawn, axis=-1) + size * np.eye(number)
        if apart.min() > best:
            best, points = float(apart.min()), drawn
    places = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij"), -1)
    distances = np.linalg.norm(places[..., None, :] - points, axis=-1)
    cells = distances.argmin(-1)
    if number > 1:
        nearest = np.sort(distances, axis=-1)
        cells[nearest[..., 1] - nearest[..., 0] < size / 32] = -1
    return cells


def render_voronoi(x: ArrayLike, *, size: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Paint frames of vectors.

    Args:
        x: Vectors, shape (F, K), of about unit variance.
        size: Width and height in pixels.
        seed: Of the diagram.

    Returns:
        Images, shape (F, 3, size, size), bytes.

    >>> render_voronoi(np.zeros((2, 3)), size=16).shape
    (2, 3, 16, 16)
    """
    values = np.asarray(x, dtype=np.float64)
    cells = voronoi_cells(values.shape[1], size, seed)
    images = np.zeros((len(values), 3, size, size), np.uint8)
    for start in range(0, len(values), _ROWS):
        hue = (np.tanh(values[start : start + _ROWS] / 2) * _RANGE + 1) / 2
        colours = hsv_to_rgb(np.stack([hue, np.ones_like(hue), np.ones_like(hue)], -1))
        colours = np.concatenate([colours, np.zeros_like(colours[:, :1])], 1)  # black at index -1
        painted = np.rint(255 * colours).astype(np.uint8)[:, cells]
        images[start : start + _ROWS] = np.moveaxis(painted, -1, 1)
    return images
