"""Diagnostics of Markov chains for 0/1 quantities such as edges.

Draws of a 0/1 quantity have variance p (1 - p), so the Monte Carlo standard error of its probability is
sqrt(p (1 - p) / ess). The rank-normalised diagnostics of continuous quantities say nothing more here, because
ranks of two values are two values again. Quantities that every draw agrees on need a convention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pyro_lcm.discovery.arviz_compat import effective_sample_size
from pyro_lcm.discovery.scores import FloatArray

LARGEST_R_HAT = 1.01
"""R-hat above which chains are said to disagree (Vehtari et al., Bayesian Analysis 2021)."""
LEAST_ESS = 100.0
"""Effective number of draws a chain, below which errors of probabilities are not to be trusted (the same)."""
LEAST_PROBABILITY = 0.01
"""Quantities that are less probable, or as improbable, are not asked for an effective number of draws."""
_CHANCE = 1e-3
_LEAST_LENGTH = 8


@dataclass(frozen=True, eq=False)
class BinaryDiagnostics:
    """Probability of 0/1 quantities from draws, and how well it is known; arrays of one shape.

    Attributes:
        probability: Share of ones.
        mcse: Monte Carlo standard error of it.
        ess: Effective number of draws.
        r_hat: Split R-hat; 1 is agreement, above 1.01 chains disagree.
        limit: R-hat that chains of independent draws of this length pass by chance in one table of a thousand, and at
            least 1.01.
    """

    probability: FloatArray
    mcse: FloatArray
    ess: FloatArray
    r_hat: FloatArray
    limit: float = LARGEST_R_HAT


def binary_diagnostics(draws: ArrayLike, walker: ArrayLike | None = None) -> BinaryDiagnostics:
    """Probability, error, effective size and split R-hat of 0/1 quantities.

    Quantities that are constant need conventions. Over all draws: R-hat is 1, the effective size is the
    smallest among the other quantities (the number of draws if there is none), and the error is that of a
    probability one effective draw away from 0 or 1, about 1 / ess. Within each chain but not between them:
    R-hat is infinite and the effective size is the number of chains.

    Args:
        draws: (chain, draw, ...) zeros and ones.
        walker: (chain, draw) integers, which of the Markov chains that make up a chain a draw is from, each as long
            as the others up to one draw: they are chains of their own here, if they have 8 draws or more.

    Returns:
        Arrays of the remaining shape.

    Raises:
        ValueError: If there are fewer than 4 draws a chain.
    """
    values = np.asarray(draws, dtype=np.int8)
    if values.ndim < 2 or values.shape[1] < 4:
        raise ValueError(f"draws: got shape {values.shape}, expected (chain, draw, ...) with 4 draws or more")
    probability = values.mean(axis=(0, 1)).ravel()
    flat = _by_walker(values.reshape(*values.shape[:2], -1), walker)
    chains, length = flat.shape[:2]
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
    limit = _r_hat_by_chance(2 * chains, length // 2, flat.shape[2])
    return BinaryDiagnostics(
        probability.reshape(shape), mcse.reshape(shape), ess.reshape(shape), r_hat.reshape(shape), limit
    )


def is_settled(adjacency: ArrayLike, walker: ArrayLike | None, ess: float) -> bool:
    """Whether draws of graphs are enough: each edge that matters has effective draws, and chains agree.

    Args:
        adjacency: (chain, draw, d, d) zeros and ones.
        walker: As in :func:`binary_diagnostics`.
        ess: Effective number of draws that is asked for, all chains together.
    """
    found = binary_diagnostics(adjacency, walker)
    return bool(smallest_ess(found)[0] >= ess and found.r_hat.max() <= found.limit)


def smallest_ess(found: BinaryDiagnostics) -> tuple[float, tuple[int, ...]]:
    """The smallest effective number of draws among quantities that are neither rare nor nearly certain, and where."""
    matters = np.minimum(found.probability, 1.0 - found.probability) > LEAST_PROBABILITY
    sizes = np.where(matters, found.ess, np.inf)
    place = np.unravel_index(int(sizes.argmin()), sizes.shape)
    return float(sizes[place]), tuple(int(i) for i in place)


def _by_walker(flat: NDArray[np.int8], walker: ArrayLike | None) -> NDArray[np.int8]:
    """(chain * walkers, draws of a walker, n) of (chain, draw, n) values; as they are where walkers are short."""
    if walker is None:
        return flat
    walkers = np.asarray(walker)
    count = int(walkers.max()) + 1
    length = min(int(np.bincount(row, minlength=count).min()) for row in walkers)
    if count == 1 or length < _LEAST_LENGTH:
        return flat
    parts = [row[index == k][:length] for row, index in zip(flat, walkers, strict=True) for k in range(count)]
    return np.stack(parts)


def _r_hat_by_chance(chains: int, length: int, quantities: int) -> float:
    """R-hat of independent draws that is passed with the probability of chance, over all quantities."""
    if chains < 2 or length < 2:
        return LARGEST_R_HAT
    level = stats.f.isf(_CHANCE / max(1, quantities), chains - 1, chains * (length - 1))
    return max(LARGEST_R_HAT, float(np.sqrt((length - 1 + level) / length)))


def _split_r_hat(draws: NDArray[np.generic]) -> FloatArray:
    """R-hat of (chain, draw, n) values with each chain cut in halves (Gelman et al., BDA3, section 11.4)."""
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]]).astype(np.float64)
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt((half - 1) / half + between / within))
