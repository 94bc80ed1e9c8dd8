"""Whether mixing and mechanisms are linear, and which pairs then belong to no intervention.

Where both are linear the differences of pairs lie on straight lines, up to noise that is the same for every target. A
few pairs may be on none: a reading was wrong, or sides of different systems were put together. These differ as
observations do that have nothing to do with each other, in all directions; pairs that a bent line leaves aside differ
in few, and are many.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.identify.directions import Array, Directions, find_directions
from pyro_lcm.identify.noisy_directions import NoisyDirections, fit_noisy_directions
from pyro_lcm.identify.shared_subspace import SharedDirections
from pyro_lcm.recipes.initialize import NOISE_FREE

__all__ = ["Linearity", "PairsOffLines", "judge_linearity", "unrelated_changes"]

logger = logging.getLogger(__name__)

MAX_CURVATURE = 1.2
"""Curvature (:class:`~pyro_lcm.identify.noisy_directions.NoisyDirections`) up to which lines are straight."""
MAX_UNEVENNESS = 1.5
"""Unevenness of lines up to which they are."""
MAX_UNRELATED = 0.15
"""Share of pairs that may belong to no intervention; bent lines leave more aside."""
MIN_SPREAD = 0.45
"""How far these differ, in units of unrelated observations, from which on they are not of a bent line.

Wrong readings, heavy tails and pairs put together wrongly had .56 and more, bent lines .2 to .6, with shares of .2 and
more; a single bent line of sixteen would leave .06 aside that differ in two directions."""
_SAMPLE = 2000
"""Differences that are compared with each other before lines are searched for."""
_FAR = 0.01
"""sin^2 of the angle between a difference and the nearest other one, from which on noise keeps them off their lines."""
LEAST_UNRELATED = 0.002
"""Share of pairs that is worth leaving out."""


@dataclass(frozen=True)
class PairsOffLines:
    """Tells the pairs that belong to no intervention where all is linear.

    Attributes:
        directions: (k, D) directions of whitened x that the sides share.
        lines: of differences along these, with a class for those that are on none.
    """

    directions: Array
    lines: NoisyDirections

    def among(self, before: Array, after: Array) -> NDArray[np.bool_]:
        """Which of (N, D) whitened pairs these are, (N,)."""
        return self.lines.unrelated((after - before) @ self.directions.T)


@dataclass(frozen=True)
class Linearity:
    """What the lines of differences say.

    Attributes:
        linear: whether mixing and mechanisms are linear.
        off_lines: tells the pairs that belong to no intervention; None if there are hardly any.
    """

    linear: bool
    off_lines: PairsOffLines | None = None


def judge_linearity(
    before: Array, after: Array, shared: SharedDirections | None, *, share: float = 1.0, seed: int = 0
) -> Linearity:
    """Judge by the differences of standardised pairs.

    Args:
        before: (N, D) observations.
        after: (N, D), the other sides.
        shared: directions that they share; None if they are not white.
        share: part of the pairs with one target; where there are others, none is taken to belong to no intervention.
        seed: of the search for lines.
    """
    found: Directions | None = None
    if _may_be_on_lines(after - before, share):
        found = find_directions(after - before, share=share, seed=seed)
        if found.residual < NOISE_FREE:
            return Linearity(linear=True)
    if shared is None or shared.number == 0:
        return Linearity(linear=False)
    directions = shared.directions[: shared.number]
    differences = (after - before) @ directions.T
    if found is not None and share == 1 and shared.number == before.shape[1]:  # only turned: so are the lines
        start = replace(found, directions=found.directions @ directions.T)
    else:
        start = find_directions(differences, seed=seed)
    unrelated = 2 * np.eye(shared.number) if share == 1 else None
    lines = fit_noisy_directions(differences, start, unrelated=unrelated)
    logger.debug(
        "%d of %d directions of x are shared by both sides; differences are off straight lines by %.2f of the noise at"
        " most, %.1f times as far from one as from another; %.1f %% of the pairs are on none",
        shared.number,
        before.shape[1],
        lines.curvature,
        lines.unevenness,
        100 * lines.unrelated_share,
    )
    straight = lines.curvature < MAX_CURVATURE and lines.unevenness < MAX_UNEVENNESS
    if lines.unrelated_share < LEAST_UNRELATED:
        return Linearity(straight)
    linear = straight and _unrelated_are_few(lines, differences)
    return Linearity(linear, PairsOffLines(directions, lines) if linear else None)


def _may_be_on_lines(differences: Array, share: float) -> bool:
    """Whether differences have others along the same line, as all would without noise.

    Where there are many more directions than variables, noise in these rules it out in far less time than a search.
    """
    lengths = np.linalg.norm(differences, axis=1)
    if not lengths.any():
        return True  # of nothing the search has to say so
    some = differences[lengths > 0.1 * np.median(lengths[lengths > 0])][:_SAMPLE]
    unit = some / np.linalg.norm(some, axis=1, keepdims=True)
    nearness = np.square(unit @ unit.T)
    np.fill_diagonal(nearness, 0.0)
    return bool(np.quantile(1 - nearness.max(1), share / 2) < _FAR)


def unrelated_changes(differences: Array) -> NDArray[np.bool_]:
    """Which differences of noise encodings, of variance one each, belong to no intervention on one variable.

    Args:
        differences: (N, d), of a model in which all is linear.

    Returns:
        (N,); none if they are many, or differ in few directions: then it is the model that is wrong.
    """
    dim = differences.shape[1]
    axes = Directions(np.eye(dim), np.full(dim, 1 / dim), 0.0)
    lines = fit_noisy_directions(differences, axes, unrelated=2 * np.eye(dim))
    if lines.unrelated_share < LEAST_UNRELATED or not _unrelated_are_few(lines, differences):
        return np.zeros(len(differences), dtype=bool)
    return lines.unrelated(differences)


def _unrelated_are_few(lines: NoisyDirections, differences: Array) -> bool:
    aside = differences[lines.unrelated(differences)]
    spread = float(np.square(aside).mean() / 2) if len(aside) else 0.0
    return lines.unrelated_share < MAX_UNRELATED and spread > MIN_SPREAD
