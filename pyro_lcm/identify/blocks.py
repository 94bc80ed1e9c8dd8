"""Which directions of a code two views share, and how many of them: blocks of content and style.

Of codes u and u~ of the two sides of pairs, directions w are ordered by how little they differ within a pair,

    w' D w / w' V w,      D the covariance of (u - u~) / sqrt(2),   V that of u,

the generalised eigenvalues of (D, V): one minus the correlation of a direction with itself on the other side. Where x
is a linear mixture, the directions of value 0 are content exactly; elsewhere a code is learned first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]

__all__ = ["Blocks", "shared_blocks", "suggest_content"]

_EXACT = 1e-6
"""Disagreement that is none but for rounding."""


@dataclass(frozen=True)
class Blocks:
    """Directions of a code by how much the two sides of a pair agree in them.

    Attributes:
        mean: (d,) of the code, of both sides.
        weight: (d, d) directions as columns, the most agreeing first; ``(u - mean) @ weight`` has unit covariance.
        disagreement: (d,) one minus the correlation across pairs, ascending.
    """

    mean: Array
    weight: Array
    disagreement: Array


def shared_blocks(before: Array, after: Array) -> Blocks:
    """Order the directions of a code by agreement.

    Args:
        before: (N, d) codes of the first sides.
        after: (N, d) codes of the second sides.

    Raises:
        ValueError: if shapes differ, there are too few rows, or the code has a direction without variance.

    >>> rng = np.random.default_rng(0)
    >>> content, style, other = rng.normal(size=(3, 1000))
    >>> first, second = np.stack([content + style, style], 1), np.stack([content + other, other], 1)
    >>> shared_blocks(first, second).disagreement.round(1) + 0.0
    array([0., 1.])
    """
    if before.shape != after.shape or before.ndim != 2 or len(before) <= before.shape[1]:
        raise ValueError(f"before, after: got shapes {before.shape} and {after.shape}, expected (N, d) twice, N > d")
    both = np.concatenate([before, after])
    apart = before - after
    total = np.atleast_2d(np.cov(both.T))
    spread = np.linalg.eigvalsh(total)
    if not spread[0] > 1e-12 * spread[-1]:
        raise ValueError("before, after: got codes without variance in some direction, expected none such")
    values, weight = eigh(apart.T @ apart / (2 * len(apart)), total)
    return Blocks(both.mean(0), weight, np.clip(values, 0.0, None))


def suggest_content(disagreement: Array, *, tolerance: float) -> int:
    """How many of the directions are content: those before the widest gap, if it is one.

    Content that is found through a learned code disagrees a little, by the error of the code; style by as much as it
    changes. Nothing but the gap between the two tells them apart: where all disagree alike, and little, all are
    content.

    Args:
        disagreement: (d,) ascending, as of :func:`shared_blocks`.
        tolerance: disagreement up to which a direction may be content at all.

    Returns:
        The number, 0 to d.

    >>> suggest_content(np.array([0.002, 0.004, 0.3, 0.6]), tolerance=0.1)
    2
    >>> suggest_content(np.array([0.002, 0.004]), tolerance=0.1), suggest_content(np.array([0.4, 0.5]), tolerance=0.1)
    (2, 0)
    """
    values = np.maximum(np.asarray(disagreement, dtype=np.float64), _EXACT)
    able = int((values <= tolerance).sum())
    if able in (0, len(values)):
        return able
    gaps = np.diff(np.log(values[: able + 1]))
    return int(gaps.argmax()) + 1
