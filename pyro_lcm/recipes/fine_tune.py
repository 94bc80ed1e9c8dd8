"""Recipe for going on with a model that is fitted: stochastic variational inference from its parameters.

Nothing is initialised and nothing is looked for: coordinates, targets, causal order and parents are those of the model,
and everything that its recipe trains last is trained further. The parameters kept are the best on the held-out pairs,
those it begins with included, so a fit is never made worse by the measure that it is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.objective import HARD
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine

NAME = "fine tune"
"""What the log calls the phase."""


def fine_tune(recipe: Sequence[Phase], budget: Budget | None = None, *, own: bool = False) -> tuple[Phase, ...]:
    """The phase that goes on with a model.

    Args:
        recipe: that the model was fitted by; its last phase with steps says what is optimised.
        budget: ``refine`` and ``batch_size`` of it count.
        own: whether it is the recipe of a model of one's own, whose guide was held until there was a decoder.

    Returns:
        One phase, for a :class:`pyro_lcm.recipes.objective.RecipeObjective`.

    >>> from pyro_lcm.recipes.implicit import identify
    >>> [(phase.name, phase.steps, phase.start) for phase in fine_tune(identify(dim=3), Budget(refine=50))]
    [('fine tune', 50, None)]
    """
    b = Budget() if budget is None else budget
    trained = [phase for phase in recipe if phase.steps]
    last = trained[-1] if trained else Phase(NAME, 0, settings=HARD)
    # A code of x that has a decoder needs none of what stands in for one, nor a guide that waits for it.
    held = tuple(prefix for prefix in last.freeze if not (own and prefix.startswith("guide")))
    settings = {name: value for name, value in last.settings.items() if name != "through_encoder"}
    return (
        replace(
            last,
            name=NAME,
            steps=b.refine,
            learning_rate=Cosine(1e-3, 1e-5),
            batch_size=b.batch_size,
            settings=settings,
            # What was frozen to be computed once is trained again.
            freeze=() if last.data else held,
            data=None,
            gradient_clip=10.0,
            start=None,
            keep="best",
            reset_optimizer=True,
            optimizer="adam",
        ),
    )
