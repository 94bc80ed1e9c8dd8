"""Whether each group of latents says all of its causal variable and nothing of the others: R2 and Spearman matrices.

For group i of latents and variable j a regression is fitted on half of the rows and predicts variable j in the others.
Its R2 makes one matrix, the rank correlation of prediction and truth another. Of each, "diag" is the mean of the
diagonal, and "sep" the mean over groups of the largest entry beside it: 1 and 0 are best (CITRIS: Lippe et al., ICML
2022, arXiv 2202.03169, section 6). The rows should be of variables that are independent of each other; else a right
group tells of others through its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingRegressor

Array = NDArray[np.float64]

__all__ = ["GroupScores", "group_scores", "temporal_shd"]

_MIN_ROWS = 100


@dataclass(frozen=True)
class GroupScores:
    """How well groups of latents predict variables.

    Attributes:
        r2: (K + 1, K) R2 of each variable, column, predicted from each group, row, not below 0; row 0 is of the latents
            of no variable.
        spearman: (K + 1, K) rank correlations of prediction and truth, likewise not below 0.
    """

    r2: Array
    spearman: Array

    @property
    def r2_diag(self) -> float:
        """Mean R2 of a variable predicted from its own group."""
        return _diag(self.r2)

    @property
    def r2_sep(self) -> float:
        """Largest R2 of another variable predicted from a group, the mean over groups."""
        return _sep(self.r2)

    @property
    def spearman_diag(self) -> float:
        """As :attr:`r2_diag`, of rank correlations."""
        return _diag(self.spearman)

    @property
    def spearman_sep(self) -> float:
        """As :attr:`r2_sep`, of rank correlations."""
        return _sep(self.spearman)


def group_scores(
    latents: ArrayLike, assignment: ArrayLike, z: ArrayLike, variables: ArrayLike, *, seed: int = 0
) -> GroupScores:
    """Score groups of latents against true variables.

    Args:
        latents: Latents, shape (N, M).
        assignment: The variable, 1 to K, or 0 for none, of each latent, shape (M,).
        z: True variables, shape (N, n); of a variable of several columns the mean counts.
        variables: Which variable each column belongs to, 0 for none, shape (n,); K is the largest.
        seed: Of which rows are predicted.

    Returns:
        The matrices. A group without latents predicts nothing: 0.

    Raises:
        ValueError: If shapes do not fit, or there are fewer than 100 rows.

    >>> z = np.random.default_rng(0).normal(size=(1000, 2))
    >>> scores = group_scores(z**3, [1, 2], z, [1, 2])
    >>> round(scores.r2_diag, 2), scores.r2_sep < 0.05
    (0.99, True)
    """
    codes, truth = np.asarray(latents, dtype=np.float64), np.asarray(z, dtype=np.float64)
    groups, columns = np.asarray(assignment), np.asarray(variables)
    if codes.ndim != 2 or truth.ndim != 2 or len(codes) != len(truth) or len(codes) < _MIN_ROWS:
        raise ValueError(
            f"latents, z: got shapes {codes.shape} and {truth.shape}, expected (N, M) and (N, n), N of at least"
            f" {_MIN_ROWS}"
        )
    if groups.shape != codes.shape[1:] or columns.shape != truth.shape[1:]:
        raise ValueError(
            f"assignment, variables: got shapes {groups.shape} and {columns.shape}, expected {codes.shape[1:]} and"
            f" {truth.shape[1:]}"
        )
    order = np.random.default_rng(seed).permutation(len(codes))
    fit, test = np.array_split(order, 2)
    number = int(columns.max())
    r2, spearman = np.zeros((number + 1, number)), np.zeros((number + 1, number))
    for i in range(number + 1):
        own = codes[:, groups == i]
        for j in range(1, number + 1):
            pairs = [_predicted(own, truth[:, c], fit, test) for c in np.flatnonzero(columns == j)]
            if own.shape[1] and pairs:
                r2[i, j - 1] = max(0.0, float(np.mean([_r2(*pair) for pair in pairs])))
                spearman[i, j - 1] = max(0.0, float(np.mean([_rank_correlation(*pair) for pair in pairs])))
    return GroupScores(r2, spearman)


def temporal_shd(found: ArrayLike, truth: ArrayLike) -> int:
    """Edges from one frame to the next that are in one graph and not in the other.

    Time gives edges their direction, so none can be reversed.

    Args:
        found: ``[parent, child]``, shape (K, K), 0 and 1.
        truth: Likewise.

    Raises:
        ValueError: If shapes differ.

    >>> temporal_shd([[1, 0], [1, 0]], [[1, 1], [0, 0]])
    2
    """
    a, b = np.asarray(found).astype(bool), np.asarray(truth).astype(bool)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"found: got shape {a.shape}, expected that of truth, {b.shape}, (K, K)")
    return int((a != b).sum())


def _predicted(
    features: Array, response: Array, fit: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[Array, Array]:
    if not features.shape[1]:
        return np.zeros(len(test)), response[test]
    regressor = HistGradientBoostingRegressor(random_state=0).fit(features[fit], response[fit])
    return regressor.predict(features[test]), response[test]


def _r2(prediction: Array, truth: Array) -> float:
    total = np.square(truth - truth.mean()).sum()
    return float(1 - np.square(truth - prediction).sum() / total) if total > 0 else 0.0


def _rank_correlation(prediction: Array, truth: Array) -> float:
    a, b = (rankdata(values) for values in (prediction, truth))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _diag(matrix: Array) -> float:
    return float(np.diagonal(matrix[1:]).mean())


def _sep(matrix: Array) -> float:
    own = matrix[1:].copy()
    if len(own) == 1:
        return 0.0
    np.fill_diagonal(own, -np.inf)
    return float(own.max(1).mean())
