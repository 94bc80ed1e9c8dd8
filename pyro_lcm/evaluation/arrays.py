"""Checks that the metrics share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_codes(array: ArrayLike, name: str) -> NDArray[np.float64]:
    """Check that an array holds one row of finite latents per observation.

    Args:
        array: Latents, shape (N, d).
        name: What to call the argument in an error.

    Returns:
        The array, float64, shape (N, d).

    Raises:
        ValueError: If the shape is another one, fewer than two rows came, or a value is not finite.
    """
    codes = np.asarray(array)
    if codes.ndim != 2 or codes.shape[0] < 2 or codes.shape[1] < 1:
        raise ValueError(f"{name}: got shape {codes.shape}, expected (N, d) with N >= 2 and d >= 1")
    if codes.dtype.kind not in "iuf":
        raise ValueError(f"{name}: got dtype {codes.dtype}, expected floats")
    finite = np.isfinite(codes)
    if not finite.all():
        row, column = np.argwhere(~finite)[0].tolist()
        raise ValueError(f"{name}: got {codes[row, column]} at index ({row}, {column}), expected finite numbers")
    return codes.astype(np.float64)


def as_code_pair(
    learned: ArrayLike, true: ArrayLike, learned_name: str = "learned", true_name: str = "true"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check learned and true latents of the same observations.

    Args:
        learned: Learned latents, shape (N, d').
        true: True latents, shape (N, d).
        learned_name: What to call the first in an error.
        true_name: What to call the second in an error.

    Returns:
        Both as float64.

    Raises:
        ValueError: As :func:`as_codes`, or if the numbers of rows differ.
    """
    codes, factors = as_codes(learned, learned_name), as_codes(true, true_name)
    if len(codes) != len(factors):
        raise ValueError(f"{learned_name}: got {len(codes)} rows, expected {len(factors)}, as {true_name} has")
    return codes, factors
