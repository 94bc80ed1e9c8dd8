"""DCI: disentanglement, completeness and informativeness (Eastwood and Williams, ICLR 2018).

As in the evaluation of Brehmer et al. (NeurIPS 2022, arXiv 2203.16437): one gradient boosting regressor with
default settings predicts each true factor from the learned code; its feature importances are the matrix R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.evaluation.arrays import as_code_pair

DEFAULT_ROWS = 10_000
_TEST_FRACTION = 0.1


@dataclass(frozen=True, eq=False)
class DCI:
    """The three scores and the importances they come from.

    Args:
        disentanglement: D in [0, 1]: does each code serve one factor only?
        completeness: C in [0, 1]: is each factor served by one code only?
        informativeness: Mean over factors of the R^2 of the prediction on held-out rows, at most 1.
        importance: R, importance of each code for each factor, shape (codes, factors); columns sum to 1, or
            to 0 where no code helps.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: NDArray[np.float64]


def disentanglement(importance: ArrayLike) -> float:
    """Compute ``D = sum_i rho_i (1 - H(R_i / sum_j R_ij) / log d)`` over the codes i.

    H is the entropy over the d factors and rho_i the share of code i in all importance. A code without
    importance has no weight; with one factor only there is nothing to be entangled with and D is 1.

    Args:
        importance: |R|, shape (codes, factors), non-negative.

    Returns:
        D in [0, 1]; 0 if no code is of any importance.

    Raises:
        ValueError: If the argument is not a finite non-negative matrix.

    >>> disentanglement([[1.0, 0.0], [0.0, 1.0]]), disentanglement([[0.5, 0.5], [0.5, 0.5]])
    (1.0, 0.0)
    """
    matrix = np.abs(np.asarray(importance, dtype=np.float64))
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise ValueError(f"importance: got shape {matrix.shape}, expected a finite matrix (codes, factors)")
    mass = matrix.sum(axis=1)
    if mass.sum() == 0:
        return 0.0
    share = matrix / np.where(mass > 0, mass, 1.0)[:, None]
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    largest = np.log(matrix.shape[1]) if matrix.shape[1] > 1 else 1.0
    score = float((mass / mass.sum()) @ (1.0 - entropy / largest))
    return min(max(score, 0.0), 1.0)


def completeness(importance: ArrayLike) -> float:
    """Compute ``C = sum_j rho_j (1 - H(R_.j / sum_i R_ij) / log d')`` over the factors j.

    H is the entropy over the d' codes and rho_j the share of factor j in all importance.

    Args:
        importance: |R|, shape (codes, factors), non-negative.

    Returns:
        C in [0, 1]; 0 if no code is of any importance.

    Raises:
        ValueError: If the argument is not a finite non-negative matrix.

    >>> completeness([[1.0, 1.0], [0.0, 0.0]])
    1.0
    """
    return disentanglement(np.asarray(importance, dtype=np.float64).T)


def dci(
    learned: ArrayLike,
    true: ArrayLike,
    *,
    rows: int = DEFAULT_ROWS,
    n_jobs: int = 1,
    seed: int = 0,
) -> DCI:
    """Score a learned code by DCI.

    Of ``min(rows, N)`` random rows nine tenths train the regressors and one tenth is held out for the
    informativeness.

    Args:
        learned: Learned code, shape (N, d').
        true: True factors of the same observations, shape (N, d).
        rows: Number of rows at most, at least 10. More rows give a higher D for a good code.
        n_jobs: Number of factors worked on at a time, in threads; -1 for all cores; the scores are the same.
        seed: Seed of the choice of rows and of the regressors.

    Returns:
        The scores.

    Raises:
        ValueError: If an argument is wrong or fewer than 10 rows came.
    """
    from joblib import Parallel, delayed

    codes, factors = as_code_pair(learned, true)
    if rows < 10 or len(codes) < 10:
        raise ValueError(f"rows: got {min(rows, len(codes))}, expected at least 10")
    chosen = np.random.default_rng(seed).permutation(len(codes))[: min(rows, len(codes))]
    n_test = max(2, round(_TEST_FRACTION * len(chosen)))
    test, train = chosen[:n_test], chosen[n_test:]
    fits = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_fit_factor)(codes, factors[:, factor], train, test, seed) for factor in range(factors.shape[1])
    )
    importance = np.stack([fit[0] for fit in fits], axis=1)
    return DCI(
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness=float(np.mean([fit[1] for fit in fits])),
        importance=importance,
    )


def _fit_factor(
    codes: NDArray[np.float64],
    factor: NDArray[np.float64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int,
) -> tuple[NDArray[np.float64], float]:
    """Return the importance of each code for one factor, and the R^2 on the test rows."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(random_state=seed).fit(codes[train], factor[train])
    return np.abs(model.feature_importances_), float(model.score(codes[test], factor[test]))
