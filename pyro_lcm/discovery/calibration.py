"""Are stated probabilities right? Reliability of edge probabilities over problems whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.scores import FloatArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Reliability of probabilities in equal bins of [0, 1].

    Attributes:
        error: Expected calibration error, the mean of |observed - predicted| over bins, weighted by counts.
        predicted: (bins,) mean probability in each bin, nan where empty.
        observed: (bins,) frequency of true edges in each bin, nan where empty.
        counts: (bins,) number of probabilities in each bin.
    """

    error: float
    predicted: FloatArray
    observed: FloatArray
    counts: NDArray[np.int64]


def edge_calibration(probability: ArrayLike, truth: ArrayLike, *, bins: int = 10) -> Calibration:
    """Compare stated probabilities with what was true (Naeini, Cooper & Hauskrecht, AAAI 2015).

    Args:
        probability: (n,) probabilities; for edges the off-diagonal entries of many problems.
        truth: (n,) booleans.
        bins: Number of equal bins.

    Returns:
        The reliability.

    Raises:
        ValueError: If shapes differ, there is nothing to compare, or a probability is outside [0, 1].

    Example:
        >>> edge_calibration([0.2, 0.2, 0.9, 0.9], [False, False, True, True]).error
        0.15
    """
    stated, true = np.asarray(probability, dtype=np.float64), np.asarray(truth, dtype=bool)
    if stated.ndim != 1 or stated.shape != true.shape or not len(stated):
        raise ValueError(f"probability: got shape {stated.shape} with truth {true.shape}, expected both (n,)")
    # sums of floats may exceed 1 by rounding
    if not (stated.min() >= -1e-9 and stated.max() <= 1 + 1e-9):
        raise ValueError(f"probability: got {stated.min()} ... {stated.max()}, expected within [0, 1]")
    if bins < 1:
        raise ValueError(f"bins: got {bins}, expected at least 1")
    index = np.clip((stated * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(index, stated, bins) / counts
        observed = np.bincount(index, true, bins) / counts
    gap = np.where(counts > 0, np.abs(predicted - observed), 0.0)
    return Calibration(float(counts @ gap / counts.sum()), predicted, observed, counts)
