"""Which learned variable is which true one: the matching that all metrics share.

Identifiability holds up to permutation and elementwise reparameterisation (Brehmer et al., NeurIPS 2022,
arXiv 2203.16437), so a matching must be found before anything is compared. It is the assignment of learned to
true variables that maximises the sum of absolute Pearson correlations (Hungarian algorithm, any d).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.evaluation.arrays import as_code_pair

UNMATCHED = -1
"""Stands for no partner, in a permutation and in relabelled targets."""

Correlation = Literal["pearson", "spearman"]


@dataclass(frozen=True, eq=False)
class Alignment:
    """A matching of learned variables to true ones.

    Args:
        permutation: For each true variable the index (0-based) of its learned variable, -1 without one; (d,).
        signs: Sign of the correlation of each matched pair, 1 or -1; 0 without a partner; (d,).
        scores: Absolute correlation of each matched pair, in [0, 1]; 0 without a partner; (d,).
        learned_dim: Number of learned variables.
    """

    permutation: NDArray[np.int64]
    signs: NDArray[np.int64]
    scores: NDArray[np.float64]
    learned_dim: int

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Which true variables have a partner, shape (d,)."""
        matched: NDArray[np.bool_] = self.permutation != UNMATCHED
        return matched

    def relabel_targets(self, targets: ArrayLike) -> NDArray[np.int64]:
        """Rename learned intervention targets by the true variables.

        Args:
            targets: Targets, integers, shape (N,): 0 = none, i = learned variable i.

        Returns:
            Shape (N,): 0 = none, i = true variable i, -1 = a learned variable without a partner.

        Raises:
            ValueError: If a target is out of range.
        """
        indices = np.asarray(targets)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(f"targets: got shape {indices.shape}, dtype {indices.dtype}, expected integers (N,)")
        if len(indices) and (indices.min() < 0 or indices.max() > self.learned_dim):
            raise ValueError(
                f"targets: got {indices.min()} to {indices.max()}, expected 0 (none) to {self.learned_dim}"
            )
        names = np.full(self.learned_dim + 1, UNMATCHED, dtype=np.int64)
        names[0] = 0
        names[self.permutation[self.matched] + 1] = np.flatnonzero(self.matched) + 1
        renamed: NDArray[np.int64] = names[indices]
        return renamed

    def relabel_adjacency(self, adjacency: ArrayLike) -> NDArray[np.int8]:
        """Bring a learned graph into the order of the true variables.

        Args:
            adjacency: Learned graph, ``[parent, child]``, shape (d', d').

        Returns:
            Graph over the true variables, shape (d, d); one without a partner has no edges, and learned
            variables without a partner are left out.

        Raises:
            ValueError: If it is not an adjacency matrix of d' variables.
        """
        matrix = as_adjacency(adjacency)
        self._check_width(len(matrix), "adjacency")
        both = np.outer(self.matched, self.matched)
        return np.where(both, matrix[np.ix_(self.permutation, self.permutation)], 0).astype(np.int8)

    def _check_width(self, width: int, name: str) -> None:
        if width != self.learned_dim:
            raise ValueError(f"{name}: got {width} variables, expected {self.learned_dim}, as were aligned")


def correlation_matrix(learned: ArrayLike, true: ArrayLike, method: Correlation = "pearson") -> NDArray[np.float64]:
    """Correlate every learned with every true variable.

    Args:
        learned: Learned latents, shape (N, d'), finite.
        true: True latents of the same observations, shape (N, d), finite.
        method: ``pearson``, or ``spearman`` for the correlation of ranks.

    Returns:
        Correlations, shape (d', d), in [-1, 1]; those of a constant variable are 0.

    Raises:
        ValueError: If an argument is wrong.

    >>> correlation_matrix([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [[3.0], [2.0], [1.0]])
    array([[-1.],
           [ 0.]])
    """
    codes, factors = as_code_pair(learned, true)
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method: got {method!r}, expected 'pearson' or 'spearman'")
    if method == "spearman":
        from scipy.stats import rankdata  # slow to import

        codes, factors = rankdata(codes, axis=0), rankdata(factors, axis=0)
    return np.clip(_unit_columns(codes).T @ _unit_columns(factors), -1.0, 1.0)


