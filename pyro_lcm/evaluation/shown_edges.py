"""Whether pairs show the edges of a graph, by what interventions redrew.

Over the pairs whose target is a child, its redrawn noise encoding depends on each of its parents (Brehmer, de Haan,
Lippe, Cohen, NeurIPS 2022, arXiv 2203.16437). Few pairs show weak edges seldom, whether these are there or not; so it
counts, too, what the model says of an edge, which was fitted to more pairs.
"""

from __future__ import annotations

from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pyro_lcm.identify.linear_mechanisms import edge_strengths

Array = NDArray[np.float64]

LEVEL = 0.01
"""Of tests of edges."""


def shown_together(
    noise: Array, redrawn: Array, target: NDArray[np.int64], causal: Array, adjacency: NDArray[np.int8], more: float
) -> set[tuple[int, int]]:
    """Edges, (parent, child), that pairs show where all linear mechanisms are fitted together.

    The pairs of a child alone say little of an edge from a cause that the others nearly determine; those of other
    variables, which it goes on to, say more. What is claimed is believed, too, where these pairs agree with it and the
    pairs of the fit, ``more`` times as many, show it by as much as it takes where causes are estimates themselves
    (:func:`pyro_lcm.identify.parents.sparse_regression`): true edges that a quarter of the pairs did not show had 4 to
    9 standard errors in fits of 1,000 pairs of four variables and 6,000 of 16, false ones 4.7 at most.
    """
    parents = {i: np.flatnonzero(column).tolist() for i, column in enumerate(adjacency.T)}
    order: list[int] = list(TopologicalSorter(parents).static_order())
    # e = (I + W) S z + c, z in units of S; exact where solution functions are affine.
    design = np.column_stack([causal, np.ones(len(causal))])
    slopes = np.linalg.lstsq(design, noise, rcond=None)[0][:-1].T
    direct = np.where(adjacency.T != 0, slopes / slopes.diagonal(), 0.0)
    strengths = edge_strengths(noise, redrawn, target, order, direct)
    if strengths is None:
        return set()
    least = float(stats.chi2.isf(LEVEL, 1))
    of_fit = more * np.bincount(target, minlength=len(adjacency) + 1)[1:]
    enough = 2 * (np.log(np.maximum(of_fit, 1)) + 2 * np.log(max(len(adjacency) - 1, 1)))
    believed = (more * strengths.claimed > enough) & (strengths.off < least) & (more > 1)
    return {(int(i), int(j)) for i, j in np.argwhere((strengths.shown > least) | believed)}


def features(values: Array) -> Array:
    """Smooth, kinked and saturating functions of each column."""
    size = np.abs(values)
    return np.concatenate([values, size - size.mean(0), np.tanh(2 * values)], 1)


def affine(old: Array, new: Array, causal: Array, values: Array) -> tuple[Array, Array]:
    """Shift and scale, (n,) each, of affine solution functions, e = shift + scale z, from both sides' e and z.

    The scale is infinite where these are the same.
    """
    apart = values - causal
    same = np.abs(apart) < 1e-6
    scale = (new - old) / np.where(same, np.inf, apart)
    return np.where(same, new, new - scale * values), np.where(same, np.inf, np.abs(scale))


def as_claimed(new: Array, shift: Array, scale: Array, part: Array | None) -> bool:
    """Whether redrawn noise encodings (n,) depend on a parent as their solution function says that they do.

    A test of one number, where those of :func:`shown` are of all functions of the parent: without its part in the
    shift, what is left of the redrawn noise encodings has a slope of 1 in that part if it is right, and of 0 if there
    is no edge. In units of the scale, which may depend on causes.
    """
    if part is None:
        return False
    weight = np.where(scale > 0, 1 / np.maximum(scale, 1e-12), 0.0)
    design = np.column_stack([part, np.ones(len(part))]) * weight[:, None]
    response = np.where(weight > 0, (new - shift + part) * weight, 0.0)
    (slope, middle), *_ = np.linalg.lstsq(design, response, rcond=None)
    rest = response - design @ [slope, middle]
    spread = np.linalg.pinv(design.T @ design)[0, 0] * (rest @ rest) / max((weight > 0).sum() - 2, 1)
    return bool(slope > stats.norm.isf(LEVEL) * np.sqrt(spread) > 0)


def shown(causal: Array, new: Array, shift: Array, parents: NDArray[np.int64], parent: int, linear: bool) -> bool:
    """Whether pairs show the edge from a parent, or cannot be expected to show what they do not contradict.

    F tests, at :data:`LEVEL`, of the parent's functions given the other parents: of the redrawn noise encodings
    themselves; and where these say nothing, of what the solution function leaves of them, which has to be nothing,
    while what it claims of the parent has to be large enough to be seen.

    Args:
        causal: (n, d) causal variables before, over the pairs of the child.
        new: (n,) its redrawn noise encodings.
        shift: (n,) what the solution function makes of its parents.
        parents: of the child.
        parent: the one in question.
        linear: whether mechanisms are.
    """
    standard = (causal - causal.mean(0)) / np.maximum(causal.std(0), 1e-12)
    functions = (lambda values: values) if linear else features
    rest = functions(standard[:, [p for p in parents if p != parent]])
    without = np.column_stack([rest, np.ones(len(new))])
    both = np.column_stack([without, functions(standard[:, [parent]])])
    added, freedom = both.shape[1] - without.shape[1], len(new) - both.shape[1]
    if freedom < 1:
        return False

    def left(response: Array) -> tuple[float, float]:
        first, second = (response - x @ np.linalg.lstsq(x, response, rcond=None)[0] for x in (without, both))
        return float(first @ first), float(second @ second)

    without_it, with_it = left(new)
    variance = max(with_it / freedom, 1e-300)
    least = added * float(stats.f.isf(LEVEL, added, freedom))
    if without_it - with_it > least * variance:
        return True
    claim, wrong = (np.subtract(*left(response)) for response in (shift, new - shift))
    return bool(claim > 2 * least * variance and wrong < least * variance)
