"""Pairs as the training driver sees them: in the units of the model, in memory where they fit.

What they are read from may be larger than memory: it is read a piece at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.data.lazy import CHUNK_BYTES, Rows
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.units import Units

DEFAULT_LIMIT = 2 * 1024**3
"""Bytes of standardised observations that are kept in memory; more are standardised a batch at a time."""


class StandardizedPairs:
    """Pairs whose batches are standardised when they are asked for, for data larger than memory.

    Args:
        pairs: the pairs.
        standardizer: fitted to the training pairs; on the CPU.
        double: whether batches are float64.
    """

    def __init__(self, pairs: InterventionPairs, standardizer: Units, *, double: bool = False) -> None:
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


def standardized_tensors(pairs: InterventionPairs, standardizer: Units, *, double: bool = False) -> dict[str, Tensor]:
    """All pairs as standardised tensors in memory, by name as in :meth:`StandardizedPairs.batch`."""
    source = StandardizedPairs(pairs, standardizer, double=double)
    shape = (len(pairs), *standardizer.output_shape)
    result = {name: torch.from_numpy(np.empty(shape, dtype=source.dtype)) for name in ("x", "x_after")}
    for rows in pieces(pairs):
        part = pairs[rows]
        result["x"][rows] = torch.from_numpy(standardizer.transform(part.x, source.dtype))
        result["x_after"][rows] = torch.from_numpy(standardizer.transform(part.x_after, source.dtype))
    known = pairs.known_targets
    return result if known is None else result | {"targets": torch.from_numpy(np.array(known))}


def pieces(pairs: InterventionPairs) -> list[slice]:
    """Slices of pairs, which may be larger than memory, of which each is small."""
    step = max(1, CHUNK_BYTES // (pairs[:1].x.itemsize * math.prod(pairs.observation_shape)))
    return [slice(start, start + step) for start in range(0, len(pairs), step)]


def some_pairs(pairs: InterventionPairs, *, seed: int, most: int = 20_000) -> InterventionPairs:
    """So many of the pairs at most, chosen at random and left in their order: enough to judge all of them by."""
    return pairs[np.sort(np.random.default_rng(seed).permutation(len(pairs))[:most])]


def fits_in_memory(
    pairs: InterventionPairs, limit: int = DEFAULT_LIMIT, *, shape: tuple[int, ...] | None = None
) -> bool:
    """Whether both sides take less than ``limit`` bytes as float32; of another shape each, if one is given."""
    return 8 * len(pairs) * math.prod(pairs.observation_shape if shape is None else shape) < limit


def sides(pairs: InterventionPairs) -> tuple[Rows, Rows]:
    """Observations before and after, those of images that are not in memory as rows that are read when asked for."""
    return pairs.unread_sides() if pairs.is_images else (pairs.x, pairs.x_after)
