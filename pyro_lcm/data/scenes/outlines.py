"""Outlines of shapes as signed distances: negative inside, in units of the shape's size, rising by 1 a unit outside.

Each is drawn upright about its own middle, u to the right and v downwards, and reaches no further than ``reach``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Outline:
    """An outline.

    Attributes:
        distance: Signed distance at (u, v), arrays of one shape.
        reach: Largest distance of a point of the shape from its middle.
        period: Degrees of a turn after which the shape looks as before; 0 if it always does.
    """

    distance: Callable[[Array, Array], Array]
    reach: float
    period: float


def _disc(u: Array, v: Array) -> Array:
    return np.sqrt(u * u + v * v) - np.float32(1)


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.sqrt(u * u + v * v) - np.float32(0.74)) - np.float32(0.26)


def _box(u: Array, v: Array, width: float, height: float) -> Array:
    across, along = np.abs(u) - np.float32(width), np.abs(v) - np.float32(height)
    return np.maximum(across, along)  # exact but beyond the corners, where a pixel's rounding is all that differs


def _square(u: Array, v: Array) -> Array:
    return _box(u, v, 0.85, 0.85)


def _rectangle(u: Array, v: Array) -> Array:
    return _box(u, v, 1.0, 0.4)


def _triangle(u: Array, v: Array) -> Array:
    """An arrowhead: base down, apex up, higher than wide, so that no turn but a full one leaves it as it was."""
    slope = np.float32(1.75 / 0.7)
    side = (slope * np.abs(u) - v - np.float32(1)) / np.float32(np.hypot(slope, 1))
    return np.maximum(side, v - np.float32(0.75))


def _pin(u: Array, v: Array) -> Array:
    """A bar of different ends: a stick with a head."""
    head = np.sqrt((u - np.float32(0.58)) ** 2 + v * v) - np.float32(0.42)
    return np.minimum(head, _box(u, v, 1.0, 0.16))


OUTLINES: dict[str, Outline] = {
    "disc": Outline(_disc, 1.0, 0.0),
    "ring": Outline(_ring, 1.0, 0.0),
    "square": Outline(_square, 1.21, 90.0),
    "rectangle": Outline(_rectangle, 1.08, 180.0),
    "triangle": Outline(_triangle, 1.03, 360.0),
    "pin": Outline(_pin, 1.02, 360.0),
}
"""The outlines by name."""