def _unit_columns(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre each column and scale it to length one; a column that is constant to rounding becomes zero."""
    largest = np.abs(array).max(axis=0)
    scaled = array / np.where(largest > 0, largest, 1.0)  # squares of any scale stay in range
    centred = scaled - scaled.mean(axis=0)
    constant = np.abs(centred).max(axis=0) <= 8 * np.finfo(np.float64).eps
    centred[:, constant] = 0.0
    length = np.linalg.norm(centred, axis=0)
    unit: NDArray[np.float64] = centred / np.where(length > 0, length, 1.0)
    return unit


def match(similarity: ArrayLike) -> Alignment:
    """Match learned to true variables given how similar they are.

    Args:
        similarity: Signed similarities, shape (d', d), e.g. correlations; the sum of their absolute values
            over the matched pairs is maximised.

    Returns:
        The matching of min(d', d) pairs.

    Raises:
        ValueError: If the argument is not a finite matrix.

    >>> match([[0.1, -0.9], [0.8, 0.2]]).permutation
    array([1, 0])
    """
    signed = np.asarray(similarity, dtype=np.float64)
    if signed.ndim != 2 or not np.isfinite(signed).all():
        raise ValueError(f"similarity: got shape {signed.shape}, expected a finite matrix (d', d)")
    learned_dim, true_dim = signed.shape
    rows, columns = scipy.optimize.linear_sum_assignment(np.abs(signed), maximize=True)
    permutation = np.full(true_dim, UNMATCHED, dtype=np.int64)
    permutation[columns] = rows
    signs = np.zeros(true_dim, dtype=np.int64)
    signs[columns] = np.where(signed[rows, columns] < 0, -1, 1)
    scores = np.zeros(true_dim)
    scores[columns] = np.abs(signed[rows, columns])
    return Alignment(permutation, signs, scores, learned_dim)


def align(learned: ArrayLike, true: ArrayLike, method: Correlation = "pearson") -> Alignment:
    """Match learned to true variables by the correlation of one kind of latents.

    Args:
        learned: Learned latents, shape (N, d').
        true: True latents of the same observations, shape (N, d).
        method: ``pearson`` or ``spearman``.

    Returns:
        The matching.

    Raises:
        ValueError: If an argument is wrong.
    """
    return match(correlation_matrix(learned, true, method))


def align_latents(
    *,
    causal: tuple[ArrayLike, ArrayLike] | None = None,
    noise: tuple[ArrayLike, ArrayLike] | None = None,
) -> Alignment | None:
    """Match learned to true variables by causal variables and noise encodings together.

    The similarity of two variables is the mean of their absolute correlations in the two kinds of latents,
    so the one matching maximises the sum of the two mean correlation coefficients. Causal variables alone can
    be ambiguous, as those of a dense graph are correlated with each other; noise encodings are independent.

    Args:
        causal: Learned and true causal variables, shapes (N, d') and (N, d), if both are known.
        noise: Learned and true noise encodings, shapes (N, d') and (N, d), if both are known.

    Returns:
        The matching, with the signs of the causal variables (of the noise encodings without these), or None
        if nothing is known.

    Raises:
        ValueError: If an argument is wrong or the two kinds differ in their numbers of variables.
    """
    known = [
        correlation_matrix(*as_code_pair(*both, name, f"true {name}"))
        for name, both in (("causal", causal), ("noise", noise))
        if both is not None
    ]
    if not known:
        return None
    if any(matrix.shape != known[0].shape for matrix in known):
        shapes = " and ".join(str(matrix.shape) for matrix in known)
        raise ValueError(f"noise: got correlations of shapes {shapes}, expected as many noise encodings as variables")
    magnitude = np.mean([np.abs(matrix) for matrix in known], axis=0)
    return match(np.where(known[0] < 0, -magnitude, magnitude))
