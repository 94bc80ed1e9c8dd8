"""What an intervention changed: distributions before and after."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from pyro_lcm.viz.style import BLUE, GREY, RED, new_figure, style


def before_after(
    before: ArrayLike,
    after: ArrayLike,
    names: Sequence[str],
    *,
    changed: Collection[str] = (),
    columns: int = 4,
    most: int = 16,
) -> Figure:
    """Draw the distribution of each quantity before and after an intervention.

    Args:
        before: Shape (N, k).
        after: The same shape.
        names: Of the k quantities.
        changed: Names of what was set by the intervention; these are marked.
        columns: Panels in a row.
        most: Most panels; those that change most, in units of their standard deviation.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not fit.
    """
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if first.ndim != 2 or first.shape != second.shape or first.shape[1] != len(names):
        raise ValueError(f"before, after: got shapes {first.shape} and {second.shape}, expected both (N, {len(names)})")
    shown = list(range(len(names)))
    if len(names) > most:
        change = np.abs(second - first).mean(axis=0) / np.maximum(first.std(axis=0), 1e-12)
        shown = sorted(np.argsort(-change, kind="stable")[:most].tolist())
    across = min(columns, len(shown))
    down = -(-len(shown) // across)
    with style():
        figure = new_figure(1.65 * across + 0.2, 1.3 * down + 0.45)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, k in zip(panels, shown, strict=False):
            a, b = first[:, k], second[:, k]
            low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
            bins = np.linspace(low, high if high > low else low + 1, 41)
            axes.hist(a, bins, color=GREY, alpha=0.55)
            ceiling = axes.get_ylim()[1]
            mark = names[k] in changed
            if np.ptp(b) < 1e-3 * max(np.ptp(a), 1e-12):
                axes.axvline(float(b.mean()), color=RED, linewidth=1.5)
            else:
                axes.hist(b, bins, histtype="step", color=BLUE, linewidth=1.2)
                ceiling = max(ceiling, axes.get_ylim()[1])
            axes.set_ylim(0, ceiling)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.locator_params(axis="x", nbins=4)
            axes.set_title(f"{names[k]} (set)" if mark else names[k], color=RED if mark else "#1a1a1a")
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        handles = [Patch(facecolor=GREY, alpha=0.55), Line2D([], [], color=BLUE), Line2D([], [], color=RED)]
        labels = ("before", "after", "set")
        shown_handles = len(handles) if changed else 2
        figure.legend(handles[:shown_handles], labels[:shown_handles], loc="outside lower center", ncols=shown_handles)
    return figure
