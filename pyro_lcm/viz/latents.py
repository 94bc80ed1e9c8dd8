"""Learned variables against true ones: after identification each learned one is a function of one true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.evaluation.alignment import align, correlation_matrix
from pyro_lcm.viz.style import BLUE, GREY, SEQUENTIAL, bare, new_figure, style

MAX_PANELS = 5
"""Most true variables for which all pairs of variables are scattered."""


def learned_against_true(
    learned: ArrayLike,
    true: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    true_names: Sequence[str] | None = None,
    points: int = 1500,
    permutation: Sequence[int] | None = None,
) -> Figure:
    """Draw learned against true causal variables, matched ones on the diagonal.

    Up to 5 true variables a scatter plot of each pair, with the absolute rank correlation; beyond, the matrix
    of these correlations.

    Args:
        learned: Learned variables, shape (N, d').
        true: True variables of the same observations, shape (N, d).
        names: Of the learned variables.
        true_names: Of the true variables.
        points: Most observations that are drawn.
        permutation: For each true variable its learned one (0-based, -1 for none); by default the matching
            that maximises the sum of absolute correlations.

    Returns:
        The figure.

    Raises:
        ValueError: If the shapes do not fit each other.
    """
    codes, factors = np.asarray(learned, dtype=float), np.asarray(true, dtype=float)
    correlations = np.abs(correlation_matrix(codes, factors, method="spearman"))
    partners = align(codes, factors).permutation if permutation is None else np.asarray(permutation)
    matched = [int(i) for i in partners if i >= 0]
    order = matched + [i for i in range(codes.shape[1]) if i not in matched]
    labels = [names[i] if names else f"ẑ{i + 1}" for i in order]
    true_labels = list(true_names) if true_names else [f"z{j + 1}" for j in range(factors.shape[1])]
    shown = correlations[order]
    with style():
        if max(len(order), len(true_labels)) > MAX_PANELS:
            return _matrix(shown, labels, true_labels)
        rows = np.random.default_rng(0).permutation(len(codes))[:points]
        return _scatter(codes[rows][:, order], factors[rows], shown, labels, true_labels)


def _scatter(
    codes: NDArray[np.float64],
    factors: NDArray[np.float64],
    correlations: NDArray[np.float64],
    labels: Sequence[str],
    true_labels: Sequence[str],
) -> Figure:
    height, width = len(labels), len(true_labels)
    figure = new_figure(1.15 * width + 0.5, 1.15 * height + 0.5)
    panels = figure.subplots(height, width, sharex="col", sharey="row", squeeze=False)
    for i in range(height):
        for j in range(width):
            axes = panels[i, j]
            on = i == j
            axes.plot(
                factors[:, j],
                codes[:, i],
                ".",
                markersize=1.6,
                markeredgewidth=0,
                alpha=0.5,
                color=BLUE if on else GREY,
                rasterized=True,
            )
            axes.text(
                0.05,
                0.97,
                f"{correlations[i, j]:.2f}",
                transform=axes.transAxes,
                va="top",
                fontsize=7,
                fontweight="bold" if on else "normal",
                color=BLUE if on else "#4d4d4d",
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
            )
            axes.set_xticks([])
            axes.set_yticks([])
            if i == height - 1:
                axes.set_xlabel(f"true {true_labels[j]}")
            if j == 0:
                axes.set_ylabel(f"learned {labels[i]}")
    return figure


def _matrix(correlations: NDArray[np.float64], labels: Sequence[str], true_labels: Sequence[str]) -> Figure:
    height, width = correlations.shape
    cell = min(0.38, 7.0 / max(height, width))
    figure = new_figure(max(3.0, cell * width + 1.4), max(2.4, cell * height + 0.8))
    axes = figure.subplots()
    image = axes.imshow(correlations, vmin=0, vmax=1, cmap=SEQUENTIAL)
    bare(axes)
    axes.set_xticks(range(width), true_labels, fontsize=min(7, 60 * cell / 2.6))
    axes.set_yticks(range(height), labels, fontsize=min(7, 60 * cell / 2.6))
    axes.tick_params(length=0)
    axes.set_xlabel("true variable")
    axes.set_ylabel("learned variable")
    if max(height, width) <= 12:
        for (i, j), value in np.ndenumerate(correlations):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=_on(float(value)))
    figure.colorbar(image, ax=axes, shrink=0.6, label="|rank correlation|")
    return figure


def _on(value: float) -> str:
    """A colour of text that can be read on a cell of the colour map."""
    return "white" if value > 0.6 else "#333333"
