"""How many causal variables, where nobody says: as many as x has directions in which it varies, less those of noise.

A sensor with noise of its own adds a direction that is new on the other side of every pair, whatever else moved; a
variable keeps its noise encoding unless it is the target (:mod:`pyro_lcm.identify.shared_subspace`). Directions are
left out only if they show that: nothing is shared by the two sides, and they move as much where the others hardly do.
In x without noise nothing moves by itself, so there every direction counts. What this cannot settle is said in the log,
with the way to settle it: a choice by held-out ELBO (:mod:`pyro_lcm.dim_choice`).
"""

from __future__ import annotations

import logging

import numpy as np

from pyro_lcm.identify.directions import Array
from pyro_lcm.identify.local_dimension import filled_share
from pyro_lcm.identify.shared_subspace import SharedDirections, chance_correlation

__all__ = ["count_variables"]

logger = logging.getLogger(__name__)

STILL = 0.1
"""Share of pairs, those whose shared directions move least, among which the others have to move to be noise."""
MIN_OWN_MOVE = 0.2
"""Squared move among still pairs, as a share of that of all pairs, from which on a direction moves by itself.

Noise had 0.3 at 500 pairs and 0.7 to 1 at 20,000; what is a function of the others has next to 0."""
NO_OWN_MOVE = 0.02
"""The same, below which a direction is no noise without a doubt: 16 linear variables without noise had 0.0004, of which
one was counted too few because so many whitened directions hide what it shares."""
LARGE_CHANCE = 0.2
"""Correlation that chance explains from which on a variable may hide among what is taken for noise."""
MIN_FILLED = 0.75
MAX_FILLED_DIM = 6
MIN_FILLED_ROWS = 2000
"""Below that share of filled directions x is taken for a bent sheet of fewer variables. Systems of two to five
variables had .83 to 1.04, three variables bent into six directions .5 to .7; eight variables look like fewer too."""


def count_variables(before: Array, after: Array, shared: SharedDirections, *, linear: bool, least: int = 1) -> int:
    """Number of causal variables to begin with, by default; a doubt about it is a warning in the log.

    Args:
        before: (N, D) whitened observations.
        after: (N, D) the other sides.
        shared: their directions.
        linear: whether mixing and mechanisms are linear, so that no direction is bent.
        least: smallest number that is possible, such as the largest target that is known.
    """
    rows, width = before.shape
    number = max(shared.number, least)
    moves = (after - before) @ shared.directions.T
    if shared.number == 0 or number >= width:
        number = width
    elif (own := _own_move(moves, number)) <= MIN_OWN_MOVE:
        if own > NO_OWN_MOVE:
            _warn(f"of {width} directions of x only {number} are alike on both sides, but the others do not look like"
                  " noise", width, range(number, width + 1))  # fmt: skip
        number = width
    else:
        logger.info(
            "x varies in %d directions, of which %d are shared by both sides of a pair; the others are noise: %d"
            " causal variables",
            width,
            number,
            number,
        )
        if chance_correlation(rows, width) > LARGE_CHANCE:
            _warn(f"{rows} pairs tell variables from the noise of {width} sensors only roughly, and {number} were"
                  " counted", number, range(max(1, number - 1), min(width, number + 1) + 1))  # fmt: skip
    if not linear and 1 < number <= MAX_FILLED_DIM and rows >= MIN_FILLED_ROWS:
        share = filled_share(before @ shared.directions[:number].T)
        if share < MIN_FILLED:
            likely = max(1, round(share * number))
            _warn(f"x varies in {number} directions, but its neighbourhoods look like those of about {likely} variables"
                  " that the mixing bends", number, range(max(1, likely - 1), number + 1))  # fmt: skip
    return number


def _own_move(moves: Array, number: int) -> float:
    """How far directions beyond the first ones move where those do not, as a share of how far they move."""
    size = np.square(moves[:, :number]).sum(1)
    still = size <= np.quantile(size, STILL)
    others = np.square(moves[:, number:])
    return float(others[still].mean() / max(others.mean(), 1e-300))


def _warn(doubt: str, number: int, candidates: range) -> None:
    listed = list(candidates)
    logger.warning(
        "the number of causal variables is in doubt: %s. Fitting %d; dim_z sets another number, and choose_dim_z(pairs,"
        " %s) (--dim-z auto --candidates %s) chooses by held-out ELBO",
        doubt,
        number,
        listed,
        " ".join(map(str, listed)),
    )
