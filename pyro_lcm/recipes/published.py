"""Recipes that descend from the start: one for any program, and the schedule of Brehmer et al. (NeurIPS 2022)."""

from __future__ import annotations

from typing import Any

from pyro_lcm.recipes.objective import AUTOENCODER
from pyro_lcm.training.phases import Phase, Setting
from pyro_lcm.training.schedules import Cosine, Linear


def annealed(steps: int = 20_000, *, batch_size: int = 512, learning_rate: float = 1e-3) -> tuple[Phase, ...]:
    """A recipe for any model and guide that keep the contract: warm up the KL term, soft targets, hard targets.

    It asks nothing of the programs but their signature, in the manner of the published schedule (Brehmer et al.
    2022, appendix C), and is slower and less sure than :func:`identify`.

    Args:
        steps: of the whole recipe.
        batch_size: pairs in a step.
        learning_rate: at the start of each phase.

    Returns:
        The phases, for a :class:`pyro_lcm.training.objective.PairObjective`.
    """
    quarter = max(1, steps // 4)
    rate = Cosine(learning_rate, learning_rate / 100)
    return (
        Phase("warm up", quarter, rate, batch_size, {"kl_weight": Linear(1e-3, 1.0)}, gradient_clip=10.0),
        Phase("soft targets", quarter, rate, batch_size, {"entropy": 1.0}, gradient_clip=10.0),
        Phase("hard targets", 2 * quarter, rate, batch_size, {"hypotheses": 1}, gradient_clip=10.0),
    )


def published(pairs: int, *, epochs: int = 90, batch_size: int = 64) -> tuple[Phase, ...]:
    """The schedule of Brehmer et al. (2022) for their scaling data, for a like-for-like comparison.

    Three cycles of a learning rate that falls from 3e-4 on a cosine: a plain beta-VAE, then a KL weight that rises to
    one, with soft targets and without the density of what was redrawn; soft targets with it; hard targets. All with a
    reward for using every target and a penalty on the reconstruction of encodings. Build the model with
    ``invertible=False`` and the guide with ``averaging="random"``; the page on training says what else differs.

    Args:
        pairs: number of training pairs.
        epochs: of the whole schedule.
        batch_size: pairs in a step.

    Returns:
        The phases, for a :class:`pyro_lcm.recipes.objective.RecipeObjective`.

    Raises:
        ValueError: if there is less than one step in a ninth of the schedule.
    """
    third = round(epochs * pairs / batch_size / 9)
    if third < 1:
        raise ValueError(f"epochs, pairs: got {epochs}, {pairs}, expected at least 9 steps of {batch_size} pairs")
    cycle = Cosine(3e-4, 1e-8)
    rates = [cycle.value(part / 3) for part in range(4)]
    extra: dict[str, Setting] = {"entropy": 1.0, "consistency": 0.01}
    soft = extra | {"intervention_term": False}
    settings: list[tuple[str, int, Any, dict[str, Setting], bool]] = [
        ("pretrain", third, Cosine(rates[0], rates[1]), {"program": AUTOENCODER, "kl_weight": 1e-3}, True),
        ("raise the KL", third, Cosine(rates[1], rates[2]), soft | {"kl_weight": Linear(1e-3, 1.0)}, False),
        ("soft", third, Cosine(rates[2], rates[3]), soft, False),
        ("soft, redrawn", 3 * third, cycle, extra, True),
        ("hard", 3 * third, cycle, extra | {"hypotheses": 1}, True),
    ]
    return tuple(
        Phase(name, steps, rate, batch_size, how, gradient_clip=10.0, reset_optimizer=reset)
        for name, steps, rate, how, reset in settings
    )
