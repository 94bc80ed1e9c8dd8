"""Paints scenes of shapes, many images at a time: anti-aliased by signed distances, in windows about shapes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.scenes.contract import check_places, check_size
from pyro_lcm.data.scenes.outlines import OUTLINES, Outline
from pyro_lcm.data.scenes.shapes import Arc, Background, Shape, ends

Array = NDArray[np.float32]

_BLOCK = 64
"""Images that are painted at a time: few enough for the cache of a core."""
_WAVES = 6
"""Of the texture, in each colour."""


class ShapesRenderer:
    """Paints the images of a scene; see :class:`pyro_lcm.data.scenes.contract.Renderer`.

    Args:
        shapes: What to paint, the last in front.
        background: What is behind them.
        variables: Names of the causal variables that arcs follow, a column each.
        size: Width and height of the images in pixels, 16 to 512.

    Raises:
        ValueError: If the size is out of range.
    """

    def __init__(
        self, shapes: Sequence[Shape], background: Background, variables: Sequence[str], size: int = 64
    ) -> None:
        check_size(size)
        self.shapes, self.size = tuple(shapes), size
        self._background = background_image(background, size)
        self._column = {name: column for column, name in enumerate(variables)}

    def render(self, z: ArrayLike) -> NDArray[np.uint8]:
        """Render images without pixel noise.

        Args:
            z: Causal variables in [0, 1], shape (N, d).

        Returns:
            RGB, shape (N, size, size, 3).

        Raises:
            ValueError: If the shape is another one or a value is out of range.
        """
        places = check_places(z, len(self._column))
        result = np.empty((len(places), self.size, self.size, 3), np.uint8)
        for start in range(0, len(places), _BLOCK):
            painted = self._paint(places[start : start + _BLOCK])
            painted += np.float32(0.5)  # the conversion cuts off
            np.copyto(result[start : start + _BLOCK], painted.transpose(0, 2, 3, 1), casting="unsafe")
        return result

    def paint(self, z: ArrayLike) -> Array:
        """Images before they are rounded, 0 to 255, shape (N, size, size, 3): smooth in z, as far as pixels are."""
        return self._paint(check_places(z, len(self._column))).transpose(0, 2, 3, 1)

    def hidden(self, z: ArrayLike) -> NDArray[np.float64]:
        """Measure how much of each shape is behind others.

        Args:
            z: Causal variables in [0, 1], shape (N, d).

        Returns:
            Fractions of the shapes' areas, shape (N, shapes).
        """
        places = check_places(z, len(self._column))
        share = np.empty((len(places), len(self.shapes)))
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            uncovered = np.ones((len(block), self.size, self.size), np.float32)
            for number, shape in reversed(list(enumerate(self.shapes))):
                rows, columns, opacity = self._window(shape, block)
                windows = sliding_window_view(uncovered, opacity.shape[1:], axis=(1, 2), writeable=True)
                at = (np.arange(len(block)), rows, columns)
                free = windows[at]
                seen = (opacity * free).sum(axis=(1, 2)) / opacity.sum(axis=(1, 2))
                share[start : start + _BLOCK, number] = 1 - seen
                windows[at] = free * (1 - opacity)
        return share

    def __enter__(self) -> ShapesRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def _paint(self, places: NDArray[np.float64]) -> Array:
        """Images (N, 3, size, size), 0 to 255."""
        canvas = np.repeat(self._background[None], len(places), axis=0)
        for shape in self.shapes:
            rows, columns, opacity = self._window(shape, places)
            colour = colours(self._values(shape.hue, places), self._values(shape.brightness, places), shape.saturation)
            windows = sliding_window_view(canvas, opacity.shape[1:], axis=(2, 3), writeable=True)
            at = (np.arange(len(places)), slice(None), rows, columns)
            old = windows[at]
            windows[at] = old + opacity[:, None] * (colour[:, :, None, None] - old)
        return canvas

    def _window(self, shape: Shape, places: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """First rows and columns, (N,), of windows around a shape, and its opacity in them, (N, k, k)."""
        outline = OUTLINES[shape.outline]
        x, y, size = (self._values(value, places) * self.size for value in (shape.x, shape.y, shape.size))
        width = min(self.size, int(np.ceil(2 * outline.reach * max(ends(shape.size)) * self.size)) + 3)
        columns, rows = (
            np.clip(np.rint(middle - width / 2), 0, self.size - width).astype(np.int64) for middle in (x, y)
        )
        steps = np.arange(width) + 0.5
        right = ((columns[:, None] + steps) - x[:, None]) / size[:, None]
        down = ((rows[:, None] + steps) - y[:, None]) / size[:, None]
        angle = self._values(shape.angle, places)
        distance = _distance(outline, right.astype(np.float32), down.astype(np.float32), np.radians(angle))
        distance *= size.astype(np.float32)[:, None, None]
        np.subtract(np.float32(0.5), distance, out=distance)
        np.clip(distance, 0, 1, out=distance)
        return rows, columns, distance

    def _values(self, attribute: float | Arc, places: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(attribute, Arc):
            z = places[:, self._column[attribute.variable]]
            return attribute.start + (attribute.stop - attribute.start) * z
        return np.full(len(places), float(attribute))


def colours(hue: ArrayLike, brightness: ArrayLike, saturation: float) -> Array:
    """Colours of hues on a smooth circle: each of red, green and blue is a cosine of the hue.

    Args:
        hue: Places on the circle, shape (N,); 0 red, 1/3 green, 2/3 blue.
        brightness: 0 to 1, shape (N,).
        saturation: 0 to 1.

    Returns:
        RGB, 0 to 255, shape (N, 3).

    >>> colours([0.0, 0.5], [1.0, 1.0], 1.0).round().tolist()
    [[255.0, 64.0, 64.0], [0.0, 191.0, 191.0]]
    """
    turns = np.asarray(hue, dtype=np.float64)[:, None] - np.arange(3) / 3
    share = 1 - saturation * (0.5 - 0.5 * np.cos(2 * np.pi * turns))
    return (255 * np.asarray(brightness)[:, None] * share).astype(np.float32)


def background_image(background: Background, size: int) -> Array:
    """The background, shape (3, size, size), 0 to 255: a grey, and slow waves of random directions about it."""
    image = np.full((3, size, size), background.level)
    if background.texture > 0:
        rng = np.random.default_rng(background.seed)
        at = (np.arange(size) + 0.5) / size
        for colour in range(3):
            cycles = rng.uniform(-3, 3, (_WAVES, 2))
            phases = rng.uniform(0, 2 * np.pi, _WAVES)
            turns = cycles[:, :1, None] * at[:, None] + cycles[:, 1:, None] * at
            waves = np.cos(2 * np.pi * turns + phases[:, None, None])
            image[colour] += background.texture * waves.mean(axis=0)
    return (255 * image).astype(np.float32)


def _distance(outline: Outline, right: Array, down: Array, angle: NDArray[np.float64]) -> Array:
    """Signed distances, (N, k, k), in units of the shape's size, of a grid of columns and rows, (N, k) each."""
    across, along = right[:, None, :], down[:, :, None]
    if not angle.any():
        return outline.distance(across, along)
    cos, sin = (part.astype(np.float32)[:, None, None] for part in (np.cos(angle), np.sin(angle)))
    return outline.distance(cos * across + sin * along, cos * along - sin * across)
