"""Linear readouts: causal variables as weighted sums of features, for a linear mixing of nonlinear mechanisms.

A solution function learns from the pairs whose target it is by the density of what was redrawn, in noise encodings,
where a simple mechanism may look complicated. Where x = z A, nested lines
(:func:`pyro_lcm.identify.nested_directions.find_nested_directions`) show z up to what lies upstream:

    l_i = x a_i = z_i + sum_j c_ij z_j,      j among the lines found later, the causes of i included,

and a perfect intervention breaks the tie, because what it draws depends on nothing:

    z~_i  independent of  z_j      =>      c_i = the coefficients of a regression of l~_i on z_j, pairs with target i.

A dozen numbers by least squares instead of a network by its density.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pyro_lcm.identify.nested_directions import NestedDirections
from pyro_lcm.identify.parents import sparse_regression

Array = NDArray[np.float64]


PURITY = 0.95
"""Share of the longer differences of a target that one line has to hold."""


MIN_ROWS = 50
"""Fewest pairs of a target."""


def match_targets(lines: NestedDirections, target: NDArray[np.int64], lengths: Array) -> NDArray[np.int64] | None:
    """Which variable's each line is.

    Args:
        lines: as found.
        target: (N,) inferred targets 1..d, 0 for none.
        lengths: (N,) how far x moved.

    Returns:
        (d,) variables 0..d-1, or None if lines and targets do not belong together.
    """
    dim = lines.directions.shape[1]
    if len(lines.directions) < dim:
        return None
    held = np.zeros((dim, dim))
    for variable in range(dim):
        rows = np.flatnonzero(target == variable + 1)
        if len(rows) < MIN_ROWS:
            return None
        larger = rows[lengths[rows] >= np.median(lengths[rows])]
        held[:, variable] = np.bincount(lines.assigned[larger] + 1, minlength=dim + 1)[1:] / len(larger)
    line, variable = linear_sum_assignment(held, maximize=True)
    return variable if held[line, variable].min() >= PURITY else None


def directions_in_order(
    differences: Array, target: NDArray[np.int64], effects_first: NDArray[np.int64]
) -> Array | None:
    """The line of each variable once those of later ones are divided out, where an order is known.

    Where mechanisms are linear too, lines can be divided out in any order, and only this one makes readouts of them:
    differences of a cause are then on a line that its effects are a part of.

    Args:
        differences: (N, k) of observations.
        target: (N,) inferred targets 1..d, 0 for none.
        effects_first: (d,) the variables, 0..d-1, from effects to causes.

    Returns:
        (d, k) orthonormal, in that order; None if the differences of a target are not on a line by then.
    """
    left, found = differences, []
    for variable in effects_first:
        rows = left[target == variable + 1]
        squares, vectors = np.linalg.eigh(rows.T @ rows)
        if squares[-1] <= 0 or squares[-1] < PURITY * squares.sum():
            return None
        found.append(vectors[:, -1])
        left = left - np.outer(left @ found[-1], found[-1])
    return np.stack(found)


def linear_readouts(
    directions: Array, of_line: NDArray[np.int64], after: Array, target: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Readouts z = x W + b with mean 0 and variance 1 where they were redrawn.

    Args:
        directions: (d, d) orthonormal lines, effects before their causes.
        of_line: (d,) the variable of each line, 0..d-1.
        after: (N, d) observations after.
        target: (N,) inferred targets 1..d, 0 for none.

    Returns:
        W (d, d), a column for each variable, and b (d,).
    """
    dim = len(directions)
    weight, bias = np.zeros((dim, dim)), np.zeros(dim)
    causes: list[int] = []
    for line in reversed(range(dim)):
        variable = int(of_line[line])
        rows = after[target == variable + 1]
        own, offset = directions[line].copy(), 0.0
        if causes:
            kept, coefficients, _ = sparse_regression(rows @ weight[:, causes] + bias[causes], rows @ own)
            chosen = [causes[k] for k in kept]
            own -= weight[:, chosen] @ coefficients[:-1]
            offset = -float(bias[chosen] @ coefficients[:-1])
        drawn = rows @ own + offset
        weight[:, variable] = own / drawn.std()
        bias[variable] = (offset - drawn.mean()) / drawn.std()
        causes.append(variable)
    return weight, bias
