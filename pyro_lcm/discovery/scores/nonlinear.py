"""Nonlinear mechanisms with Gaussian noise, scored by the closed-form evidence of Bayesian regression.

A child is an additive Gaussian process of its parents plus products of pairs of parents, in features. With
the parents standardised, the expansion of the Gaussian kernel (Cotter, Keshet & Srebro, arXiv 1109.4603)

    exp(-(x - x')^2 / 2 l^2) = sum_k f_k(x) f_k(x'),   f_k(x) = exp(-x^2 / 2 l^2) (x / l)^k / sqrt(k!)

gives each parent the features x and f_0 ... f_{K-1}, and each pair of parents the feature x_i x_j. All
coefficients have prior variance g s2 (products: a tenth), s2 the noise variance, InvGamma(a, r). The ratio of
signal to noise g is averaged over a small grid: evidence = mean over g of evidence(g).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData, IntArray
from pyro_lcm.discovery.scores.base import CachedScore
from pyro_lcm.discovery.scores.linear_gaussian import regression_evidence

_PRODUCT_VARIANCE = 0.1
_ENTRIES_AT_ONCE = 4_000_000
_MOST_BYTES = 2**28
"""For Gram matrices; beyond, those of other rows are computed anew when they are asked for again."""


@dataclass(frozen=True)
class NonlinearPrior:
    """Features and hyper-parameters; the defaults suit standardised variables.

    Attributes:
        features: K >= 0, features of each parent beyond the linear one.
        length_scale: l > 0 of the kernel, in standard deviations of the parent.
        products: Whether pairs of parents have their product as a feature. The Gram matrix then has
            ``1 + d (K + 1) + d (d - 1) / 2`` rows (20 MB at d = 50; those of different rows are kept up to 256 MB).
        signal_to_noise: Grid of g > 0.
        intercept_precision: k0 > 0, precision of the intercept in units of 1 / s2.
        noise_shape: a > 0, shape of the inverse gamma of the noise variance.
        noise_rate: r > 0, its rate, in squared units of the child.
    """

    features: int = 6
    length_scale: float = 1.5
    products: bool = True
    signal_to_noise: tuple[float, ...] = (0.3, 3.0, 30.0, 300.0)
    intercept_precision: float = 1.0
    noise_shape: float = 1.5
    noise_rate: float = 0.5

    def __post_init__(self) -> None:
        if self.features < 0:
            raise ValueError(f"features: got {self.features}, expected 0 or more")
        for name in ("length_scale", "intercept_precision", "noise_shape", "noise_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected > 0")
        if not self.signal_to_noise or min(self.signal_to_noise) <= 0:
            raise ValueError(f"signal_to_noise: got {self.signal_to_noise}, expected numbers > 0")


class NonlinearScore(CachedScore):
    """Evidence of nonlinear regressions of each variable on its parents.

    Args:
        data: The rows.
        prior: Features and hyper-parameters.
        cache_size: Most values kept for one variable.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=100)
        >>> score = NonlinearScore(GraphData(np.column_stack([x, x**2 + 0.3 * rng.normal(size=100)])))
        >>> forward, backward = score.total([[[0, 1], [0, 0]], [[0, 0], [1, 0]]])
        >>> bool(forward > backward + 10)  # the cause is told from its effect
        True
    """

    def __init__(self, data: GraphData, prior: NonlinearPrior | None = None, *, cache_size: int = 500_000) -> None:
        super().__init__(data, cache_size=cache_size)
        self.prior = NonlinearPrior() if prior is None else prior
        size = data.num_variables
        pairs = size * (size - 1) // 2 if self.prior.products else 0
        self.kept_groups = max(1, _MOST_BYTES // (8 * (1 + size * (1 + self.prior.features) + pairs) ** 2))

    def columns(self, parents: IntArray) -> IntArray:
        """Feature columns of parent sets of one size: (n, p) indices in, (n, q) columns out."""
        width = 1 + self.prior.features
        single = 1 + parents[:, :, None] * width + np.arange(width)
        parts = [np.zeros((len(parents), 1), dtype=np.int64), single.reshape(len(parents), -1)]
        if self.prior.products:
            first, second = np.triu_indices(parents.shape[1], 1)
            low, high = parents[:, first], parents[:, second]
            # position of the pair (low, high) in the row-wise upper triangle
            pair = low * (2 * self.num_variables - low - 1) // 2 + high - low - 1
            parts.append(1 + self.num_variables * width + pair)
        return np.concatenate(parts, axis=1)

    def design(self, values: FloatArray) -> FloatArray:
        """All features of (n, d) rows: intercept, each variable's, products; (n, F)."""
        scale = values.std(axis=0) if len(values) else np.ones(values.shape[1])
        x = (values - (values.mean(axis=0) if len(values) else 0.0)) / np.where(scale > 0, scale, 1.0)
        ratio = x / self.prior.length_scale
        bell = np.exp(-0.5 * ratio**2)
        smooth = [bell * ratio**k / math.sqrt(math.factorial(k)) for k in range(self.prior.features)]
        single = np.stack([x, *smooth], axis=2).reshape(len(x), -1)
        parts = [np.ones((len(x), 1)), single]
        if self.prior.products:
            first, second = np.triu_indices(x.shape[1], 1)
            parts.append(x[:, first] * x[:, second])
        return np.concatenate(parts, axis=1)

    def prior_precision(self, num_parents: int, signal_to_noise: float) -> FloatArray:
        """Prior precisions of the features of p parents in units of 1 / s2, (q,)."""
        pairs = num_parents * (num_parents - 1) // 2 if self.prior.products else 0
        return np.concatenate(
            [
                [self.prior.intercept_precision],
                np.full(num_parents * (1 + self.prior.features), 1 / signal_to_noise),
                np.full(pairs, 1 / (_PRODUCT_VARIANCE * signal_to_noise)),
            ]
        )

    def _prepare(self, values: FloatArray, weights: FloatArray) -> _Moments:
        design = self.design(values)
        weighted = weights[:, None] * design
        return _Moments(
            count=float(weights.sum()),
            gram=weighted.T @ design,
            moments=weighted.T @ values,
            squares=weights @ values**2,
        )

    def _evidence(self, statistics: _Moments, child: int, parent_sets: BoolArray) -> FloatArray:
        result = np.empty(len(parent_sets))
        sizes = parent_sets.sum(axis=1)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            parents = np.nonzero(parent_sets[rows])[1].reshape(len(rows), size)
            width = self.columns(parents[:1]).shape[1]
            step = max(1, _ENTRIES_AT_ONCE // width**2)
            for start in range(0, len(rows), step):
                part = slice(start, start + step)
                result[rows[part]] = self._average(statistics, child, parents[part])
        return result

    def _average(self, statistics: _Moments, child: int, parents: IntArray) -> FloatArray:
        columns = self.columns(parents)
        gram = statistics.gram[columns[:, :, None], columns[:, None, :]]
        grid = [
            regression_evidence(
                gram,
                statistics.moments[columns, child],
                float(statistics.squares[child]),
                statistics.count,
                self.prior_precision(parents.shape[1], value),
                self.prior.noise_shape,
                self.prior.noise_rate,
            )
            for value in (self.prior.signal_to_noise if parents.shape[1] else self.prior.signal_to_noise[:1])
        ]
        return np.asarray(logsumexp(grid, axis=0) - math.log(len(grid)))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over rows: of weights, features by features, features by children, children squared."""

    count: float
    gram: FloatArray
    moments: FloatArray
    squares: FloatArray
