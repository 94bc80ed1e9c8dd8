"""Standardisation of observations as a part of the model: fitted on training data, saved with it, inverted.

Linear data of many variables are ill-conditioned (condition numbers of 1e3 to 1e4 at 30 variables), and a
variational autoencoder learns nothing from features on wildly different scales; whitening repairs both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyro_lcm.data.lazy import CHUNK_BYTES, LazyRows, array_or_lazy, chunks
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.pixels import unit_range
from pyro_lcm.data.units import Units

Mode = Literal["whiten", "standardize", "common", "image"]
MODES = ("whiten", "standardize", "common", "image")

DEFAULT_TOLERANCE = 1e-10
"""Share of the largest variance below which whitening drops a direction (after features were scaled)."""

_MOSTLY_ROUNDING = 0.25
"""Share of a feature's variance; whitening drops a feature of which rounding explains more."""


class Standardizer(Units):
    """An affine map of observations to about zero mean and unit variance, and its inverse.

    Modes, all with the statistics of both sides of the training pairs:

    - ``whiten``, for vectors: each feature is centred and scaled, then all are rotated to their principal
      axes and each of these is scaled to unit variance. Directions without variance (constant features,
      linear dependences) are dropped, so the output can be narrower than x;
    - ``standardize``: each feature is centred and scaled by itself; a constant one is only centred;
    - ``common``, for vectors: each feature is centred, and all are divided by one scale, which keeps angles;
    - ``image``: each channel, the first axis of an observation, has one mean and one scale; in units of 0 to 1.

    A new instance is the identity; :meth:`fit` makes a fitted one. To restore one, construct it from
    :meth:`to_config` and load its ``state_dict``.

    Args:
        shape: Shape of one observation.
        mode: One of the four modes.
        width: Number of output features in the mode ``whiten``; by default as many as x has.
        dtype: Number format of the data, ``"float32"`` or ``"float64"``.

    Raises:
        ValueError: If the arguments do not fit each other.

    >>> x = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 1e-3, 0.0] + [0.0, 1e3, 7.0]
    >>> standardizer = Standardizer.fit(InterventionPairs(x, x))
    >>> standardizer.output_shape
    (2,)
    >>> y = standardizer(torch.from_numpy(x))
    >>> bool((torch.cov(y.T, correction=0) - torch.eye(2)).abs().max() < 1e-3)
    True
    """

    offset: Tensor
    offset_rest: Tensor
    scale: Tensor
    rotation: Tensor
    unrotation: Tensor

    def __init__(
        self, shape: Sequence[int], mode: Mode = "whiten", width: int | None = None, dtype: str = "float32"
    ) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype: got {dtype!r}, expected float32 or float64")
        self.dtype = dtype
        self.shape = tuple(int(size) for size in shape)
        self.mode: Mode = mode
        _check_mode(mode, self.shape)
        if mode == "whiten":
            width = self.shape[0] if width is None else width
            if not 1 <= width <= self.shape[0]:
                raise ValueError(f"width: got {width}, expected 1 to {self.shape[0]}, the width of x")
            self.register_buffer("rotation", torch.eye(self.shape[0], width))
            self.register_buffer("unrotation", torch.eye(width, self.shape[0]))
        elif width is not None:
            raise ValueError(f"width: got {width} with mode {mode!r}, expected None: the shape does not change")
        self.width = width
        per_statistic = (self.shape[0], *(1 for _ in self.shape[1:])) if mode == "image" else self.shape
        self.register_buffer("offset", torch.zeros(per_statistic))
        # The mean is kept as a sum of two numbers: of data at 1e6 with a spread of 1 a single float32 mean
        # would be off by 0.06 standard deviations.
        self.register_buffer("offset_rest", torch.zeros(per_statistic))
        self.register_buffer("scale", torch.ones(per_statistic))

    @classmethod
    def fit(
        cls, pairs: InterventionPairs, mode: Mode = "whiten", *, tolerance: float = DEFAULT_TOLERANCE
    ) -> Standardizer:
        """Make an instance from the observations of both sides of the training pairs.

        The data are read in pieces, twice, so memory-mapped pairs need not fit into memory.

        Args:
            pairs: Training pairs, at least two.
            mode: See the class.
            tolerance: In the mode ``whiten``, directions with less than this share of the largest variance
                are dropped (after each feature was scaled to unit variance), as are those whose variance the
                rounding of the data's own dtype explains. In [0, 1).

        Returns:
            The fitted instance, float32, on the CPU.

        Raises:
            ValueError: If the mode does not fit the observations or nothing varies in them.
        """
        _check_mode(mode, pairs.observation_shape)
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance: got {tolerance}, expected a number in [0, 1)")
        moments = _moments(pairs, mode)
        sd = np.sqrt(moments.variance)
        rms = np.sqrt(moments.mean**2 + moments.variance)
        constant = sd <= 4 * np.finfo(np.float64).eps * rms
        if constant.all():
            raise ValueError("x: got observations that are all alike, expected some that vary")
        scale = np.where(constant, 1.0, sd)
        if mode == "common":
            scale = np.full_like(sd, np.sqrt(np.mean(sd**2)))
        maps = None
        if moments.scatter is not None:
            first = pairs[:1]
            resolution = max(_resolution(first.x.dtype), _resolution(first.x_after.dtype))
            rounding = (resolution * rms / scale) ** 2 / 12
            correlation = moments.scatter / np.outer(scale, scale)
            maps = _whitening(correlation, constant, rounding, tolerance)
        width = None if maps is None else maps[0].shape[1]
        fitted = cls(pairs.observation_shape, mode, width, "float32" if mode == "image" else _format_of(pairs))
        offset = moments.mean.astype(np.float32)
        fitted._set("offset", offset)
        fitted._set("offset_rest", moments.mean - offset)
        fitted._set("scale", scale)
        if maps is not None:
            fitted._set("rotation", maps[0])
            fitted._set("unrotation", maps[1])
        return fitted

    def centred_on(self, pairs: InterventionPairs) -> NDArray[np.float64]:
        """Centre the instance on other pairs, scales and axes being kept.

        Args:
            pairs: With observations of its shape.

        Returns:
            How far the centre has moved, in the standard deviations of before, shape of a statistic.
        """
        mean = _moments(pairs, self.mode).mean
        before = (self.offset.double() + self.offset_rest.double()).cpu().numpy().reshape(mean.shape)
        offset = mean.astype(np.float32)
        self._set("offset", offset)
        self._set("offset_rest", mean - offset)
        moved: NDArray[np.float64] = (mean - before) / self.scale.double().cpu().numpy().reshape(mean.shape)
        return moved

    def _set(self, name: str, values: NDArray[Any]) -> None:
        buffer: Tensor = getattr(self, name)
        buffer.copy_(torch.from_numpy(np.asarray(values)).reshape(buffer.shape))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one standardised observation."""
        return self.shape if self.width is None else (self.width,)

    def to_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values, to be saved beside the ``state_dict``."""
        return {"shape": list(self.shape), "mode": self.mode, "width": self.width, "dtype": self.dtype}

    def forward(self, x: Tensor) -> Tensor:
        """Standardise observations.

        Args:
            x: Shape (..., *shape), any real dtype. With an offset that is large against the spread, or directions of
                little variance, give float64: what comes out is rounded to the module's dtype, and nothing before.

        Returns:
            Shape (..., *output_shape), in the module's dtype.

        Raises:
            ValueError: If the shape is another one.
        """
        self._check_shape(x, self.shape, "x")
        return self._standardized(x).to(self.scale.dtype)

    def _standardized(self, x: Tensor) -> Tensor:
        """Standardise in the wider of the dtypes of x and the module.

        Whitening multiplies by up to 1e6 for 64 variables, and would blow up a rounding before it as much.
        """
        scaled = ((x - self.offset) - self.offset_rest) / self.scale
        return scaled if self.width is None else scaled @ self.rotation.to(scaled.dtype)

    def inverse(self, y: Tensor) -> Tensor:
        """Map standardised observations back to the scale of the data.

        Args:
            y: Shape (..., *output_shape).

        Returns:
            Observations, shape (..., *shape). What was dropped takes its mean (constant features) or the
            value that the linear dependences give it.

        Raises:
            ValueError: If the shape is another one.
        """
        self._check_shape(y, self.output_shape, "y")
        scaled = y if self.width is None else y @ self.unrotation.to(y.dtype)
        return (scaled * self.scale + self.offset_rest) + self.offset

    def transform(self, x: ArrayLike | LazyRows, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """Standardise an array in pieces, in float64.

        Args:
            x: Observations, shape (N, *shape), in memory, memory-mapped or lazy; images of bytes count from 0 to 1.
            dtype: Of the result.

        Returns:
            Shape (N, *output_shape).

        Raises:
            ValueError: If the shape is another one.
        """
        array = array_or_lazy(x)
        result = np.empty((len(array), *self.output_shape), dtype=dtype)
        for rows in chunks(array):
            piece = torch.from_numpy(unit_range(array[rows], np.float64))
            with torch.no_grad():
                self._check_shape(piece, self.shape, "x")
                result[rows] = self._standardized(piece.to(self.scale.device)).cpu().numpy()
        return result

    def _check_shape(self, tensor: Tensor, shape: tuple[int, ...], name: str) -> None:
        if tuple(tensor.shape[-len(shape) :]) != shape:
            raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected (..., {', '.join(map(str, shape))})")


@dataclass(frozen=True)
class _Moments:
    """Mean and variance of each feature (or channel), and the covariance matrix for whitening."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    scatter: NDArray[np.float64] | None


def _check_mode(mode: str, shape: tuple[int, ...]) -> None:
    if mode not in MODES:
        raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
    if not shape or min(shape) < 1:
        raise ValueError(f"shape: got {shape}, expected at least one axis and no empty one")
    if mode in ("whiten", "common") and len(shape) != 1:
        raise ValueError(f"mode: got {mode!r} for observations of shape {shape}, expected vectors (D,) for it")
    if mode == "image" and len(shape) < 2:
        raise ValueError(f"mode: got 'image' for observations of shape {shape}, expected (C, H, W) for it")


def _moments(pairs: InterventionPairs, mode: Mode) -> _Moments:
    """Compute the moments in two passes, the second around the mean of the first and with a correction."""
    count = 0
    total: NDArray[np.float64] | float = 0.0
    for rows in _sample_matrix(pairs, mode):
        count += len(rows)
        total = total + rows.sum(axis=0)
    mean = np.asarray(total) / count
    shift: NDArray[np.float64] | float = 0.0
    second: NDArray[np.float64] | float = 0.0
    for rows in _sample_matrix(pairs, mode):
        centred = rows - mean
        shift = shift + centred.sum(axis=0) / count
        second = second + (centred.T @ centred if mode == "whiten" else np.square(centred).sum(axis=0)) / count
    shift, second = np.asarray(shift), np.asarray(second)
    if mode == "whiten":
        scatter = second - np.outer(shift, shift)
        return _Moments(mean + shift, np.maximum(scatter.diagonal(), 0.0), scatter)
    return _Moments(mean + shift, np.maximum(second - shift**2, 0.0), None)


def _sample_matrix(pairs: InterventionPairs, mode: Mode) -> Iterator[NDArray[np.float64]]:
    """Read both sides in pieces as float64 matrices (samples, features); a pixel is a sample of an image."""
    row_bytes = 8 * math.prod(pairs.observation_shape)
    step = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, len(pairs), step):
        piece = pairs[start : start + step]
        for side in (piece.x, piece.x_after):
            values = unit_range(side, np.float64)
            if mode == "image":
                yield np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
            else:
                yield values.reshape(len(values), -1)


def _format_of(pairs: InterventionPairs) -> str:
    """The narrower of float32 and float64 that holds the observations."""
    first = pairs[:1]
    return np.result_type(first.x.dtype, first.x_after.dtype, np.float32).name


def _resolution(dtype: np.dtype[Any]) -> float:
    """Relative spacing of the numbers of a dtype; integers are taken as exact."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def _whitening(
    correlation: NDArray[np.float64],
    constant: NDArray[np.bool_],
    rounding: NDArray[np.float64],
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the maps of scaled features to whitened ones, shape (D, k), and back, shape (k, D).

    ``rounding`` bounds, for each feature, the share of its variance that the rounding of its numbers
    explains; in a direction of unit length it is the average of these with the squared components as weights.
    """
    dropped = constant | (rounding > _MOSTLY_ROUNDING)
    if dropped.all():
        raise ValueError("x: got observations that hardly vary beyond their rounding, expected finer ones")
    correlation = np.where(dropped[:, None] | dropped, 0.0, correlation)
    variances, axes = np.linalg.eigh(correlation)
    explained = axes.T**2 @ np.where(dropped, 0.0, rounding)
    null = np.maximum(tolerance, len(variances) * np.finfo(np.float64).eps) * variances[-1]
    kept = variances > np.maximum(null, 2 * explained)
    variances, axes = variances[kept][::-1], axes[:, kept][:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])  # eigenvectors have no sign of their own
    return axes / np.sqrt(variances), (axes * np.sqrt(variances)).T
