"""Pairs that no intervention explains are left out of a fit, and it is said how many.

Readings far outside those of their sensor, on one side of a pair alone (:mod:`pyro_lcm.identify.wrong_readings`), and,
where mixing and mechanisms are linear, pairs whose sides do not belong together
(:mod:`pyro_lcm.fitting.linearity`). One of a hundred thousand can wreck what covariances say of all the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import pieces, some_pairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitting.linearity import PairsOffLines
from pyro_lcm.identify.wrong_readings import ReadingLimits, reading_limits

__all__ = ["sound_readings", "without_unrelated", "without_wrong_readings"]

logger = logging.getLogger(__name__)

_LEAST_LEFT = 0.2
"""Share of the pairs that has to be left for others to be left out."""

Mask = NDArray[np.bool_]


def without_wrong_readings(
    training: InterventionPairs, held_out: InterventionPairs, *, seed: int
) -> tuple[InterventionPairs, InterventionPairs, int]:
    """Leave out the pairs with wrong readings.

    Args:
        training: pairs of vectors.
        held_out: those held out.
        seed: of the pairs by which limits are found.

    Returns:
        Both without them, and how many were left out. They stay what they were if there are none, or if more than
        four fifths would go.
    """
    limits = _limits(training, seed)
    readings = np.zeros(training.observation_shape[0], dtype=np.int64)

    def wrong(before: NDArray[np.float64], after: NDArray[np.float64]) -> Mask:
        each = limits.wrong(before, after)
        np.add(readings, each.sum(0), out=readings)
        return np.asarray(each.any(1))

    number = len(training) + len(held_out)
    (training, held_out), left_out = _without((training, held_out), wrong)
    if left_out:
        worst = int(readings.argmax())
        logger.warning(
            "%d of %d pairs have readings far outside those of their sensor, on one side alone, most of them %s; they"
            " are left out",
            left_out,
            number,
            training.features[worst] if training.features else f"feature {worst + 1} of x",
        )
    return training, held_out, left_out


def sound_readings(pairs: InterventionPairs, *, seed: int = 0) -> tuple[InterventionPairs, int]:
    """The pairs without those with wrong readings, judged by themselves, and how many these are."""
    limits = _limits(pairs, seed)
    (kept,), left_out = _without((pairs,), lambda before, after: np.asarray(limits.wrong(before, after).any(1)))
    return kept, left_out


def without_unrelated(
    training: InterventionPairs,
    held_out: InterventionPairs,
    standardizer: Standardizer,
    off_lines: PairsOffLines | None,
) -> tuple[InterventionPairs, InterventionPairs, int]:
    """Leave out the pairs that belong to no intervention.

    Args:
        training: pairs of vectors.
        held_out: those held out.
        standardizer: to the units that lines were found in.
        off_lines: tells which these are; None if there are none.

    Returns:
        Both without them, and how many were left out.
    """
    if off_lines is None:
        return training, held_out, 0

    def unrelated(before: NDArray[np.float64], after: NDArray[np.float64]) -> Mask:
        sides = (standardizer.transform(side).astype(np.float64) for side in (before, after))
        return off_lines.among(*sides)

    number = len(training) + len(held_out)
    (training, held_out), left_out = _without((training, held_out), unrelated)
    if left_out:
        logger.warning(
            "%d of %d pairs differ in all directions, as if their sides did not belong together or readings were wrong;"
            " they are left out",
            left_out,
            number,
        )
    return training, held_out, left_out


def _limits(pairs: InterventionPairs, seed: int) -> ReadingLimits:
    some = some_pairs(pairs, seed=seed)
    return reading_limits(np.asarray(some.x, dtype=np.float64), np.asarray(some.x_after, dtype=np.float64))


def _without(
    parts: tuple[InterventionPairs, ...], chosen: Callable[[NDArray[np.float64], NDArray[np.float64]], Mask]
) -> tuple[tuple[InterventionPairs, ...], int]:
    """Parts without the pairs that are chosen, and how many these are; all stay if they would be nearly all of one."""
    masks = [_mask(part, chosen) for part in parts]
    left_out = sum(int(mask.sum()) for mask in masks)
    if not left_out or any(mask.mean() > 1 - _LEAST_LEFT for mask in masks):
        return parts, 0
    return tuple(part[~mask] for part, mask in zip(parts, masks, strict=True)), left_out


def _mask(pairs: InterventionPairs, chosen: Callable[[NDArray[np.float64], NDArray[np.float64]], Mask]) -> Mask:
    """Which pairs are chosen."""
    parts = (pairs[rows] for rows in pieces(pairs))
    masks = [chosen(*(np.asarray(side, dtype=np.float64) for side in (part.x, part.x_after))) for part in parts]
    return np.concatenate(masks)
