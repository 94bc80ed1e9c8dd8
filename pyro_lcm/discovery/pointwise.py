"""The likelihood of each row given a drawn graph and drawn mechanisms, for comparisons by leaving rows out (az.loo).

Every score by name is a Bayesian regression of each variable on features of its parents with a normal-inverse-gamma
prior (`scores.linear_gaussian`); BGe is the one with coefficients N(0, s2 / t), an intercept N(0, s2 / alpha_mu) and s2
~ InvGamma((alpha_w - d + p + 1) / 2, t / 2). Parameters are drawn from their posterior given the graph, and

    log_likelihood[draw, row] = sum over variables of log N(x | features b, s2),

without the variables that were a target of a perfect intervention in the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pyro_lcm.discovery.graph_data import BoolArray, FloatArray
from pyro_lcm.discovery.scores.base import CachedScore
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianScore, Mechanism, regression_evidence
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore

MOST_ENTRIES = 50_000_000
"""Most draws times rows: 0.4 GB."""


@dataclass(frozen=True, eq=False)
class _Regression:
    """A variable given its parents in some rows: features, and priors of which one is drawn."""

    design: FloatArray
    precisions: list[FloatArray]
    shape: float
    rate: float


def row_log_likelihood(score: CachedScore, graphs: NDArray[np.int8], rng: np.random.Generator) -> FloatArray:
    """Log likelihood of each row under drawn graphs and parameters.

    Args:
        score: BGe, linear or nonlinear.
        graphs: (n, d, d) draws.
        rng: Source of randomness.

    Returns:
        (n, rows) nats.

    Raises:
        ValueError: If the score is another one, weighs rows, or there are more than 50 million entries.
    """
    data = score.data
    if not isinstance(score, BGeScore | LinearGaussianScore | NonlinearScore):
        raise ValueError(
            f"score: got {type(score).__name__}, expected bge, linear or nonlinear for a likelihood of rows"
        )
    if data.weights is not None:
        raise ValueError("weights: got some, expected none for a likelihood of rows")
    if len(graphs) * len(data.values) > MOST_ENTRIES:
        raise ValueError(
            f"draws: {len(graphs)} of {len(data.values)} rows, expected at most {MOST_ENTRIES} likelihoods together"
        )
    total = np.zeros((len(graphs), len(data.values)))
    for child in range(data.num_variables):
        sets, inverse = np.unique(graphs[:, :, child] != 0, axis=0, return_inverse=True)
        for number, parents in enumerate(sets):
            drawn = np.flatnonzero(inverse.ravel() == number)
            for rows, _ in data.row_groups(child):
                if len(rows):
                    regression = _regression(score, data.values[rows], parents)
                    total[np.ix_(drawn, rows)] += _drawn(regression, data.values[rows, child], len(drawn), rng)
    return total


def _regression(score: CachedScore, values: FloatArray, parents: BoolArray) -> _Regression:
    index = np.flatnonzero(parents)
    if isinstance(score, NonlinearScore):
        prior = score.prior
        columns = score.columns(index[None])[0]
        grid = prior.signal_to_noise if len(index) else prior.signal_to_noise[:1]
        precisions = [score.prior_precision(len(index), value) for value in grid]
        return _Regression(score.design(values)[:, columns], precisions, prior.noise_shape, prior.noise_rate)
    design = np.column_stack([np.ones(len(values)), values[:, index]])
    if isinstance(score, BGeScore):
        design = design - np.append(0.0, np.full(len(index), score.prior.mean))
        precision = np.append(score.prior.mean_precision, np.full(len(index), score.scale))
        shape = (score.degrees_of_freedom - score.num_variables + len(index) + 1) / 2
        return _Regression(design, [precision], shape, score.scale / 2)
    assert isinstance(score, LinearGaussianScore)
    own = score.prior
    precision = np.append(own.intercept_precision, np.full(len(index), own.coefficient_precision))
    return _Regression(design, [precision], own.noise_shape, own.noise_rate)


def _drawn(regression: _Regression, values: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """(draws, rows) log densities under draws of the parameters."""
    x = regression.design
    gram, moment, square = x.T @ x, x.T @ values, float(values @ values)
    evidence = [
        float(regression_evidence(gram[None], moment[None], square, len(x), p, regression.shape, regression.rate)[0])
        for p in regression.precisions
    ]
    chosen = rng.choice(len(evidence), size=draws, p=np.exp(np.array(evidence) - logsumexp(evidence)))
    result = np.empty((draws, len(values)))
    for number in np.unique(chosen):
        which = np.flatnonzero(chosen == number)
        precision = gram + np.diag(regression.precisions[number])
        mean = np.asarray(np.linalg.solve(precision, moment), dtype=np.float64)
        rate = regression.rate + 0.5 * (square - float(moment @ mean))
        mechanism = Mechanism(mean, precision, regression.shape + len(x) / 2, rate)
        weights, variance = mechanism.draw_with_variance(len(which), rng)
        rest = values - weights @ x.T
        result[which] = -0.5 * (np.log(2 * np.pi * variance) + rest**2 / variance)
    return result
