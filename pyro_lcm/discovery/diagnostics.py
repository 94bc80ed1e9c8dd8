"""Diagnostics of Markov chains for 0/1 quantities such as edges.

Draws of a 0/1 quantity have variance p (1 - p), so the Monte Carlo standard error of its probability is
sqrt(p (1 - p) / ess). The rank-normalised diagnostics of continuous quantities say nothing more here, because
ranks of two values are two values again. Quantities that every draw agrees on need a convention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.arviz_compat import effective_sample_size
from pyro_lcm.discovery.scores import FloatArray


@dataclass(frozen=True, eq=False)
class BinaryDiagnostics:
    """Probability of 0/1 quantities from draws, and how well it is known; arrays of one shape.

    Attributes:
        probability: Share of ones.
        mcse: Monte Carlo standard error of it.
        ess: Effective number of draws.
        r_hat: Split R-hat; 1 is agreement, above 1.01 chains disagree.
    """

    probability: FloatArray
    mcse: FloatArray
    ess: FloatArray
    r_hat: FloatArray


def binary_diagnostics(draws: ArrayLike) -> BinaryDiagnostics:
    """Probability, error, effective size and split R-hat of 0/1 quantities.

    Quantities that are constant need conventions. Over all draws: R-hat is 1, the effective size is the
    smallest among the other quantities (the number of draws if there is none), and the error is that of a
    probability one effective draw away from 0 or 1, about 1 / ess. Within each chain but not between them:
    R-hat is infinite and the effective size is the number of chains.

    Args:
        draws: (chain, draw, ...) zeros and ones.

    Returns:
        Arrays of the remaining shape.

    Raises:
        ValueError: If there are fewer than 4 draws a chain.
    """
    values = np.asarray(draws, dtype=np.int8)
    if values.ndim < 2 or values.shape[1] < 4:
        raise ValueError(f"draws: got shape {values.shape}, expected (chain, draw, ...) with 4 draws or more")
    chains, length = values.shape[:2]
    flat = values.reshape(chains, length, -1)
    probability = flat.mean(axis=(0, 1))
    between = np.ptp(flat.mean(axis=1), axis=0) > 0
    within = (np.ptp(flat, axis=1) > 0).any(axis=0)
    ess = np.full(flat.shape[2], float(chains * length))
    if within.any():
        ess[within] = effective_sample_size(flat[:, :, within])
    ess[between & ~within] = chains
    constant = ~between & ~within
    if not constant.all():
        ess[constant] = ess[~constant].min()
    r_hat = np.ones(flat.shape[2])
    r_hat[within] = _split_r_hat(flat[:, :, within])
    r_hat[between & ~within] = np.inf
    mcse = np.sqrt(probability * (1 - probability) / ess)
    one_off = 1 / (ess[constant] + 1)
    mcse[constant] = np.sqrt(one_off * (1 - one_off) / ess[constant])
    shape = values.shape[2:]
    return BinaryDiagnostics(*(a.reshape(shape) for a in (probability, mcse, ess, r_hat)))


def _split_r_hat(draws: NDArray[np.generic]) -> FloatArray:
    """R-hat of (chain, draw, n) values with each chain cut in halves (Gelman et al., BDA3, section 11.4)."""
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]]).astype(np.float64)
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt((half - 1) / half + between / within))
