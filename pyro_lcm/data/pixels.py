"""Images in arrays: which axis holds the channels, and that they reach from 0 to 1.

Inside the package images are (N, C, H, W) with one channel or three. Bytes stay bytes until they are computed with: a
set of them takes a quarter of the memory, and 0 to 255 means 0 to 1 everywhere.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.lazy import LazyRows, Rows, chunks

Layout = Literal["NCHW", "NHWC"]
LAYOUTS: tuple[Layout, ...] = ("NCHW", "NHWC")
CHANNELS = (1, 3, 4)
"""Numbers of channels that tell which axis they are on; of four the last is opacity and is dropped."""
LIMIT = 10.0
"""Floats beyond this are no image of 0 to 1, nor one in units of its spread, but most likely one of 0 to 255."""
_ALPHA_ROWS = 64


def is_image_shape(shape: tuple[int, ...]) -> bool:
    """Whether observations of a shape are images: (C, H, W) with one channel or three.

    >>> is_image_shape((3, 64, 64)), is_image_shape((5,))
    (True, False)
    """
    return len(shape) == 3 and shape[0] in (1, 3)


def channels_first(array: NDArray[Any], name: str, layout: Layout | None = None) -> NDArray[Any]:
    """View images as (N, C, H, W), without opacity; what are no images stay as they are.

    Args:
        array: Shape (N, C, H, W) or (N, H, W, C), C being 1, 3 or 4, or any other array.
        name: What it is called in a message.
        layout: Which of the two; by default it is told by which axis has 1, 3 or 4 entries.

    Returns:
        A view, shape (N, C, H, W) with C 1 or 3; or the array itself, if it has no four axes or none of them can be
        the channels.

    Raises:
        ValueError: If both axes could be the channels, the layout does not fit, the numbers are neither bytes nor
            floats, or the fourth channel is not opaque (looked at in 64 rows).

    >>> channels_first(np.zeros((5, 64, 32, 3), np.uint8), "x").shape
    (5, 3, 64, 32)
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout: got {layout!r}, expected NCHW or NHWC")
    if array.ndim != 4:
        if layout is not None:
            raise ValueError(f"layout: got {layout!r} for {name} of shape {array.shape}, expected it for four axes")
        return array
    found = _told_apart(array.shape, name) if layout is None else layout
    if found is None:
        return array
    images = np.moveaxis(array, -1, 1) if found == "NHWC" else array
    if images.shape[1] not in CHANNELS:
        raise ValueError(
            f"layout: got {found!r} for {name} of shape {array.shape}, which makes {images.shape[1]} channels,"
            " expected 1, 3 or 4"
        )
    if images.dtype.kind in "iu" and images.dtype != np.uint8:
        raise ValueError(
            f"{name}: got images of {images.dtype}, expected uint8 (0 to 255) or floats (0 to 1);"
            " numpy's astype('uint8') makes bytes of numbers from 0 to 255"
        )
    return _without_alpha(images, name) if images.shape[1] == 4 else images


def like_images(values: Rows, shape: tuple[int, ...], name: str) -> Rows:
    """View observations in the layout that a model of images knows.

    Args:
        values: Images (N, C, H, W) or (N, H, W, C), bytes or floats; anything else stays as it is.
        shape: Of the model's observations, (C, H, W) if these are images.
        name: What the argument is called in a message.

    Returns:
        Images (N, C, H, W), a view; or ``values``.

    Raises:
        ValueError: As :func:`channels_first`, or if floats are far outside 0 to 1.

    >>> like_images(np.zeros((5, 64, 32, 3), np.uint8), (3, 64, 32), "x").shape
    (5, 3, 64, 32)
    """
    if isinstance(values, LazyRows) or not is_image_shape(shape) or values.ndim != 4:
        return values
    images = values if values.shape[1:] == shape else channels_first(values, name)
    if images.dtype.kind == "f" and images.shape[1:] == shape:
        for rows in chunks(images):
            check_limit(images[rows], name)
    return images


def check_limit(images: NDArray[Any], name: str) -> None:
    """Check that images of floats are in the units of 0 to 1.

    Raises:
        ValueError: If some number is far outside.
    """
    if np.abs(images).max(initial=0) > LIMIT:
        raise ValueError(
            f"{name}: got images of floats from {images.min():g} to {images.max():g}, expected 0 to 1;"
            " divide by 255, or give bytes (uint8)"
        )


def unit_range(values: ArrayLike | Rows, dtype: type[np.floating[Any]] | None = None) -> NDArray[Any]:
    """Read images of bytes as floats from 0 to 1, and anything else as it is.

    Args:
        values: Observations, shape (N, ...).
        dtype: Of the result; by default float32 for images of bytes and what it was for the rest.

    Returns:
        An array of the same shape; a new one for images of bytes or if a dtype is given.

    >>> float(unit_range(np.full((1, 3, 8, 8), 255, np.uint8)).min())
    1.0
    """
    array = np.asarray(values)
    bytes_of_images = array.dtype == np.uint8 and is_image_shape(array.shape[1:])
    if dtype is None and not bytes_of_images:
        return array
    result = np.array(array, dtype=dtype or np.float32, order="C")
    if bytes_of_images:
        result /= 255
    return result


def _told_apart(shape: tuple[int, ...], name: str) -> Layout | None:
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first and last:
        raise ValueError(
            f"{name}: got shape {shape}, in which both the second and the last axis could be the channels;"
            ' expected layout="NCHW" or layout="NHWC" with it'
        )
    if first:
        return "NCHW"
    return "NHWC" if last else None


def _without_alpha(images: NDArray[Any], name: str) -> NDArray[Any]:
    """Drop a fourth channel that is opaque where it is looked at."""
    full = 255 if images.dtype == np.uint8 else 1
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), _ALPHA_ROWS)).round().astype(np.int64))
    alpha = images[rows, 3]
    if (alpha != full).any():
        raise ValueError(
            f"{name}: got 4 channels, the fourth from {alpha.min()} to {alpha.max()}, expected one that is opaque"
            f" ({full}) and can be dropped, or 1 or 3 channels"
        )
    return images[:, :3]
