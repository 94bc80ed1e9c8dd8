"""The posterior of all that is linear in a fitted model: mechanisms, the error of the encoder, and the map to x.

Two ways, by what the pairs are:

- without noise on x codes are noise encodings but for the encoder's error, targets are plain to see, and each
  mechanism is a regression of its own, with an exact posterior under the prior p(c, log scale) ~ 1 (Gelman et al.,
  Bayesian Data Analysis, 3rd ed., section 14.2). Where the target is i, differences of codes lie on a line, which is
  the axis of i but for the encoder's error: e~ - e = (e'~_i - e'_i) a_i;
- with noise regressions on codes lean towards zero, so that the likelihood with targets and noise encodings summed out
  takes their place (:mod:`pyro_lcm.reasoning.marginal`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.reasoning.marginal import LinearMarginal, LinearParameters

Array = NDArray[np.float64]

NOISE = 1e-4
"""Variance that noise on x has in a noise encoding, whose own is 1, from which on regressions are not enough."""
_MEDIAN = 0.4549
"""Median of the square of a standard normal number."""
_LEAST = 1e-12
"""Noise there is at least."""


class LinearPosterior:
    """Posterior of a linear model's parameters given pairs.

    Args:
        before: (N, d) codes before: noise encodings as the encoder sees them.
        after: (N, d) codes after.
        rows: for each variable the pairs that have it as their target, more than d of them.
        x: (2 N, D) observations before and after.
    """

    def __init__(self, before: Array, after: Array, rows: Sequence[NDArray[np.integer]], x: Array) -> None:
        self.codes = before
        self.rows = rows
        table = np.hstack([before, after, np.ones((len(before), 1))])
        self._sums = [table[chosen].T @ table[chosen] for chosen in rows]
        codes = np.vstack([before, after])
        self._center = codes.mean(0), x.mean(0)
        centered = codes - self._center[0]
        self._inverse = np.linalg.inv(centered.T @ centered)
        self._loadings = self._inverse @ centered.T @ (x - self._center[1])
        rest = x - self._center[1] - centered @ self._loadings
        self._rest = np.sqrt(np.square(rest).mean(0))
        self._pairs = torch.as_tensor(np.hstack([before, after]), dtype=torch.float64)
        self.noise = np.mean([self._off_line(i) for i in range(before.shape[1])], axis=0)
        self._fits: list[tuple[LinearMarginal, Array, Array]] = []

    @property
    def noisy(self) -> bool:
        """Whether x has noise that counts."""
        return bool(self.noise.diagonal().max() > NOISE)

    def draw(self, graph: NDArray[np.integer], rng: np.random.Generator | None) -> LinearParameters:
        """Draw the parameters.

        Args:
            graph: (d, d) ``[parent, child]``, acyclic.
            rng: source of randomness; None for the mean of the posterior.
        """
        if not self.noisy:
            return self._regressions(graph, rng)
        marginal, theta, root = self._fit(graph)
        return marginal.unpack(theta if rng is None else theta + root @ rng.standard_normal(len(theta)))

    def _fit(self, graph: NDArray[np.integer]) -> tuple[LinearMarginal, Array, Array]:
        """The likelihood of a graph, where its maximum is and how sure, or those of one with more edges given this."""
        for marginal, theta, root in self._fits:
            near = marginal.without(theta, root, graph)
            if near is not None:
                return marginal, *near
        marginal = LinearMarginal(graph)
        self._fits.append((marginal, *marginal.fit(self._pairs, self._regressions(graph, None))))
        return self._fits[-1]

    def draw_loadings(self, axes: Array, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """What one unit of each noise encoding adds to x, (d, D), and x where all are 0, (D,)."""
        of_codes = self._loadings
        if rng is not None and self.noisy:
            error = np.linalg.cholesky(self._inverse) @ rng.standard_normal(of_codes.shape)
            of_codes = of_codes + error * self._rest
        return axes @ of_codes, self._center[1] - self._center[0] @ of_codes

    def _off_line(self, variable: int) -> Array:
        """Noise covariance (d, d) of one side, diagonal, by how far the pairs of one target are off their line.

        Medians say it, so that a few pairs that belong to no intervention are no noise.
        """
        dim = self.codes.shape[1]
        line = draw_direction(self._scatter(variable), len(self.rows[variable]), variable, None)
        pairs = self._pairs.numpy()[self.rows[variable]]
        difference = pairs[:, dim:] - pairs[:, :dim]
        rest = np.median(np.square(difference - np.outer(difference[:, variable], line)), axis=0) / _MEDIAN / 2
        rest[variable] = rest.sum() / max(dim - 1, 1)  # the line itself hides it
        return np.diag(rest + _LEAST)

    def _scatter(self, variable: int) -> Array:
        dim = self.codes.shape[1]
        difference = np.vstack([-np.eye(dim), np.eye(dim), np.zeros((1, dim))])
        return np.asarray(difference.T @ self._sums[variable] @ difference)

    def _regressions(self, graph: NDArray[np.integer], rng: np.random.Generator | None) -> LinearParameters:
        """All by regressions, causes first; they need sums over pairs alone, of codes before and after and 1."""
        dim = self.codes.shape[1]
        axes = np.eye(dim)
        for variable in range(dim):
            axes[variable] = draw_direction(self._scatter(variable), len(self.rows[variable]), variable, rng)
        frame = np.linalg.inv(axes)
        coefficients, intercepts, scales = np.zeros((dim, dim)), np.zeros(dim), np.ones(dim)
        weights = np.zeros((2 * dim + 1, dim))  # causal variables before, as sums of codes before, codes after, and 1
        one = np.eye(2 * dim + 1)[:, -1:]
        for variable in topological_order(np.asarray(graph, dtype=np.int8)).tolist():
            causes, own = np.flatnonzero(graph[:, variable]), frame[:, variable]
            design = np.hstack([weights[:, causes], one])
            response = np.concatenate([np.zeros(dim), own, [0.0]])
            moments = np.column_stack([design, response]).T @ self._sums[variable] @ np.column_stack([design, response])
            found, scale = draw_regression(moments, len(self.rows[variable]), rng)
            weights[:, variable] = (np.concatenate([own, np.zeros(dim), [0.0]]) - design @ found) / scale
            coefficients[causes, variable], intercepts[variable], scales[variable] = found[:-1], found[-1], scale
        hit = np.array([len(chosen) for chosen in self.rows]) / len(self.codes)
        shares = np.concatenate([[1 - hit.sum()], hit])
        mean = self.codes.mean(0) @ frame
        return LinearParameters(mean, axes, self.noise, intercepts, scales, coefficients, shares)


def draw_regression(moments: Array, rows: int, rng: np.random.Generator | None) -> tuple[Array, float]:
    """Draw from the posterior of a linear regression under the prior p(coefficients, log sd) ~ 1.

    Args:
        moments: (p + 1, p + 1) sums over rows of the products of p features and, last, the response.
        rows: how many there are, more than p.
        rng: source of randomness; None for least squares and the usual estimate of the standard deviation.

    Returns:
        Coefficients (p,) and the standard deviation of what is left.

    Example:
        >>> table = np.column_stack([[0.0, 1.0, 2.0, 3.0], np.ones(4), [1.0, 3.0, 5.0, 7.0]])
        >>> draw_regression(table.T @ table, 4, None)[0].round(6).tolist()
        [2.0, 1.0]
    """
    root = np.linalg.cholesky(moments[:-1, :-1])
    half = np.linalg.solve(root, moments[:-1, -1])
    squares = max(float(moments[-1, -1] - half @ half), 0.0)
    freedom = rows - len(half)
    if rng is None:
        return np.asarray(np.linalg.solve(root.T, half)), float(np.sqrt(squares / freedom))
    sd = float(np.sqrt(squares / rng.chisquare(freedom)))
    return np.asarray(np.linalg.solve(root.T, half + sd * rng.standard_normal(len(half)))), sd


def draw_direction(scatter: Array, rows: int, variable: int, rng: np.random.Generator | None) -> Array:
    """Draw the line through 0 on which differences lie, (d,), of component 1 for the given variable.

    Args:
        scatter: (d, d) sums over rows of products of the differences' components.
        rows: how many there are.
        variable: 0..d-1.
        rng: source of randomness; None for least squares.

    Example:
        >>> differences = np.array([[1.0, 0.5], [-2.0, -1.0]])
        >>> draw_direction(differences.T @ differences, 2, 0, None).tolist()
        [1.0, 0.5]
    """
    squares = scatter[variable, variable]
    line = scatter[variable] / squares
    if rng is None:
        return np.asarray(line)
    rest = (scatter - squares * np.outer(line, line)) / (rows - 1) / squares
    values, vectors = np.linalg.eigh((rest + rest.T) / 2)
    return np.asarray(line + vectors @ (np.sqrt(values.clip(min=0)) * rng.standard_normal(len(values))))
