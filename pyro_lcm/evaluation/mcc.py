"""Mean correlation coefficient (MCC) of learned and true latents under a matching."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pyro_lcm.evaluation.alignment import Alignment, Correlation, correlation_matrix


def mean_correlation(
    learned: ArrayLike, true: ArrayLike, alignment: Alignment, method: Correlation = "pearson"
) -> float:
    """Average the absolute correlation of the matched pairs over the true variables.

    Args:
        learned: Learned latents, shape (N, d').
        true: True latents of the same observations, shape (N, d).
        alignment: The matching.
        method: ``pearson``, or ``spearman``, which is blind to monotone reparameterisations.

    Returns:
        The MCC, in [0, 1]; a true variable without a partner counts as 0.

    Raises:
        ValueError: If an argument is wrong or does not fit the matching.

    >>> from pyro_lcm.evaluation.alignment import align
    >>> true = np.array([[0.0, 1.0], [1.0, 1.5], [2.0, -3.0]])
    >>> learned = -true[:, ::-1]
    >>> round(mean_correlation(learned, true, align(learned, true)), 6)
    1.0
    """
    correlation = np.abs(correlation_matrix(learned, true, method))
    expected = (alignment.learned_dim, len(alignment.permutation))
    if correlation.shape != expected:
        raise ValueError(f"alignment: got one of shape {expected}, expected {correlation.shape}")
    matched = alignment.matched
    total = correlation[alignment.permutation[matched], np.flatnonzero(matched)].sum()
    return float(total / len(alignment.permutation))
