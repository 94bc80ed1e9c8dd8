"""Variables as what is independent of the frame before where they are set: a closed form, for linear observations.

Where a perfect intervention sets variable k, it is independent of the frame before, and the others are not, whatever
they depend on within the frame (iCITRIS: Lippe et al., ICLR 2023, arXiv 2206.06169, lets interventions depend on the
frame before; this does not). So of x' w the one that functions F of the frame before tell least in these steps is the
variable:

    w_k = argmin  var(E[x' w | F]) / var(x' w)      over the steps with I_k = 1

the eigenvector of the smallest eigenvalue. It needs no order of the variables. Where mechanisms share their functions
of the frame before, several directions are told as little, and directions of two variables fall together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.identify.intervened_directions import features_of

Array = NDArray[np.float64]

_LEAST = 0.2
"""Least singular value of the directions, of unit length, at which they count as different ones."""


def set_directions(before: Array, after: Array, targets: NDArray[np.integer]) -> Array | None:
    """Find the variables, linear in observations, that interventions set.

    Args:
        before: (N, K) frames before, whitened.
        after: (N, K) frames after, likewise.
        targets: (N, K) 0 and 1, known.

    Returns:
        (K, K): variables are ``after @ result``, of standard deviation 1; None where there are too few steps, or
        directions fall together.

    >>> rng = np.random.default_rng(0)
    >>> z, targets = rng.normal(size=(4000, 2)), rng.integers(0, 2, (4000, 2))
    >>> cause = np.where(targets[:, 0], rng.normal(size=4000), z[:, 0] + 0.3 * rng.normal(size=4000))
    >>> runs = 0.5 * cause + z[:, 1] + 0.3 * rng.normal(size=4000)
    >>> after = np.stack([cause, np.where(targets[:, 1], rng.normal(size=4000), runs)], 1)
    >>> mixing = np.array([[1.0, 0.5], [-0.5, 1.0]])
    >>> found = set_directions(z @ mixing, after @ mixing, targets)
    >>> np.abs(np.corrcoef(after.T, (after @ mixing @ found).T)[:2, 2:]).round(1).diagonal()
    array([1., 1.])
    """
    functions = features_of(before)[:, 1:]
    columns = []
    for hit in targets.T > 0:
        if hit.sum() < 4 * functions.shape[1]:
            return None
        told, seen = (part[hit] - part[hit].mean(0) for part in (functions, after))
        explained = told @ np.linalg.lstsq(told, seen, rcond=None)[0]
        values, axes = np.linalg.eigh(seen.T @ seen)
        root = axes / np.sqrt(np.maximum(values, 1e-9 * values[-1]))
        least = np.linalg.eigh(root.T @ (explained.T @ explained) @ root)[1][:, 0]
        columns.append(root @ least)
    found = np.column_stack(columns)
    found = found / np.linalg.norm(found, axis=0)
    if np.linalg.svd(found, compute_uv=False)[-1] < _LEAST:
        return None
    return found / (after @ found).std(0)
