"""PNG and JPEG files as rows of an array; each is decoded when its row is asked for, and what is damaged is named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.lazy import LazyRows

SUFFIXES = (".png", ".jpg", ".jpeg")
"""How names of image files end, in small letters or capitals."""
_FORMATS = ("PNG", "JPEG")
_CHANNELS = {"1": 1, "L": 1, "LA": 1, "P": 3, "RGB": 3, "RGBA": 3}
"""Channels of the modes of Pillow that are taken. A palette is read as its colours."""
_LISTED = 5
_FEW = 16

T = TypeVar("T")


class ImageFiles(LazyRows):
    """Image files as rows, uint8 from 0 to 255, shape (N, C, H, W), with one channel (grey) or three (colours).

    When it is made it reads the head of each file, once where a file comes several times. Pixels are decoded row by
    row as they are asked for, in threads, so memory holds what is asked for and never the set.

    Args:
        files: PNG or JPEG files, all of one size, all grey or all in colours; at least one.
        workers: Threads that decode; by default one a core, at most 8.

    Raises:
        ValueError: If files are missing, unreadable, of different sizes, or some grey and some in colours; the message
            lists them.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (32, 16), (255, 0, 0)).save(f"{folder}/red.png")
    ...     images = ImageFiles([f"{folder}/red.png"])
    ...     images.shape, images[0][:, 0, 0].tolist()
    ((1, 3, 16, 32), [255, 0, 0])
    """

    def __init__(self, files: Sequence[str | Path], *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: got {workers}, expected at least 1")
        if not len(files):
            raise ValueError("files: got none, expected at least one image file")
        self._files = [str(file) for file in files]
        self._workers = workers or min(8, os.cpu_count() or 1)
        super().__init__(len(files), _checked_shape(self._files), np.dtype(np.uint8))

    @property
    def files(self) -> list[str]:
        """The file of each row."""
        return self._files if self._chosen is None else [self._files[row] for row in self._chosen]

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        result = np.empty((len(rows), *self._row_shape), dtype=np.uint8)

        def fill(place: int) -> None:
            result[place] = decode_image(self._files[rows[place]], self._row_shape)

        _for_each(fill, range(len(rows)), self._workers)
        return result


def decode_image(file: str | Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Decode one file.

    Args:
        file: PNG or JPEG.
        shape: Expected (C, H, W).

    Returns:
        Shape (C, H, W). Opacity is dropped if the whole image is opaque.

    Raises:
        ValueError: If the file is missing, damaged, of another shape or not opaque; the message names it.
    """
    from PIL import Image

    modes = ("L", "LA") if shape[0] == 1 else ("RGB", "RGBA")
    try:
        with Image.open(file, formats=_FORMATS) as image:
            see_through = image.mode in ("LA", "RGBA") or "transparency" in image.info
            pixels = np.asarray(image.convert(modes[see_through])).reshape(*image.size[::-1], -1)
    except FileNotFoundError as error:
        raise ValueError(f"{file}: no such file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file}: not a sound image file ({error})") from error
    if see_through:
        if pixels[..., -1].min() < 255:
            raise ValueError(f"{file}: got pixels that are not opaque, expected an image without transparency")
        pixels = pixels[..., :-1]
    if (pixels.shape[-1], *pixels.shape[:2]) != shape:
        raise ValueError(f"{file}: got {_by(pixels.shape[:2])} pixels, expected {_by(shape[1:])}")
    return pixels.transpose(2, 0, 1)


def listed(names: Iterable[object]) -> str:
    """A few names, and how many more there are.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    texts = [str(name) for name in names]
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def _checked_shape(files: list[str]) -> tuple[int, int, int]:
    """Read the heads of files and return the shape (C, H, W) that they share."""
    names = list(dict.fromkeys(files))
    heads = dict(zip(names, _for_each(_head, names, workers=8), strict=True))  # waits for the disk more than it works
    if missing := [name for name, head in heads.items() if head is None]:
        raise ValueError(f"files: {len(missing)} of {len(names)} image files are missing: {listed(missing)}")
    if bad := [f"{name} ({head})" for name, head in heads.items() if isinstance(head, str)]:
        raise ValueError(f"files: {len(bad)} of {len(names)} image files cannot be read: {listed(bad)}")
    shapes = {name: head for name, head in heads.items() if isinstance(head, tuple)}
    channels, others = _odd_ones({name: shape[0] for name, shape in shapes.items()})
    if others:
        few, most = ("in colours", "grey") if channels == 1 else ("grey", "in colours")
        raise ValueError(f"files: {len(others)} of {len(names)} images are {few}, most are {most}: {listed(others)}")
    size, others = _odd_ones({name: shape[1:] for name, shape in shapes.items()})
    if others:
        shown = [f"{name} {_by(shapes[name][1:])}" for name in others]
        raise ValueError(
            f"files: {len(others)} of {len(names)} images are not {_by(size)} as most are: {listed(shown)}"
        )
    return (channels, *size)


def _head(file: str) -> tuple[int, int, int] | str | None:
    """Shape (C, H, W) of an image, what is wrong with it, or None if it is missing."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=_FORMATS) as image:
            mode, (width, height) = image.mode, image.size
    except FileNotFoundError:
        return None
    except UnidentifiedImageError:
        return "no PNG or JPEG"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    if mode not in _CHANNELS:
        return f"mode {mode}, expected 8 bits, grey or RGB"
    return _CHANNELS[mode], height, width


def _odd_ones(values: dict[str, T]) -> tuple[T, list[str]]:
    """The most frequent value, and the names that have another one."""
    most = Counter(values.values()).most_common(1)[0][0]
    return most, [name for name, value in values.items() if value != most]


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} by {size[1]}"


def _for_each(function: Callable[[Any], T], items: Sequence[Any], workers: int) -> list[T]:
    """Apply a function to items, in threads if there are many; Pillow releases the interpreter's lock."""
    if workers == 1 or len(items) < _FEW:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))
