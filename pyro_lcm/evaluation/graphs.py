"""How far a learned graph is from the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pyro_lcm.causal.dag import as_adjacency


@dataclass(frozen=True)
class GraphDistance:
    """Distance of two graphs over the same variables.

    Args:
        shd: Structural Hamming distance: pairs of variables that are joined differently. A missing edge, an
            extra edge and a reversed edge count 1 each.
        edge_precision: Share of the learned edges that are true, direction included.
        edge_recall: Share of the true edges that were learned.
        edge_f1: Harmonic mean of the two.
    """

    shd: int
    edge_precision: float
    edge_recall: float
    edge_f1: float


def compare_graphs(learned: ArrayLike, true: ArrayLike) -> GraphDistance:
    """Compare a learned graph with the true one; bring it into the order of the true variables first.

    A ratio without a denominator is 1 if both graphs are empty and 0 otherwise.

    Args:
        learned: Learned graph, ``[parent, child]``, shape (d, d); it may be cyclic.
        true: True graph, ``[parent, child]``, shape (d, d).

    Returns:
        The distances.

    Raises:
        ValueError: If an argument is not an adjacency matrix or the sizes differ.

    >>> compare_graphs([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    GraphDistance(shd=1, edge_precision=0.0, edge_recall=0.0, edge_f1=0.0)
    """
    guess, truth = as_adjacency(learned, name="learned"), as_adjacency(true, name="true")
    if guess.shape != truth.shape:
        raise ValueError(f"learned: got shape {guess.shape}, expected {truth.shape}, as the true graph has")
    differs = guess != truth
    shd = int(np.triu(differs | differs.T).sum())
    n_guess, n_truth = int(guess.sum()), int(truth.sum())
    n_right = int((guess & truth).sum())
    if n_guess == n_truth == 0:
        return GraphDistance(shd, 1.0, 1.0, 1.0)
    return GraphDistance(
        shd=shd,
        edge_precision=n_right / n_guess if n_guess else 0.0,
        edge_recall=n_right / n_truth if n_truth else 0.0,
        edge_f1=2 * n_right / (n_guess + n_truth),
    )
