"""Images in the units of a model of vectors: a code of a few numbers, standardised, and back.

This takes the place of the affine map of vectors, so that a latent causal model of codes is one of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.data.lazy import LazyRows, array_or_lazy
from pyro_lcm.data.pixels import unit_range
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.data.units import Units
from pyro_lcm.images.code import ImageCode

__all__ = ["ImageUnits", "units_from_config"]

_BYTES = 2**24
"""Bytes of float32 images that go through the network at a time, which bounds memory; its layers take a multiple."""


class ImageUnits(Units):
    """Images as standardised codes, and back.

    Images and codes may be wherever they like: they go to the network's device piece by piece, and the results come
    back to where the argument was, in its precision.

    Args:
        code: between images and codes.
        codes: standardises codes.

    Raises:
        ValueError: if the two do not fit each other.

    >>> units = ImageUnits(ImageCode((3, 16, 16), 4), Standardizer((4,)))
    >>> units.shape, units.output_shape
    ((3, 16, 16), (4,))
    >>> units.transform(np.zeros((10, 3, 16, 16), np.uint8)).shape
    (10, 4)
    """

    def __init__(self, code: ImageCode, codes: Standardizer) -> None:
        super().__init__()
        if codes.shape != (code.dim,):
            raise ValueError(f"codes: got a standardiser of shape {codes.shape}, expected ({code.dim},)")
        self.code, self.codes = code, codes
        self.shape = tuple(code.shape)
        self.mode = codes.mode

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one standardised code."""
        return self.codes.output_shape

    def to_config(self) -> dict[str, Any]:
        """What :func:`units_from_config` takes, beside the ``state_dict``."""
        return {"code": self.code.to_config(), "codes": self.codes.to_config()}

    def forward(self, x: Tensor) -> Tensor:
        """Standardised codes (..., *output_shape) of (..., C, H, W) images from 0 to 1.

        Raises:
            ValueError: if the shape is another one.
        """
        if tuple(x.shape[-3:]) != self.shape:
            raise ValueError(f"x: got shape {tuple(x.shape)}, expected (..., {', '.join(map(str, self.shape))})")
        rows = x.reshape(-1, *self.shape)
        return self._by_pieces(lambda piece: self.codes(self.code.encode(piece)), rows, x).reshape(
            *x.shape[:-3], *self.output_shape
        )

    def inverse(self, y: Tensor) -> Tensor:
        """Images (..., C, H, W) from 0 to 1 of (..., *output_shape) standardised codes.

        Raises:
            ValueError: if the shape is another one.
        """
        if tuple(y.shape[-1:]) != self.output_shape:
            raise ValueError(f"y: got shape {tuple(y.shape)}, expected (..., {self.output_shape[0]})")
        rows = y.reshape(-1, *self.output_shape)
        return self._by_pieces(lambda piece: self.code.decode(self.codes.inverse(piece)), rows, y).reshape(
            *y.shape[:-1], *self.shape
        )

    def transform(self, x: ArrayLike | LazyRows, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """Standardised codes of images, in pieces.

        Args:
            x: (N, C, H, W), bytes or floats from 0 to 1, in memory, memory-mapped or lazy.
            dtype: of the result.

        Returns:
            Shape (N, *output_shape).

        Raises:
            ValueError: if the shape is another one.
        """
        array = array_or_lazy(x)
        result = np.empty((len(array), *self.output_shape), dtype=dtype)
        for start in range(0, len(array), self._step):
            rows = slice(start, start + self._step)
            images = torch.from_numpy(unit_range(array[rows], np.float32))
            if tuple(images.shape[1:]) != self.shape:
                raise ValueError(f"x: got shape {array.shape}, expected (N, {', '.join(map(str, self.shape))})")
            with torch.no_grad():
                codes = self.code.encode(images.to(self.codes.scale))
            # In float64, as codes were when the model was fitted to them.
            result[rows] = self.codes.transform(codes.cpu().numpy(), dtype)
        return result

    @property
    def _step(self) -> int:
        """Images at a time."""
        return max(1, _BYTES // (4 * math.prod(self.shape)))

    def _by_pieces(self, function: Callable[[Tensor], Tensor], rows: Tensor, like: Tensor) -> Tensor:
        """Apply a function of rows on the network's device, and bring what comes out to where ``like`` is."""
        dtype = like.dtype if like.is_floating_point() else self.codes.scale.dtype
        parts = [function(piece.to(self.codes.scale)).to(like.device, dtype) for piece in rows.split(self._step)]
        return torch.cat(parts)


def units_from_config(config: dict[str, Any]) -> Units:
    """Units of vectors or images, of their ``to_config``; the ``state_dict`` is to be loaded.

    >>> units_from_config({"shape": [3], "mode": "whiten", "width": 2}).output_shape
    (2,)
    """
    if "code" not in config:
        return Standardizer(**config)
    return ImageUnits(ImageCode(**config["code"]), Standardizer(**config["codes"]))
