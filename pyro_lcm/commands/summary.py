"""Scores and graphs in words: what was measured, and what a good value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.commands.console import table

SCORES = {
    "disentanglement": ("disentanglement D (DCI)", ">= 0.98"),
    "completeness": ("completeness C (DCI)", ">= 0.98"),
    "mcc": ("correlation of variables (MCC)", ">= 0.99"),
    "mcc_spearman": ("rank correlation of variables", ">= 0.99"),
    "mcc_noise": ("correlation of noise encodings", ">= 0.99"),
    "intervention_accuracy": ("intervention accuracy", ">= 0.93"),
    "shd": ("graph distance (SHD)", "0"),
    "edge_f1": ("edge F1", "1"),
    "r2_diag": ("R2 of a variable by its own latents", ">= 0.95"),
    "r2_sep": ("R2 of another variable by them", "<= 0.05"),
    "spearman_diag": ("rank correlation by its own latents", ">= 0.97"),
    "spearman_sep": ("rank correlation of another by them", "<= 0.1"),
    "triplet_r2": ("R2 of variables of frames put together", ">= 0.9"),
    "interaction_accuracy": ("interactions of actions that are right", "1"),
    "temporal_shd": ("edges in time that are wrong", "0"),
    "r2_content": ("R2 of content by the latents of content", ">= 0.98"),
    "r2_content_linear": ("the same by a line", "-"),
    "r2_style": ("R2 of style by the latents of content", "as below"),
    "r2_style_linear": ("the same by a line", "as below"),
    "r2_style_by_content": ("R2 of style by true content", "-"),
    "r2_style_by_content_linear": ("the same by a line", "-"),
    "elbo": ("ELBO per pair (nats)", "higher is better"),
}
"""For each score that is shown: what it is called, and what a good value is."""


OF_PAIRS = tuple(
    name for name in SCORES if not name.startswith(("r2_", "spearman_", "temporal_", "interaction_", "triplet_"))
)
"""Those of models of pairs."""


def scores_table(scores: Mapping[str, float | None], only: Sequence[str] = OF_PAIRS) -> str:
    """Lay out scores with what a good value is; scores whose truth is missing are dashes.

    >>> print(scores_table({"mcc": 0.991, "shd": None}, ("mcc", "shd")))
    score                           value  good
    correlation of variables (MCC)  0.991  >= 0.99
    graph distance (SHD)            -      0
    """
    rows = [(SCORES[key][0], number_text(key, scores.get(key)), SCORES[key][1]) for key in only]
    return table(("score", "value", "good"), rows)


def number_text(key: str, value: float | None) -> str:
    """A score as text."""
    if value is None:
        return "-"
    return f"{value:.0f}" if key in ("shd", "temporal_shd") else f"{value:.3f}"


def edges_text(adjacency: ArrayLike, names: Sequence[str]) -> str:
    """A graph as text, the children of each variable together.

    >>> edges_text([[0, 1, 1], [0, 0, 0], [0, 0, 0]], ("a", "b", "c"))
    'a -> b, c'
    """
    matrix = as_adjacency(adjacency)
    parts = [
        f"{names[i]} -> {', '.join(names[j] for j in row.nonzero()[0])}" for i, row in enumerate(matrix) if row.any()
    ]
    return "; ".join(parts) or "no edges"
