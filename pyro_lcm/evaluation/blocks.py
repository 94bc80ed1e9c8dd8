"""How well a block of latents tells content, and style: R2 of a line and of kernel ridge regression.

The scores of von Kuegelgen et al. (NeurIPS 2021, arXiv 2106.04619, section 5): variables, standardised, are predicted
from the latents of a block in rows that were not fitted, and R2 is the mean over variables. Where style depends on
content, content tells some of it: :attr:`BlockScores.style_by_content` is how much, by the same regression on the
truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from pyro_lcm.evaluation.arrays import as_code_pair

Array = NDArray[np.float64]

__all__ = ["BlockScores", "block_scores", "kernel_ridge_r2", "linear_r2"]

_WIDTHS = (0.01, 0.03, 0.1, 0.5)
_PENALTIES = (1e-3, 0.03, 1.0)
_FIT = 1500
"""Rows that kernel ridge regression is fitted to at most: its cost is their number cubed."""
_MIN_ROWS = 60


@dataclass(frozen=True)
class BlockScores:
    """R2 of true content and style, predicted from a block of latents; each at most 1.

    Attributes:
        content: by kernel ridge regression.
        content_linear: by a line.
        style: by kernel ridge regression.
        style_linear: by a line.
        style_by_content: of style, from the true content, by kernel ridge regression: what a right block tells.
        style_by_content_linear: the same by a line.
    """

    content: float
    content_linear: float
    style: float
    style_linear: float
    style_by_content: float
    style_by_content_linear: float


def block_scores(latents: ArrayLike, content: ArrayLike, style: ArrayLike, *, seed: int = 0) -> BlockScores:
    """Score a block of latents that is to be content.

    Args:
        latents: Latents of the block, shape (N, k).
        content: True content, shape (N, n).
        style: True style, shape (N, m).
        seed: Of the rows that are fitted.

    Raises:
        ValueError: If shapes do not fit, there are fewer than 60 rows, or values are not finite.

    >>> content, style = np.random.default_rng(0).normal(size=(2, 3000, 1))
    >>> scores = block_scores(np.tanh(content), content, style)
    >>> scores.content > 0.99, scores.content_linear < 0.95, abs(scores.style) < 0.05
    (True, True, True)
    """
    return BlockScores(
        kernel_ridge_r2(latents, content, seed=seed),
        linear_r2(latents, content, seed=seed),
        kernel_ridge_r2(latents, style, seed=seed),
        linear_r2(latents, style, seed=seed),
        kernel_ridge_r2(content, style, seed=seed),
        linear_r2(content, style, seed=seed),
    )


def linear_r2(features: ArrayLike, response: ArrayLike, *, seed: int = 0) -> float:
    """R2 of a least-squares line, fitted to half of the rows, in the others: the mean over responses.

    Args:
        features: Shape (N, k).
        response: Shape (N, n).
        seed: Of the split.

    Raises:
        ValueError: As :func:`kernel_ridge_r2`.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> round(linear_r2(x, x @ [[1.0], [2.0]]), 6)
    1.0
    """
    x, y, fit, test = _prepared(features, response, seed)
    design = np.column_stack([x, np.ones(len(x))])
    weight = np.linalg.lstsq(design[fit], y[fit], rcond=None)[0]
    return _r2(design[test] @ weight, y[test])


def kernel_ridge_r2(features: ArrayLike, response: ArrayLike, *, seed: int = 0) -> float:
    """R2 of kernel ridge regression, with a Gaussian kernel, in rows that it has not seen: the mean over responses.

    Features are standardised; width and penalty are those that predict a third of the fitted rows best from the others.

    Args:
        features: Shape (N, k).
        response: Shape (N, n).
        seed: Of the split.

    Raises:
        ValueError: If shapes do not fit, there are fewer than 60 rows, or values are not finite.

    >>> x = np.random.default_rng(0).normal(size=(1000, 1))
    >>> kernel_ridge_r2(x, np.sin(2 * x)) > 0.99
    True
    """
    x, y, fit, test = _prepared(features, response, seed)
    fit = fit[:_FIT]
    inner, tried = np.split(fit, [2 * len(fit) // 3])
    best = max(
        (_r2(_kernel_ridge(x[inner], y[inner], x[tried], width, penalty), y[tried]), width, penalty)
        for width in _WIDTHS
        for penalty in _PENALTIES
    )
    return _r2(_kernel_ridge(x[fit], y[fit], x[test], *best[1:]), y[test])


def _kernel_ridge(x: Array, y: Array, new: Array, width: float, penalty: float) -> Array:
    """Predictions for ``new`` of y = f(x): k(x*, x) (K + penalty)^-1 (y - mean) + mean, k = exp(-width |x - x'|^2)."""
    kernel = np.exp(-width * cdist(x, x, "sqeuclidean"))
    kernel[np.diag_indices(len(x))] += penalty
    mean = y.mean(0)
    weight = cho_solve(cho_factor(kernel, overwrite_a=True), y - mean)
    parts = np.array_split(new, 1 + len(new) // 2000)
    return np.concatenate([np.exp(-width * cdist(part, x, "sqeuclidean")) @ weight for part in parts]) + mean


def _prepared(
    features: ArrayLike, response: ArrayLike, seed: int
) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Standardised features and responses, and the rows to fit and to test."""
    x, y = as_code_pair(features, response, "features", "response")
    if len(x) < _MIN_ROWS:
        raise ValueError(f"features: got {len(x)} rows, expected at least {_MIN_ROWS}")
    fit, test = np.array_split(np.random.default_rng(seed).permutation(len(x)), 2)
    sd = x[fit].std(0)
    return (x - x[fit].mean(0)) / np.where(sd > 0, sd, 1.0), y, fit, test


def _r2(prediction: Array, truth: Array) -> float:
    total = np.square(truth - truth.mean(0)).sum(0)
    varying = total > 0
    if not varying.any():
        return 0.0
    return float((1 - np.square(truth - prediction).sum(0)[varying] / total[varying]).mean())
