"""Images in rows and columns: pairs, reconstructions, traversals, interventions, counterfactuals.

Images are (..., C, H, W) of one channel or three, bytes or floats from 0 to 1, as everywhere in the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.data.pixels import is_image_shape, unit_range
from pyro_lcm.viz.style import bare, new_figure, style

Array = NDArray[Any]
Decode = Callable[[Array], Array]
"""From latents (N, d) to images (N, C, H, W)."""


def drawable(images: ArrayLike, name: str, leading: str) -> NDArray[np.float64]:
    """Images as matplotlib draws them: channels last, grey as three equal channels, from 0 to 1.

    Args:
        images: Shape (..., C, H, W).
        name: What they are called in a message.
        leading: The axes before the image's own, such as ``"N"`` or ``"rows, columns"``.

    Returns:
        RGB in [0, 1], shape (..., H, W, 3).

    Raises:
        ValueError: If the shape is another one, or there is no image.

    >>> drawable(np.full((2, 1, 8, 4), 255, np.uint8), "x", "N").shape
    (2, 8, 4, 3)
    """
    array = np.asarray(images)
    axes = leading.count(",") + 1 if leading else 0
    if array.ndim != axes + 3 or not is_image_shape(array.shape[-3:]) or array.size == 0:
        expected = f"({leading}, C, H, W)" if leading else "(C, H, W)"
        raise ValueError(f"{name}: got shape {array.shape}, expected {expected} with 1 or 3 channels")
    flat = unit_range(array.reshape(-1, *array.shape[-3:]), np.float64)
    colours = np.broadcast_to(flat, (len(flat), 3, *flat.shape[2:]))
    return np.clip(np.moveaxis(colours, 1, -1), 0, 1).reshape(*array.shape[:-3], *array.shape[-2:], 3)


def image_grid(
    images: ArrayLike,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    size: float = 0.95,
) -> Figure:
    """Draw images in rows and columns.

    Args:
        images: Shape (R, K, C, H, W).
        rows: R labels at the left, or none.
        columns: K labels at the top, or none.
        size: Inches of the width of an image.

    Returns:
        The figure.

    Raises:
        ValueError: If the shape or the number of labels does not fit.

    >>> len(image_grid(np.zeros((2, 3, 1, 8, 8)), rows=["before", "after"]).axes)
    6
    """
    pictures = drawable(images, "images", "rows, columns")
    down, across = pictures.shape[:2]
    for name, labels, number in (("rows", rows, down), ("columns", columns, across)):
        if len(labels) not in (0, number):
            raise ValueError(f"{name}: got {len(labels)} labels, expected {number}")
    height = size * pictures.shape[2] / pictures.shape[3]
    with style():
        left = 0.12 + 0.055 * max((len(line) for label in rows for line in label.split("\n")), default=0)
        top = 0.13 + 0.12 * max((label.count("\n") + 1 for label in columns), default=0)
        figure = new_figure(size * across + left, height * down + top)
        panels = figure.subplots(down, across, squeeze=False)
        for r in range(down):
            for c in range(across):
                axes = panels[r, c]
                axes.imshow(pictures[r, c], interpolation="nearest")
                bare(axes)
                if columns and r == 0:
                    axes.set_title(columns[c], fontsize=7, pad=3)
                if rows and c == 0:
                    axes.set_ylabel(rows[r], rotation=0, ha="right", va="center", fontsize=7)
    return figure


def pairs_figure(
    x: ArrayLike, x_after: ArrayLike, targets_probabilities: ArrayLike | None, names: Sequence[str]
) -> Figure:
    """Draw pairs, before above after, with the inferred target of each and its probability.

    Args:
        x: Images before, shape (N, C, H, W).
        x_after: Images after, the same shape.
        targets_probabilities: In [0, 1], shape (N, d + 1), column 0 none; None for a model without targets.
        names: Of the d variables.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    before, after = unit_images(x, "x", "N"), unit_images(x_after, "x_after", "N")
    _same_shape("x_after", after, before)
    labels: list[str] = []
    if targets_probabilities is not None:
        chances = np.asarray(targets_probabilities, dtype=float)
        if chances.shape != (len(before), len(names) + 1):
            raise ValueError(
                f"targets_probabilities: got shape {chances.shape}, expected {(len(before), len(names) + 1)}"
            )
        every = ("none", *names)
        labels = [f"{_folded(every[row.argmax()])}\n{100 * row.max():.0f} %" for row in chances]
    return image_grid(np.stack([before, after]), rows=["before", "after"], columns=labels)


