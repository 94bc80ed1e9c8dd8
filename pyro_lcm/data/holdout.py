"""Pairs held out from training, and whether there are enough pairs to train on at all."""

from __future__ import annotations

import math

import numpy as np

from pyro_lcm.data.lazy import CHUNK_BYTES
from pyro_lcm.data.pairs import InterventionPairs

__all__ = ["HELD_OUT", "MIN_PAIRS", "hold_out"]

MIN_PAIRS = 50
"""Fewest pairs that are worth a fit, or to judge by."""
HELD_OUT = 0.1
"""Share of the pairs that is held out unless told otherwise, of at most 10,000 pairs."""
_MAX_HELD_OUT = 10_000
_FIRST_ROWS = 64


def hold_out(
    pairs: InterventionPairs, validation: InterventionPairs | float = HELD_OUT, *, seed: int
) -> tuple[InterventionPairs, InterventionPairs]:
    """Split pairs into those to train on and those to hold out, or check those that were held out.

    Args:
        pairs: all pairs, or those to train on if others are given.
        validation: held-out pairs, or the fraction of the pairs to hold out (at most 10,000 pairs). Features of pairs
            are brought into the order of the others by their names, where both are from tables.
        seed: of the split.

    Returns:
        Training and held-out pairs.

    Raises:
        ValueError: if there are fewer than 50 pairs, no pair differs, or the two do not fit each other.

    Example:
        >>> from pyro_lcm import simulate_scaling
        >>> [len(part) for part in hold_out(simulate_scaling(dim=2, n=100, seed=0), 0.2, seed=0)]
        [80, 20]
    """
    if len(pairs) < MIN_PAIRS:
        raise ValueError(f"pairs: got {len(pairs)} pairs, expected at least {MIN_PAIRS} to train on and to hold out")
    if _none_differs(pairs):
        raise ValueError("x_after: got the same as x in every pair, expected pairs of which some differ")
    if isinstance(validation, InterventionPairs):
        if validation.observation_shape != pairs.observation_shape:
            raise ValueError(
                f"validation: got observations of shape {validation.observation_shape},"
                f" expected {pairs.observation_shape}"
            )
        return pairs, validation.in_order(pairs.features)
    if not 0 < validation < 1:
        raise ValueError(f"validation: got {validation}, expected pairs or a fraction in (0, 1)")
    share = min(validation, _MAX_HELD_OUT / len(pairs))
    training, held_out = pairs.split((1 - share, share), seed)
    return training, held_out


def _none_differs(pairs: InterventionPairs) -> bool:
    """Whether both sides are the same in all pairs; a few are read at first, since most often these tell."""
    start, most = 0, max(_FIRST_ROWS, CHUNK_BYTES // (8 * math.prod(pairs.observation_shape)))
    while start < len(pairs):
        part = pairs[start : start + min(max(start, _FIRST_ROWS), most)]
        if not np.array_equal(part.x, part.x_after):
            return False
        start += len(part)
    return True
