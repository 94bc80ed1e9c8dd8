"""Linear-Gaussian mechanisms with a conjugate prior, scored by their closed-form evidence.

Bayesian linear regression of a child y on an intercept and its p parents X (O'Hagan, Kendall's Advanced
Theory of Statistics 2B, 1994, chapter 9):

    y | b, s2 ~ N(b0 + X b, s2 I),   b0 | s2 ~ N(0, s2 / k0),
    b | s2 ~ N(0, s2 / k I),         s2 ~ InvGamma(a, r).

Unlike BGe it is not score-equivalent: the direction of an edge is informed by the priors of the mechanisms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData
from pyro_lcm.discovery.scores.base import CachedScore


@dataclass(frozen=True, eq=False)
class Mechanism:
    """Normal-inverse-gamma distribution of a linear mechanism with p parents.

    ``s2 ~ InvGamma(shape, rate)``, ``b | s2 ~ N(mean, s2 precision^-1)``.

    Attributes:
        mean: (p,) coefficients.
        precision: (p, p), in units of 1 / s2.
        shape: Shape of the noise variance.
        rate: Rate of the noise variance.
    """

    mean: FloatArray
    precision: FloatArray
    shape: float
    rate: float

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Draw coefficients.

        Args:
            count: Number of draws n.
            rng: Source of randomness.

        Returns:
            (n, p) coefficients.
        """
        return self.draw_with_variance(count, rng)[0]

    def draw_with_variance(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """The same, (n, p), and the noise variances that they were drawn with, (n, 1)."""
        variance = self.rate / rng.standard_gamma(self.shape, size=(count, 1))
        standard = rng.standard_normal((count, len(self.mean)))
        # precision = L L^T, so L^-T e has covariance precision^-1
        upper = np.linalg.cholesky(self.precision).T
        return np.asarray(self.mean + np.sqrt(variance) * np.linalg.solve(upper, standard.T).T), variance


@dataclass(frozen=True)
class LinearGaussianPrior:
    """Hyper-parameters of the conjugate prior; the defaults suit standardised variables.

    Attributes:
        coefficient_precision: k > 0, precision of a coefficient in units of 1 / s2.
        intercept_precision: k0 > 0, precision of the intercept in units of 1 / s2.
        noise_shape: a > 0, shape of the inverse gamma of the noise variance.
        noise_rate: r > 0, its rate, in squared units of the child.
    """

    coefficient_precision: float = 0.5
    intercept_precision: float = 1.0
    noise_shape: float = 1.5
    noise_rate: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name}: got {value}, expected > 0")


class LinearGaussianScore(CachedScore):
    """Evidence of linear-Gaussian mechanisms under independent conjugate priors.

    Args:
        data: The rows.
        prior: Hyper-parameters.
        cache_size: Most values kept for one variable.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> x[:, 1] += x[:, 0]
        >>> score = LinearGaussianScore(GraphData(x))
        >>> without, with_parent = score.local(1, [[0, 0], [1, 0]])
        >>> bool(with_parent > without)
        True
    """

    def __init__(self, data: GraphData, prior: LinearGaussianPrior | None = None, *, cache_size: int = 500_000) -> None:
        super().__init__(data, cache_size=cache_size)
        self.prior = LinearGaussianPrior() if prior is None else prior

    def mechanism_posterior(self, child: int, parents: BoolArray) -> Mechanism:
        """Posterior of a variable's own mechanism given its parents, from the rows that left it alone.

        Args:
            child: The variable.
            parents: (d,) booleans with p true.

        Returns:
            Normal-inverse-gamma distribution of the p coefficients, the intercept integrated out.
        """
        count, gram = self.row_statistics(child)[0]
        index = np.append(np.flatnonzero(parents), self.num_variables)  # the intercept comes last
        precision = gram[np.ix_(index, index)] + np.diag(self._prior_precision(len(index) - 1))
        mean = np.linalg.solve(precision, gram[index, child])
        rate = self.prior.noise_rate + 0.5 * float(gram[child, child] - gram[index, child] @ mean)
        inner, outer, corner = precision[:-1, :-1], precision[:-1, -1], precision[-1, -1]
        return Mechanism(
            mean=mean[:-1],
            precision=inner - np.outer(outer, outer) / corner,
            shape=self.prior.noise_shape + count / 2,
            rate=rate,
        )

    def _prior_precision(self, size: int) -> FloatArray:
        return np.append(np.full(size, self.prior.coefficient_precision), self.prior.intercept_precision)

    def _prepare(self, values: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
        """Effective count and weighted Gram matrix of all variables and the intercept, (d + 1, d + 1)."""
        design = np.column_stack([values, np.ones(len(values))])
        return float(weights.sum()), (weights * design.T) @ design

    def _evidence(self, statistics: tuple[float, FloatArray], child: int, parent_sets: BoolArray) -> FloatArray:
        count, gram = statistics
        result = np.empty(len(parent_sets))
        sizes = parent_sets.sum(axis=1)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            parents = np.nonzero(parent_sets[rows])[1].reshape(len(rows), size)
            columns = np.concatenate([parents, np.full((len(rows), 1), self.num_variables)], axis=1)
            result[rows] = regression_evidence(
                gram[columns[:, :, None], columns[:, None, :]],
                gram[columns, child],
                gram[child, child],
                count,
                self._prior_precision(int(size)),
                self.prior.noise_shape,
                self.prior.noise_rate,
            )
        return result


def regression_evidence(
    gram: FloatArray,
    moment: FloatArray,
    square: float,
    count: float,
    prior_precision: FloatArray,
    noise_shape: float,
    noise_rate: float,
) -> FloatArray:
    """Log evidence of Bayesian linear regressions from their sufficient statistics.

    With ``V = gram + diag(prior_precision)`` and ``r' = r + (square - moment^T V^-1 moment) / 2``,

        log p(y) = -n/2 log 2 pi + (log|prior_precision| - log|V|) / 2
                   + a log r - (a + n/2) log r' + log Gamma(a + n/2) - log Gamma(a).

    Args:
        gram: (m, q, q) X^T X of m regressions with q features.
        moment: (m, q) X^T y.
        square: y^T y.
        count: Number of rows n, or the sum of their weights.
        prior_precision: (q,) or (m, q) prior precisions of the coefficients in units of 1 / s2.
        noise_shape: Shape a of the noise variance.
        noise_rate: Rate r of the noise variance.

    Returns:
        (m,) log evidence, in nats.
    """
    width = gram.shape[-1]
    posterior = gram + prior_precision[..., None, :] * np.eye(width)
    # V augmented by y: its last pivot is the residual sum of squares (+ 2 r)
    bordered = np.empty((len(gram), width + 1, width + 1))
    bordered[:, :-1, :-1] = posterior
    bordered[:, -1, :-1] = bordered[:, :-1, -1] = moment
    bordered[:, -1, -1] = square + 2.0 * noise_rate
    log_diagonal = 2.0 * np.log(np.diagonal(np.linalg.cholesky(bordered), axis1=1, axis2=2))
    shape = noise_shape + count / 2
    constant = -0.5 * count * math.log(2 * math.pi) + noise_shape * math.log(noise_rate)
    constant += float(gammaln(shape) - gammaln(noise_shape))
    return np.asarray(
        constant
        + 0.5 * (np.log(prior_precision).sum(axis=-1) - log_diagonal[:, :-1].sum(axis=1))
        - shape * (log_diagonal[:, -1] - math.log(2.0))
    )
