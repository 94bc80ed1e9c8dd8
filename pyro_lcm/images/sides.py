"""Going through the images of pairs, some at a time: memory holds no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ImagePairs", "image_sides"]

_PAIRS = 256
"""Pairs at a time."""


class ImagePairs(Protocol):
    """A source whose batches are pairs of images."""

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def batch(self, index: NDArray[np.int64], /) -> Mapping[str, Tensor]:
        """``x`` and ``x_after``, (B, C, H, W), of the pairs ``index``."""
        ...


def image_sides(images: ImagePairs) -> Iterator[Tensor]:
    """Images of all pairs, before and after in turn, some pairs at a time, (B, C, H, W) each.

    >>> from pyro_lcm.data.scenes import simulate_shapes
    >>> [tuple(side.shape) for side in image_sides(simulate_shapes("discs", 300, seed=0, size=16))][1:3]
    [(256, 3, 16, 16), (44, 3, 16, 16)]
    """
    for start in range(0, len(images), _PAIRS):
        batch = images.batch(np.arange(start, min(start + _PAIRS, len(images))))
        yield batch["x"]
        yield batch["x_after"]
