"""One look for all figures, without pyplot and its global state.

Colours are those of Okabe and Ito (2008), which people with colour-blindness can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from pyro_lcm.storage.text_files import DRAWN_BY, replacing
from pyro_lcm.viz.shown_figure import ShownFigure

BLACK, ORANGE, SKY, GREEN = "#1a1a1a", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, LIGHT = "#8c8c8c", "#e6e6e6"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
SEQUENTIAL = "Blues"
"""Colour map of probabilities and correlations."""

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#4d4d4d",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "savefig.facecolor": "white",
    "text.parse_math": False,  # names of variables and columns are shown as they are, whatever signs are in them
}
_DPI = 200


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's look while this lasts; matplotlib's own settings come back."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that draws to memory and belongs to no window."""
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes) -> None:
    """Take away ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def log_scale(axes: Axes) -> None:
    """Give the vertical axis a logarithmic scale, with plain numbers on it."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file, beside its place first and then renamed.

    Args:
        figure: The figure.
        path: The file; its suffix (.png, .pdf, .svg) says the format.

    Returns:
        The path.
    """
    target = Path(path)
    with replacing(target) as partial, style():
        figure.savefig(partial, dpi=_DPI, metadata=_metadata(target))
    return target


def _metadata(target: Path) -> dict[str, str]:
    key = "Software" if target.suffix == ".png" else "Creator"
    return {key: DRAWN_BY}
