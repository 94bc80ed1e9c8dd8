"""Readings that no variable explains: far outside what their sensor reads, on one side of a pair alone.

A distribution may have long tails of its own. What is far out because a variable is stays far out on the other side of
the pair, unless the variable was the target; a wrong reading does not, and is found alone.

A target that is set regardless of strong causes may take a sensor where it never is by nature, where effects no longer
cancel. That is seen on the side after alone, and fades out: most of it is not far beyond the limit. Wrong readings know
of no sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.identify.directions import Array

LIMIT = 10.0
"""Distance from the median, in robust standard deviations, beyond which a reading is far out."""
_CONFIRMED = 0.2
"""Share of a sensor's far readings whose other side is more than half as far out, from which on they are believed."""
_FEW = 5
"""Far readings that are too few to be believed."""
_ONE_SIDED = 8
"""Far readings after that are as many as before but with a probability of .004."""
_OF_BEFORE = 0.1
"""Far readings before, as a share of those after, up to which they are of one side."""
_FADING = 2.0
"""Middle distance of far readings, in units of the limit, up to which they fade out."""
_NORMAL = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""


@dataclass(frozen=True)
class ReadingLimits:
    """What the readings of each sensor are expected to be within.

    Attributes:
        low: (D,), minus infinity where far readings are believed.
        high: (D,).
    """

    low: Array
    high: Array

    def wrong(self, before: Array, after: Array) -> NDArray[np.bool_]:
        """Which readings of (N, D) pairs are wrong on either side, (N, D)."""
        outside: NDArray[np.bool_] = np.zeros(before.shape, dtype=bool)
        for side in (before, after):
            outside |= (side < self.low) | (side > self.high)
        return outside


def reading_limits(before: Array, after: Array) -> ReadingLimits:
    """Find the limits of each sensor from some pairs.

    Args:
        before: (N, D) observations.
        after: (N, D), the other sides.

    Returns:
        The limits. A sensor most of whose readings are the same has none.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(1000, 1))
        >>> x[3] = 1e6
        >>> int(reading_limits(x, x[::-1]).wrong(x, x[::-1]).sum())
        2
    """
    both = np.concatenate([before, after])
    centre = np.median(both, axis=0)
    scale = _NORMAL * np.median(np.abs(both - centre), axis=0)
    distances = [np.abs(side - centre) / np.where(scale > 0, scale, np.inf) for side in (before, after)]
    number = sum((side > LIMIT).sum(0) for side in distances)
    confirmed = sum(((side > LIMIT) & (other > LIMIT / 2)).sum(0) for side, other in (distances, distances[::-1]))
    believed = (scale == 0) | ((number >= _FEW) & (confirmed > _CONFIRMED * number))
    reach = np.full(len(scale), LIMIT)
    for sensors in (*np.flatnonzero((number >= _ONE_SIDED) & ~believed)[:, None], np.flatnonzero(~believed)):
        reach[sensors] = np.maximum(reach[sensors], _reach_after(*(side[:, sensors] for side in distances)))
    reach = np.where(believed, np.inf, reach * scale)
    return ReadingLimits(centre - reach, centre + reach)


def _reach_after(before: Array, after: Array) -> float:
    """Distance up to which readings of some sensors, (N, k) distances, are what interventions make of them."""
    far = after[after > LIMIT]
    if len(far) < _ONE_SIDED or (before > LIMIT).sum() > _OF_BEFORE * len(far):
        return LIMIT
    middle = float(np.median(far))
    return LIMIT * middle if middle <= _FADING * LIMIT else LIMIT
