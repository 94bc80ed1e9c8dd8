"""Larger images at a smaller size, by the mean of the area that each pixel covers, when they are asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.lazy import LazyRows, Rows
from pyro_lcm.data.pixels import is_image_shape, unit_range


class AveragedImages(LazyRows):
    """Images averaged to a smaller size, float32 from 0 to 1, shape (N, C, height, width).

    They are not rounded to bytes: what moves by less than a pixel shows in the fractions.

    Args:
        images: Shape (N, C, H, W); bytes or floats, in memory, memory-mapped or lazy.
        size: See :func:`smaller_size`.

    Raises:
        ValueError: If these are no images, or the size does not fit them.

    >>> small = AveragedImages(np.full((5, 3, 64, 96), 255, np.uint8), 16)
    >>> small.shape, float(small[0].min())
    ((5, 3, 16, 24), 1.0)
    """

    def __init__(self, images: Rows, size: int | tuple[int, int]) -> None:
        if not is_image_shape(images.shape[1:]):
            raise ValueError(f"size: got one for observations of shape {images.shape[1:]}, expected it for images")
        height, width = smaller_size(size, (images.shape[2], images.shape[3]))
        super().__init__(len(images), (images.shape[1], height, width), np.dtype(np.float32))
        self._images = images

    @property
    def files(self) -> list[str] | None:
        """The file of each row, where each has one of its own."""
        files = self._images.files if isinstance(self._images, LazyRows) else None
        return files if files is None or self._chosen is None else [files[row] for row in self._chosen]

    def _row_bytes(self) -> int:
        # Bytes on the disk, the same as float32 and half of it again while sums are taken.
        return 6 * math.prod(self._images.shape[1:])

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return averaged(self._images[rows], self._row_shape[1:])


def smaller_size(size: int | tuple[int, int], full: tuple[int, int]) -> tuple[int, int]:
    """Height and width that images are averaged to.

    Args:
        size: Both, or that of the shorter side; the longer one then follows in proportion.
        full: Height and width of the images as they are.

    Raises:
        ValueError: If the size is larger than the images, or the longer side would not be whole.

    >>> smaller_size(64, (480, 600)), smaller_size((48, 64), (480, 600))
    ((64, 80), (48, 64))
    """
    shown = f"{full[0]} by {full[1]} pixels"
    if isinstance(size, int):
        short, long = min(full), max(full)
        other, rest = divmod(size * long, short)
        if rest:
            raise ValueError(
                f"size: got {size} for images of {shown}, whose longer side would become"
                f" {size * long / short:.2f}; expected height and width, such as {_near(size, full)}"
            )
        height, width = (size, other) if full[0] <= full[1] else (other, size)
    else:
        if len(size) != 2:
            raise ValueError(f"size: got {size}, expected one number or height and width")
        height, width = size
    if not (1 <= height <= full[0] and 1 <= width <= full[1]):
        raise ValueError(f"size: got {height} by {width} for images of {shown}, expected at least 1 and at most theirs")
    return height, width


def averaged(images: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Average images to a size.

    Args:
        images: Shape (B, C, H, W), bytes or floats.
        size: Height and width, at most those of the images.

    Returns:
        Shape (B, C, height, width), float32; of bytes from 0 to 1. A pixel is the mean over the area it covers, in
        which pixels on the edge count by their share.
    """
    height, width = size
    full_height, full_width = images.shape[2:]
    if (height, width) == (full_height, full_width):
        return unit_range(images)
    if full_height % height or full_width % width:
        rows, columns = _weights(full_height, height), _weights(full_width, width)
        return rows @ unit_range(images) @ columns.T
    # Sums of bytes are exact, so that the same files give the same numbers, to the last digit, on every machine.
    dtype = np.uint32 if images.dtype == np.uint8 else np.float32
    down, across = full_height // height, full_width // width
    sums = images.reshape(*images.shape[:2], height, down, full_width).sum(axis=3, dtype=dtype)
    sums = sums.reshape(*images.shape[:2], height, width, across).sum(axis=4, dtype=dtype)
    scale = down * across * (255 if images.dtype == np.uint8 else 1)
    return (sums / np.float64(scale)).astype(np.float32)


def _weights(full: int, size: int) -> NDArray[np.float32]:
    """Share of each of ``full`` pixels in each of ``size``, shape (size, full); rows add up to 1."""
    edges = np.arange(size + 1) * (full / size)
    pixels = np.arange(full)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(min=0) * (size / full)).astype(np.float32)


def _near(size: int, full: tuple[int, int]) -> tuple[int, int]:
    """Height and width near a size of the shorter side, in multiples of 8 that networks take."""
    scale = size / min(full)
    height, width = (max(8, round(side * scale / 8) * 8) for side in full)
    return height, width
