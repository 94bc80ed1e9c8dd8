"""Directions under observation noise: a mixture of lines with one noise covariance, by expectation maximisation.

Where every feature of x has noise of its own, the difference of a pair is a point on a line plus noise,

    x~ - x ~ sum_k p_k N(0, S + a_k a_k'),      a_0 = 0 for pairs without intervention,

a mixture of factor analysers (Ghahramani and Hinton 1996) of one factor each that share a noise covariance S. Against
k-lines (:mod:`pyro_lcm.identify.directions`) it says how far off a line a pair may be, so short differences, whose
angles noise decides, do not turn the lines, and whether noise is *all* that keeps pairs off the lines: noise does not
grow with the difference, what a curved mixing adds does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from pyro_lcm.identify.directions import Array, Directions

_FLOOR = 1e-9
"""Smallest noise variance of a direction, as a share of the largest variance of differences."""
_CERTAIN = 0.9
"""Posterior probability of a line from which on a pair is taken to lie on it."""
_LEAST_PAIRS = 10
"""Pairs whose distances say something of a line."""
_LEAST_DISTANCE = 0.05
"""Squared distance that counts as none, in units of the noise's: a few outliers make that wider than most are."""
_ERROR_OF_MEDIAN = 1.6
"""Standard error of the median of chi-squared numbers, at most, in units of that of their mean."""


@dataclass(frozen=True)
class NoisyDirections:
    """Factor loadings, one for each line that differences lie on, and the noise around the lines.

    Attributes:
        loadings: (d, d) rows a_k, the direction of each line times the standard deviation along it.
        noise: (d, d) covariance S of what is not on a line.
        shares: (d + 1,) share of pairs of each line, those without intervention first.
        curvature: largest over the lines of the median squared distance from it of the pairs that differ most, in units
            of what noise has, less two standard errors: at most 1 where noise is all that keeps them off, more where
            lines are curved.
        unevenness: ratio of the largest of these medians to the smallest: at most 1 where noise is all, which does not
            know of the target, whatever its distribution is. Where only mechanisms are not linear, pairs whose target
            has no effects lie on their line exactly.
    """

    loadings: Array
    noise: Array
    shares: Array
    curvature: float
    unevenness: float


def fit_noisy_directions(differences: Array, lines: Directions, *, iterations: int = 100) -> NoisyDirections:
    """Fit the mixture to (N, d) differences by expectation maximisation, from lines found without noise.

    Args:
        differences: (N, d), those of pairs without intervention included.
        lines: d lines to start from.
        iterations: of expectation maximisation.

    Returns:
        The lines and the noise.
    """
    count, dim = differences.shape
    scale = float(np.sqrt(np.square(differences).mean()))
    values = differences / scale
    # Start: every pair on its nearest line, noise from what is off it.
    along = values @ lines.directions.T
    nearest = np.square(along).argmax(1)
    rest = values - along[np.arange(count), nearest][:, None] * lines.directions[nearest]
    noise = rest.T @ rest / count + _FLOOR * np.eye(dim)
    counts = np.bincount(nearest, minlength=dim)
    squares = np.bincount(nearest, along[np.arange(count), nearest] ** 2, minlength=dim)
    loadings = lines.directions * np.sqrt(np.where(counts > 0, squares / np.maximum(counts, 1), 1.0))[:, None]
    shares = np.full(dim + 1, 1 / (dim + 1))
    for _ in range(iterations):
        responsibility, mean, variance = _expect(values, loadings, noise, shares)
        shares = responsibility.mean(0)
        weights = responsibility[:, 1:]
        second = (weights * (mean**2 + variance)).sum(0)
        cross = (weights * mean).T @ values  # [line, feature]
        loadings = cross / np.maximum(second, 1e-12)[:, None]
        # Expected scatter of what is off the line, at the new loadings.
        explained = cross.T @ loadings
        scatter = values.T @ values - explained - explained.T + (loadings * second[:, None]).T @ loadings
        noise = (scatter + scatter.T) / (2 * count) + _FLOOR * np.eye(dim)
        # With little noise the scale of a_k would stay what it was: a factor of free variance, brought back to one
        # (parameter-expanded EM, Liu, Rubin and Wu 1998).
        loadings = loadings * np.sqrt(second / np.maximum(weights.sum(0), 1e-12))[:, None]
    return NoisyDirections(loadings * scale, noise * scale**2, shares, *_bending(values, loadings, noise, shares))


def _expect(values: Array, loadings: Array, noise: Array, shares: Array) -> tuple[Array, Array, Array]:
    """Posterior of the line, (N, d + 1), and mean (N, d) and variance (d,) of the factor given each line."""
    projected = values @ np.linalg.solve(noise, loadings.T)  # a_k' S^-1 x
    strength = np.einsum("kf,fk->k", loadings, np.linalg.solve(noise, loadings.T))
    variance = 1 / (1 + strength)
    log_odds = 0.5 * (projected**2 * variance + np.log(variance))
    logits = np.log(np.maximum(shares, 1e-12)) + np.column_stack([np.zeros(len(values)), log_odds])
    logits -= logits.max(1, keepdims=True)
    responsibility = np.exp(logits)
    return responsibility / responsibility.sum(1, keepdims=True), projected * variance, variance


def _distances(values: Array, loadings: Array, noise: Array, shares: Array) -> tuple[Array, Array]:
    """Typical squared distance from each line of the pairs that lie on it and differ most, and its standard error.

    Args:
        values: (N, d) differences.
        loadings: (d, d) of the lines.
        noise: (d, d) covariance.
        shares: (d + 1,) of the lines.

    Returns:
        (k,) medians of a third of the pairs of each line that has enough, in units of the median that noise alone
        has, and (k,) relative standard errors.
    """
    dim = len(loadings)
    responsibility, _, _ = _expect(values, loadings, noise, shares)
    precision = np.linalg.inv(noise)
    length = np.einsum("nf,fg,ng->n", values, precision, values)
    along = np.square(values @ precision @ loadings.T) / np.einsum("kf,fg,kg->k", loadings, precision, loadings)
    medians, errors = [], []
    for line in range(dim):
        chosen = responsibility[:, line + 1] > _CERTAIN
        if chosen.sum() < 3 * _LEAST_PAIRS:
            continue
        chosen &= length >= np.quantile(length[chosen], 2 / 3)
        medians.append(np.median(length[chosen] - along[chosen, line]))
        errors.append(_ERROR_OF_MEDIAN * np.sqrt(2 / (dim - 1) / chosen.sum()))
    return np.array(medians) / chi2.ppf(0.5, dim - 1), np.array(errors)


def _bending(values: Array, loadings: Array, noise: Array, shares: Array) -> tuple[float, float]:
    """:attr:`NoisyDirections.curvature` and :attr:`NoisyDirections.unevenness`."""
    if len(loadings) == 1:
        return 1.0, 1.0
    medians, errors = _distances(values, loadings, noise, shares)
    if not len(medians):
        return float("inf"), float("inf")
    medians = np.maximum(medians, _LEAST_DISTANCE)
    low, high = medians * (1 - 2 * errors), medians * (1 + 2 * errors)
    return float(low.max()), float(low.max() / high.min())
