"""How many numbers it takes to say where an observation lies among its neighbours, from distances alone.

A mixing that is not linear bends few variables into many directions of x: no direction is without variance, but close
by x fills as many directions as there are variables. The ratio of the distances to the second and the first neighbour
of a point is Pareto distributed with that dimension as its exponent (Facco, d'Errico, Rodriguez and Laio 2017).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pyro_lcm.identify.directions import Array

_TRIMMED = 0.1
"""Share of the largest ratios that is left out: they belong to outliers."""
_ROWS = 4000


def local_dimension(values: Array) -> float:
    """Dimension of the neighbourhoods of (N, D) values, by the two nearest neighbours of each.

    >>> t = np.random.default_rng(0).normal(size=(1000, 1))
    >>> round(local_dimension(np.hstack([np.cos(t), np.sin(t), t])), 1)
    1.0
    """
    distances = cKDTree(values).query(values, k=3)[0][:, 1:]
    distances = distances[distances[:, 0] > 0]
    if len(distances) < 20:
        return float("nan")
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    kept = ratios[: int((1 - _TRIMMED) * len(ratios))]
    expected = -np.log1p(-np.arange(1, len(kept) + 1) / len(ratios))
    return float(kept @ expected / (kept @ kept))


def filled_share(values: Array, *, seed: int = 0) -> float:
    """Local dimension of (N, D) values, as a share of that of values with the same margins and nothing else in common.

    About 1 where all directions are filled, whatever the number of rows; less on a bent sheet of fewer dimensions.

    Args:
        values: rows; 4,000 of them are looked at.
        seed: of the permutation of each column.
    """
    rng = np.random.default_rng(seed)
    rows = values[rng.permutation(len(values))[:_ROWS]]
    apart = np.stack([rng.permutation(column) for column in rows.T], axis=1)
    return local_dimension(rows) / local_dimension(apart)