def reconstructions_figure(x: ArrayLike, reconstructed: ArrayLike) -> Figure:
    """Draw images above what their latents are decoded to.

    Args:
        x: Images, shape (N, C, H, W).
        reconstructed: The same shape.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    seen, decoded = unit_images(x, "x", "N"), unit_images(reconstructed, "reconstructed", "N")
    _same_shape("reconstructed", decoded, seen)
    return image_grid(np.stack([seen, decoded]), rows=["image", "reconstructed"])


def traverse(decode: Decode, start: ArrayLike, levels: ArrayLike) -> Array:
    """Decode latents that differ from a start in one variable at a time.

    Args:
        decode: From latents (N, d) to images (N, C, H, W).
        start: Where all other variables stay, shape (d,).
        levels: L values of each variable, shape (L, d).

    Returns:
        Images, shape (d, L, C, H, W).

    Raises:
        ValueError: If the levels are not of as many variables as the start.

    >>> traverse(lambda z: z.sum(axis=1).reshape(-1, 1, 1, 1), [1, 2], [[0, 0], [5, 5]])[..., 0, 0, 0]
    array([[2., 7.],
           [1., 6.]])
    """
    base, values = np.asarray(start, dtype=float), np.asarray(levels, dtype=float)
    if base.ndim != 1 or values.ndim != 2 or values.shape[1] != len(base):
        raise ValueError(f"levels: got shape {values.shape} beside a start of {base.shape}, expected (L, d) and (d,)")
    latents = np.tile(base, (len(base), len(values), 1))
    for i in range(len(base)):
        latents[i, :, i] = values[:, i]
    images = np.asarray(decode(latents.reshape(-1, len(base))))
    return images.reshape(len(base), len(values), *images.shape[1:])


def traversals_figure(
    decode: Decode,
    start: ArrayLike,
    levels: ArrayLike,
    names: Sequence[str],
    *,
    columns: Sequence[str] = (),
    order: Sequence[int] | None = None,
) -> Figure:
    """Draw what each variable does to an image while all others stay.

    Args:
        decode: From latents (N, d), noise encodings or causal variables, to images (N, C, H, W).
        start: Latents of the image, shape (d,).
        levels: L values that each variable takes in turn, shape (L, d).
        names: Of the d variables.
        columns: L labels of the levels, or none.
        order: Which variables are shown, 0..d-1, one below the other; all by default.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape or the number of names does not fit.
    """
    images = traverse(decode, start, levels)
    _one_name_each(names, len(images))
    shown = list(range(len(images))) if order is None else list(order)
    return image_grid(images[shown], rows=[names[i] for i in shown], columns=columns)


def interventions_figure(
    image: ArrayLike, without_effects: ArrayLike, with_effects: ArrayLike, names: Sequence[str]
) -> Figure:
    """Draw an image beside itself with one variable set: nothing else changed, and with what follows.

    Args:
        image: As it is, shape (C, H, W).
        without_effects: With each variable set while all others stay, shape (K, C, H, W).
        with_effects: With each variable set and its effects on others, the same shape.
        names: Of the K variables that are set.

    Returns:
        The figure, a row for each variable.

    Raises:
        ValueError: If a shape or the number of names does not fit.
    """
    alone, followed = (
        unit_images(images, name, "K")
        for name, images in (("without_effects", without_effects), ("with_effects", with_effects))
    )
    _one_name_each(names, len(alone))
    _same_shape("with_effects", followed, alone)
    same = np.broadcast_to(unit_images(image, "image", ""), alone.shape)
    return image_grid(
        np.stack([same, alone, followed], axis=1),
        rows=[f"{name} set high" for name in names],
        columns=["as it is", "without effects", "with effects"],
        size=1.3,
    )


def counterfactuals_figure(x: ArrayLike, counterfactuals: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw images beside what each would have been, had one variable been high.

    Args:
        x: Images, shape (N, C, H, W).
        counterfactuals: Of each image with each variable high, shape (N, K, C, H, W).
        names: Of the K variables.

    Returns:
        The figure, a row for each image.

    Raises:
        ValueError: If a shape or the number of names does not fit.
    """
    seen = unit_images(x, "x", "N")
    imagined = unit_images(counterfactuals, "counterfactuals", "N, K")
    _one_name_each(names, imagined.shape[1])
    _same_shape("counterfactuals", imagined[:, 0], seen)
    columns = ["this image", *(f"had {_folded(name)}\nbeen high" for name in names)]
    return image_grid(np.concatenate([seen[:, None], imagined], axis=1), columns=columns, size=1.1)


def unit_images(images: ArrayLike, name: str, leading: str) -> NDArray[np.float64]:
    """As :func:`drawable`, with the channels, three of them, where they were: (..., 3, H, W)."""
    return np.moveaxis(drawable(images, name, leading), -1, -3)


def _same_shape(name: str, images: Array, expected: Array) -> None:
    if images.shape != expected.shape:
        raise ValueError(f"{name}: got images of shape {images.shape}, expected {expected.shape}")


def _one_name_each(names: Sequence[str], number: int) -> None:
    if len(names) != number:
        raise ValueError(f"names: got {len(names)}, expected {number}, one for each variable")


def _folded(name: str) -> str:
    """A name with what is in brackets on a line of its own, for the head of a column."""
    return name.replace(" (", "\n(")
