"""Recipes of the baselines: the beta-VAE, and the guides that share unchanged factors."""

from __future__ import annotations

from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import Calibrate
from pyro_lcm.recipes.implicit import coordinates
from pyro_lcm.recipes.objective import HARD, IMPLICIT
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine


def autoencode(budget: Budget | None = None) -> tuple[Phase, ...]:
    """The recipe of the beta-VAE: its ELBO, from the start to the end.

    Args:
        budget: steps; those of ``unmix``, or of ``fit``, and of ``refine`` are added up.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    rate = Cosine(2e-3, 1e-5)
    steps = b.steps_of_unmix + b.refine
    return (Phase("autoencode", steps, rate, b.batch_size, gradient_clip=10.0, keep="best"),)


def share_factors(
    budget: Budget | None = None, *, dim: int = 4, wide: bool = False, flat: bool = False, linear: bool = False
) -> tuple[Phase, ...]:
    """The recipe of guides that share unchanged factors, for :class:`~pyro_lcm.recipes.objective.ImplicitFirst`."""
    b = Budget() if budget is None else budget
    phases = [*coordinates(budget, dim=dim, wide=wide, flat=flat, linear=linear, program=IMPLICIT)]
    phases.append(Phase("calibrate", 0, settings=HARD, start=Calibrate(straight=linear)))
    if b.refine:
        rate = Cosine(1e-3, 1e-5)
        phases.append(Phase("refine", b.refine, rate, b.batch_size, HARD, gradient_clip=10.0, keep="best"))
    return tuple(phases)
