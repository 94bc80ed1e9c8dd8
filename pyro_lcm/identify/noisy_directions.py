"""Directions under observation noise: a mixture of lines with one noise covariance, by expectation maximisation.

Where every feature of x has noise of its own, the difference of a pair is a point on a line plus noise,

    x~ - x ~ sum_k p_k N(0, S + a_k a_k'),      a_0 = 0 for pairs without intervention,

a mixture of factor analysers (Ghahramani and Hinton 1996) of one factor each that share a noise covariance S. Against
k-lines (:mod:`pyro_lcm.identify.directions`) it says how far off a line a pair may be, so short differences, whose
angles noise decides, do not turn the lines, and whether noise is *all* that keeps pairs off the lines: noise does not
grow with the difference, what a curved mixing adds does.

Pairs that belong to no intervention, since a reading is wrong or the sides of different systems were put together, may
have a class of their own: N(0, U), the differences of observations that have nothing to do with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import chi2

from pyro_lcm.identify.directions import Array, Directions

_ITERATIONS = 100
"""Of expectation maximisation."""
_FLOOR = 1e-9
"""Smallest noise variance of a direction, as a share of the largest variance of differences."""
_CERTAIN = 0.9
"""Posterior probability of a line from which on a pair is taken to lie on it."""
_FEW = 0.01
"""Share of the pairs that belong to none, to begin with where the lines are known."""
_LEAST_PAIRS = 10
"""Pairs whose distances say something of a line."""
_LEAST_DISTANCE = 0.05
"""Squared distance that counts as none, in units of the noise's: a few outliers make that wider than most are."""
_ERROR_OF_MEDIAN = 1.6
"""Standard error of the median of chi-squared numbers, at most, in units of that of their mean."""


@dataclass(frozen=True)
class Mixture:
    """The density of differences: none, d lines, and maybe what belongs to no pair.

    Attributes:
        loadings: (d, d) rows a_k, the direction of each line times the standard deviation along it.
        noise: (d, d) covariance S of what is not on a line.
        shares: share of pairs without intervention, of each line, and of the unrelated where these have a class.
        unrelated: (d, d) covariance U of the differences of these; None where there is no such class.
    """

    loadings: Array
    noise: Array
    shares: Array
    unrelated: Array | None = None

    @cached_property
    def precision(self) -> Array:
        """S^-1."""
        return np.asarray(np.linalg.inv(self.noise))

    def expect(self, values: Array) -> tuple[Array, Array, Array]:
        """Posterior of the class, (N, classes), and mean (N, d) and variance (d,) of the factor given each line."""
        logits, mean, variance = self._odds(values)
        logits -= logits.max(1, keepdims=True)
        responsibility = np.exp(logits)
        return responsibility / responsibility.sum(1, keepdims=True), mean, variance

    def log_density(self, values: Array) -> float:
        """Mean log density of (N, d) values, up to a constant."""
        none = np.einsum("nf,fg,ng->n", values, self.precision, values) + np.linalg.slogdet(self.noise)[1]
        return float(np.mean(logsumexp(self._odds(values)[0], axis=1) - none / 2))

    def _odds(self, values: Array) -> tuple[Array, Array, Array]:
        """Log of share and density of each class in units of that of none, (N, classes), and mean and variance."""
        projected = values @ self.precision @ self.loadings.T
        variance = 1 / (1 + np.einsum("kf,fg,kg->k", self.loadings, self.precision, self.loadings))
        log_odds = [np.zeros(len(values)), 0.5 * (projected**2 * variance + np.log(variance))]
        if self.unrelated is not None:
            excess = self.precision - np.linalg.inv(self.unrelated)
            determinants = np.linalg.slogdet(self.noise)[1] - np.linalg.slogdet(self.unrelated)[1]
            log_odds.append(0.5 * (np.einsum("nf,fg,ng->n", values, excess, values) + determinants))
        return np.log(np.maximum(self.shares, 1e-12)) + np.column_stack(log_odds), projected * variance, variance

    def improve(self, values: Array) -> Mixture:
        """One step of expectation maximisation on (N, d) values."""
        dim = len(self.loadings)
        responsibility, mean, variance = self.expect(values)
        weights, related = responsibility[:, 1 : dim + 1], responsibility[:, : dim + 1].sum(1)
        second = (weights * (mean**2 + variance)).sum(0)
        cross = (weights * mean).T @ values  # [line, feature]
        loadings = cross / np.maximum(second, 1e-12)[:, None]
        # Expected scatter of what is off the line, at the new loadings.
        explained = cross.T @ loadings
        scatter = (values.T * related) @ values - explained - explained.T
        scatter += (loadings * second[:, None]).T @ loadings
        noise = (scatter + scatter.T) / (2 * related.sum()) + _FLOOR * np.eye(dim)
        # With little noise the scale of a_k would stay what it was: a factor of free variance, brought back to one
        # (parameter-expanded EM, Liu, Rubin and Wu 1998).
        loadings = loadings * np.sqrt(second / np.maximum(weights.sum(0), 1e-12))[:, None]
        return Mixture(loadings, noise, responsibility.mean(0), self.unrelated)

    def scaled(self, factor: float) -> Mixture:
        """The density of ``factor`` times the values."""
        unrelated = None if self.unrelated is None else self.unrelated * factor**2
        return Mixture(self.loadings * factor, self.noise * factor**2, self.shares, unrelated)


