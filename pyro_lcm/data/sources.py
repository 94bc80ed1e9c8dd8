"""Pairs as the training driver sees them: standardised, in memory where they fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.standardize import Standardizer

DEFAULT_LIMIT = 2 * 1024**3
"""Bytes of standardised observations that are kept in memory; more are standardised a batch at a time."""


class StandardizedPairs:
    """Pairs whose batches are standardised when they are asked for, for data larger than memory.

    Args:
        pairs: the pairs.
        standardizer: fitted to the training pairs; on the CPU.
        double: whether batches are float64.
    """

    def __init__(self, pairs: InterventionPairs, standardizer: Standardizer, *, double: bool = False) -> None:
        self.pairs = pairs
        self.standardizer = standardizer
        self.dtype: type[np.floating[Any]] = np.float64 if double else np.float32

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """The pairs ``index`` (B,): ``x``, ``x_after``, and ``targets`` if they were declared known."""
        rows = self.pairs[index.numpy()]
        known = rows.known_targets
        result = {
            "x": torch.from_numpy(self.standardizer.transform(rows.x, self.dtype)),
            "x_after": torch.from_numpy(self.standardizer.transform(rows.x_after, self.dtype)),
        }
        return result if known is None else result | {"targets": torch.from_numpy(known)}


def standardized_tensors(
    pairs: InterventionPairs, standardizer: Standardizer, *, double: bool = False
) -> dict[str, Tensor]:
    """All pairs as standardised tensors in memory, by name as in :meth:`StandardizedPairs.batch`."""
    return StandardizedPairs(pairs, standardizer, double=double).batch(torch.arange(len(pairs)))


def fits_in_memory(pairs: InterventionPairs, limit: int = DEFAULT_LIMIT) -> bool:
    """Whether both sides take less than ``limit`` bytes as float32."""
    return 8 * len(pairs) * math.prod(pairs.observation_shape) < limit
