"""BGe, the score-equivalent marginal likelihood of linear-Gaussian graphs.

Geiger & Heckerman (Annals of Statistics, 2002), as corrected by Kuipers, Moffa & Heckerman (Annals of
Statistics, 2014). The rows of a complete graph are normal with mean mu and precision W,

    W ~ Wishart_d(alpha_w, T^-1),   mu | W ~ N(nu, (alpha_mu W)^-1),   T = t I,

and every other graph has the prior that this implies for its mechanisms: with p parents

    sigma^2 ~ InvGamma((alpha_w - d + p + 1) / 2, t / 2),   b | sigma^2 ~ N(0, sigma^2 / t I).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData
from pyro_lcm.discovery.scores.base import CachedScore
from pyro_lcm.discovery.scores.linear_gaussian import Mechanism


@dataclass(frozen=True)
class BGePrior:
    """Hyper-parameters of BGe; None stands for the usual default.

    Attributes:
        mean: nu, the prior mean of every variable.
        mean_precision: alpha_mu > 0, rows that the prior mean is worth.
        degrees_of_freedom: alpha_w > d - 1; d + 2 when None.
        scale: t > 0, the diagonal of the prior scatter T; when None
            ``alpha_mu (alpha_w - d - 1) / (alpha_mu + 1)``.
    """

    mean: float = 0.0
    mean_precision: float = 1.0
    degrees_of_freedom: float | None = None
    scale: float | None = None

    def resolve(self, num_variables: int) -> tuple[float, float]:
        """Degrees of freedom alpha_w and scale t for d variables.

        Raises:
            ValueError: If a hyper-parameter is out of range for d variables.
        """
        if not self.mean_precision > 0:
            raise ValueError(f"mean_precision: got {self.mean_precision}, expected > 0")
        freedom = num_variables + 2.0 if self.degrees_of_freedom is None else self.degrees_of_freedom
        if not freedom > num_variables - 1:
            raise ValueError(f"degrees_of_freedom: got {freedom}, expected > {num_variables - 1} (d - 1)")
        scale = self.scale
        if scale is None:
            scale = self.mean_precision * (freedom - num_variables - 1) / (self.mean_precision + 1)
        if not scale > 0:
            raise ValueError(f"scale: got {scale}, expected > 0; the default needs degrees_of_freedom > d + 1")
        return freedom, scale


class BGeScore(CachedScore):
    """BGe score of data as given; standardise them first if their units mean nothing.

    The number of variables in the formula is d for every subset; count, mean and scatter of a variable's
    score come from the rows that count for it.

    Args:
        data: The rows.
        prior: Hyper-parameters.
        cache_size: Most values kept for one variable.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(50, 1)) * [[1.0, 2.0]]
        >>> score = BGeScore(GraphData(rows))
        >>> forward, backward = score.total([[[0, 1], [0, 0]], [[0, 0], [1, 0]]])
        >>> bool(np.isclose(forward, backward))  # the two directions are equivalent
        True
    """

    def __init__(self, data: GraphData, prior: BGePrior | None = None, *, cache_size: int = 500_000) -> None:
        super().__init__(data, cache_size=cache_size)
        self.prior = BGePrior() if prior is None else prior
        self.degrees_of_freedom, self.scale = self.prior.resolve(data.num_variables)

    def mechanism_posterior(self, child: int, parents: BoolArray) -> Mechanism:
        """Posterior of a variable's own mechanism given its parents, from the rows that left it alone.

        Args:
            child: The variable.
            parents: (d,) booleans with p true.

        Returns:
            Normal-inverse-gamma distribution of the p coefficients, in the order of the variables.
        """
        count, scatter = self.row_statistics(child)[0]
        index = np.flatnonzero(parents)
        precision = scatter[np.ix_(index, index)]
        mean = np.linalg.solve(precision, scatter[index, child])
        freedom = self.degrees_of_freedom + count - self.num_variables + len(index) + 1
        rest = scatter[child, child] - scatter[index, child] @ mean
        return Mechanism(mean=mean, precision=precision, shape=freedom / 2, rate=float(rest) / 2)

    def _prepare(self, values: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
        """Effective count N and R = T + S + N alpha_mu / (N + alpha_mu) (nu - mean)(nu - mean)^T."""
        width = values.shape[1]
        count = float(weights.sum())
        scatter = self.scale * np.eye(width)
        if count > 0:
            mean = weights @ values / count
            centred = values - mean
            shift = mean - self.prior.mean
            strength = count * self.prior.mean_precision / (count + self.prior.mean_precision)
            scatter += (weights * centred.T) @ centred + strength * np.outer(shift, shift)
        return count, scatter

    def _evidence(self, statistics: tuple[float, FloatArray], child: int, parent_sets: BoolArray) -> FloatArray:
        count, scatter = statistics
        result = np.empty(len(parent_sets))
        sizes = parent_sets.sum(axis=1)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            parents = np.nonzero(parent_sets[rows])[1].reshape(len(rows), size)
            family = np.concatenate([parents, np.full((len(rows), 1), child)], axis=1)
            factor = np.linalg.cholesky(scatter[family[:, :, None], family[:, None, :]])
            log_diagonal = 2.0 * np.log(np.diagonal(factor, axis1=1, axis2=2))
            freedom = self.degrees_of_freedom - self.num_variables + size + 1
            alpha_mu = self.prior.mean_precision
            constant = (
                -0.5 * count * math.log(math.pi)
                + 0.5 * math.log(alpha_mu / (count + alpha_mu))
                + gammaln((count + freedom) / 2)
                - gammaln(freedom / 2)
                + 0.5 * (freedom + size) * math.log(self.scale)
            )
            # log|R_family| = log|R_parents| + log of the child's conditional scatter, the last pivot
            result[rows] = (
                constant - 0.5 * log_diagonal[:, :-1].sum(axis=1) - 0.5 * (count + freedom) * log_diagonal[:, -1]
            )
        return result
