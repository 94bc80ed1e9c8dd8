"""Nested directions: on which lines differences lie when the mixing is linear and the mechanisms are not.

With x = z A, a perfect intervention on variable i moves z_i and whatever descends from it. The differences of a
variable without children lie on one line, the row of A that belongs to it. Divided by that line, those of a variable
whose children have all been dealt with lie on a line again, and so on up to the roots (each difference is in the span
of its target's line and those found before). Observations that show only some of their causes linearly, lamps beside a
robot arm that sweeps along an arc, have lines for these and a rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROWS = 2000
"""Differences whose direction may be the densest one."""
_LEAST = 0.4
"""Fewest differences on a line, as a share of what each of the variables there may be has on average."""
_MOST = 50_000
"""Differences that are looked at, which bounds memory; all are assigned to lines."""
_BIG = 0.3
"""Share of the median length below which a difference, or what is left of it, has no direction worth following."""
_ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class NestedDirections:
    """Directions of lines, in the order in which they were divided out, effects before their causes.

    Attributes:
        directions: (m, k) orthonormal, a row each: a line's direction once those before it are divided out.
        assigned: (N,) to which line each difference belongs: the first whose span with those before it holds the
            difference; -1 for differences outside all spans, and for those that are zero.
    """

    directions: Array
    assigned: NDArray[np.int64]


def find_nested_directions(
    differences: Array, most: int, *, tolerance: float = 0.05, seed: int = 0
) -> NestedDirections:
    """Divide out the densest line of the differences, again and again, until there is none.

    Args:
        differences: (N, k) differences of observations.
        most: number of variables, the most lines there can be; 1 to k.
        tolerance: largest sin^2 of the angle between a difference and its line.
        seed: of the differences to look at.

    Returns:
        The lines, none at all where no direction is dense enough.

    Raises:
        ValueError: if ``most`` is out of range.
    """
    width = differences.shape[1]
    if not 1 <= most <= width:
        raise ValueError(f"most: got {most}, expected 1 to {width}, the width of the differences")
    rng = np.random.default_rng(seed)
    lengths = np.linalg.norm(differences, axis=1)
    moved = np.flatnonzero(lengths > 0)
    big = moved[lengths[moved] > _BIG * np.median(lengths[moved])] if len(moved) else moved
    big = rng.permutation(big)[:_MOST] if len(big) > _MOST else big
    directions, rest, left = np.zeros((0, width)), np.eye(width), big
    for _ in range(most):
        parts = differences[left] @ rest
        sizes = np.linalg.norm(parts, axis=1)
        follow = sizes > _BIG * lengths[left]
        if follow.sum() <= _LEAST * len(big) / most:
            break
        line, on_line = _densest_direction(parts[follow], sizes[follow], tolerance, rng)
        if on_line.sum() <= _LEAST * len(big) / most:
            break
        directions = np.vstack([directions, rest @ line])
        rest = np.linalg.svd(directions, full_matrices=True)[2][len(directions) :].T
        left = np.delete(left, np.flatnonzero(follow)[on_line])
    return NestedDirections(directions, _assign(differences, directions, lengths, tolerance))


def _densest_direction(
    parts: Array, sizes: Array, tolerance: float, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """The direction with the most differences about it, refitted to these, and which these are."""
    unit = parts / sizes[:, None]
    starts = unit[rng.choice(len(unit), min(_ROWS, len(unit)), replace=False)]
    neighbours = np.concatenate(
        [(np.square(some @ unit.T) > 1 - tolerance).sum(1) for some in np.array_split(starts, 20)]
    )
    line = starts[neighbours.argmax()]
    for _ in range(_ITERATIONS):
        on_line = np.square(unit @ line) > 1 - tolerance
        refitted = np.linalg.eigh(parts[on_line].T @ parts[on_line])[1][:, -1]
        settled, line = abs(refitted @ line) > 1 - 1e-12, refitted
        if settled:
            break
    return line, np.square(unit @ line) > 1 - tolerance


def _assign(differences: Array, directions: Array, lengths: Array, tolerance: float) -> NDArray[np.int64]:
    """The first line whose span with those before it holds all of a difference but the tolerance."""
    covered = np.cumsum(np.square(differences @ directions.T), axis=1)
    inside = covered >= (1 - tolerance) * np.square(lengths)[:, None]
    known = inside.any(1) & (lengths > 0)
    first = inside.argmax(1) if len(directions) else np.zeros(len(differences), dtype=np.int64)
    return np.where(known, first, -1)