@dataclass(frozen=True)
class NoisyDirections:
    """What the differences of pairs look like: lines with noise about them.

    Attributes:
        mixture: the density of a difference.
        curvature: largest over the lines of the median squared distance from it of the pairs that differ most, in units
            of what noise has, less two standard errors: at most 1 where noise is all that keeps them off, more where
            lines are curved.
        unevenness: ratio of the largest of these medians to the smallest: at most 1 where noise is all, which does not
            know of the target, whatever its distribution is. Where only mechanisms are not linear, pairs whose target
            has no effects lie on their line exactly.
    """

    mixture: Mixture
    curvature: float
    unevenness: float

    @property
    def loadings(self) -> Array:
        """(d, d) rows a_k, the direction of each line times the standard deviation along it."""
        return self.mixture.loadings

    @property
    def noise(self) -> Array:
        """(d, d) covariance S of what is not on a line."""
        return self.mixture.noise

    @property
    def shares(self) -> Array:
        """(d + 1,) share of pairs of each line, those without intervention first."""
        return self.mixture.shares[: len(self.loadings) + 1]

    @property
    def unrelated_share(self) -> float:
        """Share of pairs that belong to none of them."""
        return float(self.mixture.shares[len(self.loadings) + 1 :].sum())

    def unrelated(self, differences: Array) -> NDArray[np.bool_]:
        """Which of (N, d) differences rather belong to no pair, (N,)."""
        responsibility, _, _ = self.mixture.expect(differences)
        return responsibility[:, len(self.loadings) + 1 :].sum(1) > 0.5


def fit_noisy_directions(differences: Array, lines: Directions, *, unrelated: Array | None = None) -> NoisyDirections:
    """Fit the mixture to (N, d) differences by expectation maximisation, from lines found without noise.

    Where some pairs may belong to none, it begins twice, the second time at what is found without such a class: where
    nearly all pairs are without intervention, lines that are found without noise are lines of noise, and a class that
    takes what is far out lets them stay so. What is more likely counts.

    Args:
        differences: (N, d), those of pairs without intervention included.
        lines: d lines to start from.
        unrelated: (d, d) covariance of the differences of observations that have nothing to do with each other; given
            it, some pairs may be of this kind, and noise begins at what keeps the nearer half of them off their lines.

    Returns:
        The lines and the noise.
    """
    scale = float(np.sqrt(np.square(differences).mean()))
    values = differences / scale
    anywhere = None if unrelated is None else unrelated / scale**2
    found = [_improved(_begin(values, lines, anywhere), values)]
    if anywhere is not None:
        related = _improved(_begin(values, lines, None), values)
        shares = np.append((1 - _FEW) * related.shares, _FEW)
        found.append(_improved(replace(related, shares=shares, unrelated=anywhere), values))
    mixture = max(found, key=lambda mixture: mixture.log_density(values))
    return NoisyDirections(mixture.scaled(scale), *_bending(mixture, values))


def _begin(values: Array, lines: Directions, unrelated: Array | None) -> Mixture:
    """Every pair on its nearest line, noise from what is off it."""
    count, dim = values.shape
    along = values @ lines.directions.T
    nearest = np.square(along).argmax(1)
    rest = values - along[np.arange(count), nearest][:, None] * lines.directions[nearest]
    if unrelated is not None:
        size = np.square(rest).sum(1)
        rest = 2 * rest[size <= np.median(size)]
    noise = rest.T @ rest / len(rest) + _FLOOR * np.eye(dim)
    counts = np.bincount(nearest, minlength=dim)
    squares = np.bincount(nearest, along[np.arange(count), nearest] ** 2, minlength=dim)
    loadings = lines.directions * np.sqrt(np.where(counts > 0, squares / np.maximum(counts, 1), 1.0))[:, None]
    classes = dim + 1 if unrelated is None else dim + 2
    return Mixture(loadings, noise, np.full(classes, 1 / classes), unrelated)


def _improved(mixture: Mixture, values: Array) -> Mixture:
    for _ in range(_ITERATIONS):
        mixture = mixture.improve(values)
    return mixture


def _distances(mixture: Mixture, values: Array) -> tuple[Array, Array]:
    """Typical squared distance from each line of the pairs that lie on it and differ most, and its standard error.

    Returns:
        (k,) medians of a third of the pairs of each line that has enough, in units of the median that noise alone
        has, and (k,) relative standard errors.
    """
    loadings, precision = mixture.loadings, mixture.precision
    dim = len(loadings)
    responsibility, _, _ = mixture.expect(values)
    length = np.einsum("nf,fg,ng->n", values, precision, values)
    strength = np.einsum("kf,fg,kg->k", loadings, precision, loadings)  # 0 of a line that no difference is on
    along = np.square(values @ precision @ loadings.T) / np.maximum(strength, np.finfo(float).tiny)
    medians, errors = [], []
    for line in range(dim):
        chosen = responsibility[:, line + 1] > _CERTAIN
        if chosen.sum() < 3 * _LEAST_PAIRS:
            continue
        chosen &= length >= np.quantile(length[chosen], 2 / 3)
        medians.append(np.median(length[chosen] - along[chosen, line]))
        errors.append(_ERROR_OF_MEDIAN * np.sqrt(2 / (dim - 1) / chosen.sum()))
    return np.array(medians) / chi2.ppf(0.5, dim - 1), np.array(errors)


def _bending(mixture: Mixture, values: Array) -> tuple[float, float]:
    """:attr:`NoisyDirections.curvature` and :attr:`NoisyDirections.unevenness`."""
    if len(mixture.loadings) == 1:
        return 1.0, 1.0
    medians, errors = _distances(mixture, values)
    if not len(medians):
        return float("inf"), float("inf")
    medians = np.maximum(medians, _LEAST_DISTANCE)
    low, high = medians * (1 - 2 * errors), medians * (1 + 2 * errors)
    return float(low.max()), float(low.max() / high.min())
