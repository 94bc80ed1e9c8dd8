"""Directions in which known interventions act, where observations are linear in latents: a closed form.

Let x' = A z', with z'_i given (z, I) dependent on no target but its own (CITRIS: Lippe et al., ICML 2022, arXiv
2202.03169). For any function F of the frame before, the mean of x' F is then

    E[x' F | I] = c + sum_k I_k A_k d_k,        d_k = E[z'_k F | I_k = 1] - E[z'_k F | I_k = 0]

so a regression of x' F on the targets, for many F, gives a matrix for each variable whose columns span its A_k: a
direction for each of its latents that an intervention changes. The rows of the inverse of [A_1, ..., A_K] are its
latents, and what is orthogonal to all of these columns is the variables that nothing acts on. Where the mixing is not
linear this is where a flow begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST = 0.2
"""Singular value of a further direction of a variable, as a share of its first, that is not taken for curvature."""
_CONDITION = 1e-2
"""Least sine of the angle between a further direction and those chosen before it."""


class Directions(NamedTuple):
    """Latents as linear functions of observations, and what each belongs to."""

    unmixing: Array
    """(M, M): latents are x @ unmixing, in units of about their standard deviation."""
    assignment: NDArray[np.int64]
    """(M,) the variable of each latent, 1 to K, or 0 for none."""
    strength: Array
    """(K, M) singular values of each variable's matrix, in standard deviations of x' F."""


def features_of(before: Array) -> Array:
    """Functions F of the frame before, standardised, (N, 1 + M + M (M + 1) / 2 + M): 1, x, products, tanh x."""
    width = before.shape[1]
    i, j = np.triu_indices(width)
    raw = np.concatenate([before, before[:, i] * before[:, j], np.tanh(2 * before)], 1)
    raw = (raw - raw.mean(0)) / np.maximum(raw.std(0), 1e-9)
    return np.concatenate([np.ones((len(raw), 1)), raw], 1)


def intervened_directions(before: Array, after: Array, targets: NDArray[np.integer]) -> Directions:
    """Find latents that are linear in observations.

    Args:
        before: (N, M) frames before, whitened.
        after: (N, M) frames after, likewise.
        targets: (N, K) 0 and 1, known.

    Returns:
        The latents, those of variable 1 first, and those of none last.

    Raises:
        ValueError: if there are more variables than directions.

    >>> rng = np.random.default_rng(0)
    >>> z, targets = rng.normal(size=(2000, 2)), rng.integers(0, 2, (2000, 2))
    >>> after = np.where(targets, rng.normal(size=z.shape), 0.9 * z[:, ::-1] + 0.4 * rng.normal(size=z.shape))
    >>> mixing = np.array([[1.0, 0.5], [-0.5, 1.0]])
    >>> found = intervened_directions(z @ mixing, after @ mixing, targets)
    >>> np.abs(np.corrcoef(after.T, (after @ mixing @ found.unmixing).T)[:2, 2:]).round(1), found.assignment
    (array([[1., 0.],
           [0., 1.]]), array([1, 2]))
    """
    width, variables = after.shape[1], targets.shape[1]
    if variables > width:
        raise ValueError(f"targets: got {variables} variables, expected at most {width}, the directions of x")
    functions = features_of(before)
    design = np.column_stack([np.ones(len(after)), targets])
    solve = np.linalg.pinv(design.T @ design, hermitian=True) @ design.T
    means = np.stack([solve @ (functions * after[:, [m]]) for m in range(width)])
    parts = [np.linalg.svd(means[:, 1 + k, :], full_matrices=False)[:2] for k in range(variables)]
    strength = np.zeros((variables, width))
    for k, (_, values) in enumerate(parts):
        strength[k, : len(values)] = values
    columns, assignment = [vectors[:, 0] for vectors, _ in parts], list(range(1, variables + 1))
    further = [(strength[k, r], k, r) for k in range(variables) for r in range(1, width)]
    for value, k, r in sorted(further, reverse=True):
        if len(columns) == width:
            break
        candidate = parts[k][0][:, r]
        chosen = np.column_stack(columns)
        rest = candidate - chosen @ np.linalg.lstsq(chosen, candidate, rcond=None)[0]
        if value > _LEAST * strength[k, 0] and np.linalg.norm(rest) > _CONDITION:
            columns.append(candidate)
            assignment.append(k + 1)
    order = np.argsort(assignment, kind="stable")
    mixing = np.column_stack(columns)[:, order]
    unmixing = np.linalg.pinv(mixing).T
    left = np.linalg.svd(mixing)[0][:, mixing.shape[1] :]
    unmixing = np.column_stack([unmixing, left])
    unmixing = unmixing / (after @ unmixing).std(0)
    found = np.concatenate([np.array(assignment)[order], np.zeros(left.shape[1], dtype=np.int64)])
    return Directions(unmixing, found.astype(np.int64), strength)
