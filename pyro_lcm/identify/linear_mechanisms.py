"""Linear mechanisms of all variables at once, sparse, from what interventions redraw.

Where all is linear the redrawn noise encoding of a target i is

    e~_i = c_i + sum_k W_ik z_k + r_i,      z = (I + W)^-1 e,

with z in units of their own noise, so that the pairs of target i say what the total effects B = W (I + W)^-1 are in row
i: noise encodings are independent, and least squares finds each entry as exactly as any other. Direct effects W are a
function of all rows. Found one after another from causes to effects, each row inherits the errors of those before it,
times effects that may be hundreds; found together,

    min over W of sum_i n_i / v_i (B_i - B^_i) G (B_i - B^_i)',      G = E[e e'], v_i = Var(r_i),

the rows of the effects say what those of the causes are. Edges go, the weakest first, by Wald tests of that fit against
an extended Bayesian information criterion (Chen and Chen, Biometrika 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_EFFECTS = 2500
"""Pairs of a predecessor and a variable that are fitted together: those of 70 variables."""
FREE = 20
"""Pairs of a target beyond its predecessors that it takes to judge edges."""
_STEPS = 20
"""Of Gauss and Newton, between edges that go."""
_HALVINGS = 8
_CLOSE = 1e-8
"""Relative gain of a step below which it is the last."""
_RIDGE = 1e-9
"""Share of its diagonal that is added to the information."""
_AT_ONCE = 2
"""One of so many of the edges that no test keeps goes at once."""


@dataclass(frozen=True)
class LinearMechanisms:
    """Shifts of solution functions, of variables in units of their own noise.

    Attributes:
        direct: (d, d) W, what z of the column adds to the shift of the row; 0 where there is no edge.
        total: (d, d) B, the same of noise encodings.
        intercepts: (d,) c.
        sds: (d,) standard deviation of what is left.
    """

    direct: Array
    total: Array
    intercepts: Array
    sds: Array


def linear_order(noise: Array, after: Array, target: NDArray[np.int64]) -> list[int]:
    """A causal order, by least squares of what is redrawn on the noise encodings of all other variables.

    In double precision: of 64 variables total effects are up to a million, and one that is 0 has to be told from them.

    Args:
        noise: (N, d) noise encodings before.
        after: (N, d) those after.
        target: (N,) 0 none, i variable i; each of more pairs than there are variables.

    Returns:
        Variables 0..d-1 from causes to effects: each time the one of whose coefficients of those left the largest t
        statistic is least.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> e = rng.normal(size=(500, 2))
        >>> e_after = rng.normal(size=(500, 2)) + 0.5 * e[:, ::-1] * [1, 0]
        >>> linear_order(e, e_after, np.repeat([1, 2], 250))
        [1, 0]
    """
    dim = noise.shape[1]
    strength = np.zeros((dim, dim))
    for i in range(dim):
        hit = target == i + 1
        others = np.delete(np.arange(dim), i)
        design = np.column_stack([noise[hit][:, others], np.ones(hit.sum())])
        coefficients = np.linalg.lstsq(design, after[hit, i], rcond=None)[0]
        left = after[hit, i] - design @ coefficients
        variance = max(float(left @ left) / max(len(left) - dim, 1), 1e-12)
        errors = np.sqrt(variance * np.linalg.pinv(design.T @ design, hermitian=True).diagonal())
        strength[i, others] = np.abs(coefficients / np.maximum(errors, 1e-300))[:-1]
    remaining, order = list(range(dim)), list[int]()
    while remaining:
        order.append(remaining.pop(int(strength[np.ix_(remaining, remaining)].max(axis=1).argmin())))
    return order


def linear_mechanisms(
    noise: Array, after: Array, target: NDArray[np.int64], order: Sequence[int], *, least_sd: float = 0.0
) -> LinearMechanisms:
    """Fit all rows together, and leave out the edges without evidence.

    Args:
        noise: (N, d) noise encodings before.
        after: (N, d) those after.
        target: (N,) 0 none, i variable i.
        order: variables 0..d-1 from causes to effects.
        least_sd: standard deviation that is left at least.

    Returns:
        The mechanisms.

    Raises:
        ValueError: if a variable is the target of fewer pairs than it has predecessors, and two.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> e = rng.normal(size=(500, 2))
        >>> e_after = e.copy()
        >>> e_after[:250, 0] = rng.normal(size=250)
        >>> e_after[250:, 1] = 3 * e[250:, 0] + rng.normal(size=250)
        >>> found = linear_mechanisms(e, e_after, np.repeat([1, 2], 250), [0, 1])
        >>> found.direct.round().tolist()
        [[0.0, 0.0], [3.0, 0.0]]
    """
    rows = _Rows.of(noise, after, target, order, least_sd)
    width = np.maximum(np.argsort(order), 1)  # predecessors of each variable
    direct = _eliminate(rows.fit, _lower(order), np.log(rows.number) + 2 * np.log(width))
    found = rows.fit.total(direct)
    off = found - rows.fit.wanted
    left = rows.variance + np.einsum("ij,jk,ik->i", off, rows.fit.scatter, off)
    intercepts = rows.means[:, -1] - (found * rows.means[:, :-1]).sum(1)
    return LinearMechanisms(direct, found, intercepts, np.sqrt(np.maximum(left, least_sd**2)))


@dataclass(frozen=True)
class EdgeStrengths:
    """How clearly some pairs show each edge of a graph, with all others of it; (d, d), [parent, child], 0 elsewhere.

    Attributes:
        shown: squared t statistics of the direct effects that these pairs have.
        claimed: the same of those that are claimed, as large as so many pairs would show them.
        off: the same of the differences.
    """

    shown: Array
    claimed: Array
    off: Array


def edge_strengths(
    noise: Array, after: Array, target: NDArray[np.int64], order: Sequence[int], direct: Array
) -> EdgeStrengths | None:
    """Compare the direct effects that some pairs have with those that are claimed.

    Args:
        noise: (N, d) noise encodings before.
        after: (N, d) those after.
        target: (N,) 0 none, i variable i.
        order: variables 0..d-1 from causes to effects.
        direct: (d, d) what the direct effects are said to be, as in :class:`LinearMechanisms`; others than 0 are edges.

    Returns:
        The strengths; None where a variable is the target of too few pairs, or there are too many edges.
    """
    places = np.argsort(order)
    child, parent = np.nonzero(direct)
    enough = np.bincount(target, minlength=len(order) + 1)[1:] >= places + FREE
    if not enough.all() or not 0 < len(child) <= MOST_EFFECTS:
        return None
    effects, covariance = _Rows.of(noise, after, target, order, 0.0).fit.minimum(direct, child, parent)
    strengths = np.zeros((3, *direct.shape))
    for part, of in zip(strengths, (effects, direct, effects - direct), strict=True):
        part[parent, child] = np.square(of[child, parent]) / covariance.diagonal()
    return EdgeStrengths(*strengths)


@dataclass(frozen=True)
class _Rows:
    """What the pairs of each target say of its row of the total effects.

    Attributes:
        fit: of the direct effects to these.
        means: (d, d + 1) of the noise encodings before, and of the one that is redrawn.
        variance: (d,) of what is left.
        number: (d,) of pairs.
    """

    fit: _Fit
    means: Array
    variance: Array
    number: Array

    @classmethod
    def of(cls, noise: Array, after: Array, target: NDArray[np.int64], order: Sequence[int], least_sd: float) -> _Rows:
        """Least squares of each redrawn noise encoding on those of its predecessors."""
        dim = noise.shape[1]
        total, means, variance, number = np.zeros((dim, dim)), np.zeros((dim, dim + 1)), np.zeros(dim), np.zeros(dim)
        for place, i in enumerate(order):
            earlier = list(order[:place])
            hit = target == i + 1
            number[i] = hit.sum()
            if number[i] < place + 2:
                raise ValueError(
                    f"target: got {number[i]:.0f} pairs of variable {i + 1}, expected at least {place + 2}"
                )
            means[i] = [*noise[hit].mean(0), after[hit, i].mean()]
            design, response = noise[hit][:, earlier] - means[i, earlier], after[hit, i] - means[i, -1]
            total[i, earlier] = np.linalg.lstsq(design, response, rcond=None)[0]
            left = response - design @ total[i, earlier]
            variance[i] = max(float(left @ left) / max(number[i] - place - 1, 1), least_sd**2, 1e-12)
        scatter = np.cov(noise.T, bias=True).reshape(dim, dim)
        return cls(_Fit(total, scatter, number / variance), means, variance, number)


@dataclass(frozen=True)
class _Fit:
    """The weighted squares, and their minimum over some of the direct effects."""

    wanted: Array
    scatter: Array
    weights: Array

    def total(self, direct: Array) -> Array:
        return np.asarray(np.eye(len(direct)) - np.linalg.inv(np.eye(len(direct)) + direct))

    def squares(self, direct: Array) -> float:
        off = self.total(direct) - self.wanted
        return float(self.weights @ np.einsum("ij,jk,ik->i", off, self.scatter, off))

    def information(self, direct: Array, child: NDArray[np.intp], parent: NDArray[np.intp]) -> tuple[Array, Array]:
        """Half the Hessian (m, m) of the squares without second derivatives, and half the negative gradient (m,)."""
        inverse = np.linalg.inv(np.eye(len(direct)) + direct)  # z from e; dB = inverse dW inverse
        of_child = (inverse.T * self.weights) @ inverse
        of_parent = inverse @ self.scatter @ inverse.T
        hessian = of_child[np.ix_(child, child)] * of_parent[np.ix_(parent, parent)]
        slope = (inverse.T * self.weights) @ (self.wanted - self.total(direct)) @ self.scatter @ inverse.T
        return hessian + _RIDGE * np.diag(hessian.diagonal()), slope[child, parent]

    def minimum(self, direct: Array, child: NDArray[np.intp], parent: NDArray[np.intp]) -> tuple[Array, Array]:
        """Direct effects at the minimum, from some near it, and the covariance (m, m) of those that are not 0."""
        squares = self.squares(direct)
        for _ in range(_STEPS):
            hessian, slope = self.information(direct, child, parent)
            step = np.zeros_like(direct)
            step[child, parent] = np.linalg.solve(hessian, slope)
            tried = (direct + step / 2**k for k in range(_HALVINGS))
            better = next((new for new in tried if self.squares(new) <= squares), None)
            if better is None:
                break
            gain, squares, direct = squares - self.squares(better), self.squares(better), better
            if gain <= _CLOSE * (squares + 1):
                break
        return direct, np.asarray(np.linalg.inv(self.information(direct, child, parent)[0]))


def _eliminate(fit: _Fit, present: NDArray[np.bool_], penalty: Array) -> Array:
    """Direct effects once all whose squared t statistic is below the penalty of their child have gone."""
    dim = len(present)
    direct = np.where(present, np.linalg.inv(np.eye(dim) - fit.wanted) - np.eye(dim), 0.0)
    while True:
        child, parent = np.nonzero(present)
        if not len(child):
            return np.zeros((dim, dim))
        direct, covariance = fit.minimum(direct, child, parent)
        strength = np.square(direct[child, parent]) / covariance.diagonal() / penalty[child]
        weak = np.flatnonzero(strength < 1)
        if not len(weak):
            return direct
        gone = weak[np.argsort(strength[weak])[: max(1, len(weak) // _AT_ONCE)]]
        # The others take over what these have done: the minimum of the quadratic where they are 0.
        effects = direct[child, parent]
        effects -= covariance[:, gone] @ np.linalg.solve(covariance[np.ix_(gone, gone)], effects[gone])
        direct[child, parent] = effects
        direct[child[gone], parent[gone]] = 0.0
        present[child[gone], parent[gone]] = False


def _lower(order: Sequence[int]) -> NDArray[np.bool_]:
    """(d, d) whether the variable of the column comes before that of the row."""
    place = np.argsort(order)
    return np.asarray(place[:, None] > place[None, :])
