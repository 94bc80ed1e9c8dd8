"""The units of the data and those of a model: what is between the two, whatever it is.

For vectors it is an affine map (:class:`pyro_lcm.data.standardize.Standardizer`), for images a network that finds a
code of a few numbers (:class:`pyro_lcm.images.units.ImageUnits`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pyro_lcm.data.lazy import LazyRows

__all__ = ["Units"]


class Units(nn.Module, ABC):
    """Observations in the units of a model, and back; its parameters and buffers are saved with the model.

    Attributes:
        shape: of one observation, in the units of the data.
        mode: how vectors are standardised, one of :data:`pyro_lcm.data.standardize.MODES`.
        dtype: number format of the data, in which observations come back: ``"float32"`` or ``"float64"``.
    """

    shape: tuple[int, ...]
    mode: str
    dtype: str = "float32"

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one observation in the units of the model."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(..., *output_shape) of (..., *shape) observations."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Observations (..., *shape) of (..., *output_shape) ones in the units of the model."""

    @abstractmethod
    def transform(self, x: ArrayLike | LazyRows, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """(N, *output_shape) of an array of (N, *shape) observations, lazy ones too, in pieces."""

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Plain values from which it is built again."""
