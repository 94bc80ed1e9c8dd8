"""Recipes: what is initialised how, and which phases of stochastic variational inference follow.

One program is optimised from the first step to the last: the ELBO of the Pyro model and its guide, the most probable
targets of a pair summed out. :func:`identify` says where a fit begins and how it goes on; what each part is for, and
what happens without it, is measured in `benchmarks/RESULTS.md`.

1. *Whitening* (before any phase): the covariance of linear data has a condition number of 1e3 at 16 variables and
   1e8 at 32, and no gradient method sees the small directions.
2. *Lines* (:func:`~pyro_lcm.recipes.initialize.initialize`): the coordinates in which differences are closest to
   one-sparse. Where mixing and mechanisms are linear this is exact.
3. *fit*: SVI of everything at once, from those coordinates. Two targets a pair are enough; with one, targets are as
   wrong as the coordinates and hold these where they are (four variables through a nonlinear mixing, 1,500 steps:
   disentanglement .587 against .983). The tolerance, wide at first, when no coordinates make differences one-sparse,
   and narrowing as the flow finds them, anneals the problem by itself. SOAP rather than Adam: .983 against .964 in the
   same time.
4. *order* (:class:`~pyro_lcm.recipes.structure.FindOrder`): the same SVI goes on with solution functions that see
   the causal variables of their predecessors, of which they are simpler functions than of noise. Where the mixing is
   linear though the mechanisms are not, causal variables can be read off linearly
   (:class:`~pyro_lcm.recipes.structure.FindReadouts`), and solution functions are drawn to them as well.
5. *parents* (:class:`~pyro_lcm.recipes.structure.FindParents`): chosen from the mechanisms, for the graph.

Where all is linear, the closed forms are the answer and SVI confirms it: *calibrate* sets tolerances, scales and
coefficients, *refine* is SVI of everything, *graph* (:class:`~pyro_lcm.recipes.structure.FindGraph`) chooses parents.

Where x is wider than there are variables, or the decoder is not an encoder's inverse, *fit* and *order* score the code
of x in place of x (:class:`~pyro_lcm.training.handlers.ThroughEncoder`), then the decoder is fitted and everything
refined together.

No part sees a true variable, target or graph, and none depends on the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.nn import VectorEncoder
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import Calibrate, TakeTolerance, affine_code
from pyro_lcm.recipes.initialize import Initialize
from pyro_lcm.recipes.objective import AUTOENCODER, HARD, TWO
from pyro_lcm.recipes.published import annealed
from pyro_lcm.recipes.structure import FindGraph, FindOrder, FindOrderAndReadouts, FindParents
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine

RATE = 1e-2
"""Learning rate of SOAP at the start of a fit."""
BEFORE_ORDER = 0.3
"""Share of the steps of a fit before there is an order."""


def identify(
    budget: Budget | None = None,
    *,
    dim: int = 4,
    wide: bool = False,
    flat: bool = False,
    linear: bool = False,
    invertible: bool = True,
    causal: bool = True,
) -> tuple[Phase, ...]:
    """The default recipe of the implicit latent causal model; the module says what each part is for.

    Args:
        budget: steps of each phase.
        dim: number of causal variables, by which the default number of steps goes.
        wide: whether x has more directions than there are variables, so that a code has to be found.
        flat: whether an affine code is enough.
        linear: whether lines and noise explain the differences as they are, so that no flow is needed.
        invertible: whether the decoder is the encoder's inverse.
        causal: whether the model has solution functions of a context, so that there is a graph to find.

    Returns:
        The phases, for a :class:`pyro_lcm.recipes.objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    if linear:
        return _linear(b, causal=causal)
    phases = []
    if wide and not flat and b.reconstruct:
        phases.append(_autoencoder(b))
    phases += fit_phases(b, dim=dim, through_encoder=not invertible, causal=causal)
    if not invertible:
        phases.append(Phase("decoder", 0, settings=TWO, start=Calibrate(solutions=False)))
        if b.refine:
            phases.append(_refine(b))
    if causal:
        phases.append(Phase("parents", 0, settings=TWO, start=FindParents()))
    return tuple(phases)


def identify_own(model: Any, guide: Any, budget: Budget | None = None, *, flat: bool = False) -> tuple[Phase, ...]:
    """The default recipe for a model and guide of one's own, by what they have.

    Where the guide has a ``target_encoder`` and an ``encoder`` with an invertible last part
    (:class:`pyro_lcm.nn.VectorEncoder`), variables are found as for the models by name, the program's own prior and
    mechanisms in the ELBO and its decoder fitted after them; with a ``solution`` of
    :class:`~pyro_lcm.causal.solution.SolutionFunctions` its order and graph are found too. Other programs get
    :func:`annealed`, which needs nothing but their signature.

    Args:
        model: the generative program.
        guide: its guide.
        budget: steps of each phase.
        flat: whether an affine code of x is enough (:func:`~pyro_lcm.recipes.initialize.initialize`).

    Returns:
        The phases, for a :class:`pyro_lcm.recipes.objective.RecipeObjective`.
    """
    encoder = getattr(guide, "encoder", None)
    if not isinstance(encoder, VectorEncoder) or not hasattr(guide, "target_encoder"):
        return annealed()
    b = Budget() if budget is None else budget
    causal = solution_of(model) is not None
    curved = not flat and not affine_code(encoder.body)
    phases = [_autoencoder(b)] if curved and b.reconstruct else []
    phases += fit_phases(b, dim=model.dim_z, through_encoder=True, causal=causal, flat=flat)
    if b.refine:
        # The guide stays: a decoder that is not yet as exact as the observations would pull it from what was found.
        fixed: dict[str, Any] = {"freeze": ("guide",), "start": TakeTolerance(), "keep": "best"}
        rate = Cosine(5e-3, 1e-5)
        phases.append(Phase("decoder", 2 * b.refine, rate, b.batch_size, TWO, gradient_clip=10.0, **fixed))
    if b.refine and curved:  # a code that was learned without pairs in mind is worth mending
        phases.append(_refine(b))
    if causal:
        phases.append(Phase("parents", 0, settings=TWO, start=FindParents()))
    return tuple(phases)


def fit_phases(
    b: Budget, *, dim: int, through_encoder: bool, causal: bool, flat: bool = False, program: str | None = None
) -> list[Phase]:
    """SVI of everything at once from the lines' coordinates, without and then with an order.

    Args:
        b: steps.
        dim: number of causal variables.
        through_encoder: whether to score codes instead of observations.
        causal: whether the model has solution functions of a context.
        flat: whether an affine code of x is enough.
        program: which program of the objective's is fitted.
    """
    steps = b.steps_of_fit(dim)
    first = round(steps * BEFORE_ORDER) if causal else steps
    turn = Cosine(RATE, 1e-5).value(first / max(1, steps))
    settings = TWO | ({"through_encoder": True} if through_encoder else {})
    settings |= {} if program is None else {"program": program}
    freeze = ("guide.encoder.body",) if through_encoder else ()
    shared: dict[str, Any] = {"freeze": freeze, "gradient_clip": 20.0, "optimizer": "soap"}
    phases = [
        Phase(
            "fit",
            first,
            Cosine(RATE, turn if causal else 1e-5),
            b.batch_size,
            settings,
            start=Initialize(program=program, flat=flat),
            keep="last" if causal else "best",
            **shared,
        )
    ]
    if causal:
        phases.append(
            Phase(
                "order",
                steps - first,
                Cosine(turn, 1e-5),
                b.batch_size,
                settings,
                start=FindOrder() if through_encoder else FindOrderAndReadouts(),
                keep="best",
                reset_optimizer=False,
                **shared,
            )
        )
    return phases


def of_codes(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Phases for codes that are nearly noise encodings, as those of images: no causal variable is read off linearly.

    Their differences lie on lines whatever the mechanisms are, so lines say nothing of these, and what is linear in
    such a code is no causal variable (`benchmarks/RESULTS.md`).
    """
    return tuple(
        replace(phase, start=FindOrder()) if isinstance(phase.start, FindOrderAndReadouts) else phase
        for phase in phases
    )


def _linear(b: Budget, *, causal: bool) -> tuple[Phase, ...]:
    """Closed forms, and SVI of everything from there."""
    phases = [_lines()]
    phases.append(Phase("calibrate", 0, settings=TWO, start=Calibrate(straight=True)))
    if b.refine:
        phases.append(
            Phase(
                "refine",
                b.refine,
                Cosine(1e-3, 1e-5),
                b.batch_size,
                HARD,
                weight_decay={"model.solution": 0.1},
                gradient_clip=10.0,
                keep="best",
            )
        )
    if causal:
        phases.append(Phase("graph", 0, settings=HARD, start=FindGraph(linear=True)))
    return tuple(phases)


def _lines() -> Phase:
    return Phase("lines", 0, settings=TWO, start=Initialize(straight=True, pairs=100_000))


def _refine(b: Budget) -> Phase:
    """SVI of everything on x, once a decoder has been fitted."""
    rate = Cosine(1e-3, 1e-5)
    return Phase("refine", b.refine, rate, b.batch_size, TWO, gradient_clip=10.0, keep="best")


def _autoencoder(b: Budget) -> Phase:
    rate = Cosine(2e-3, 1e-5)
    return Phase("reconstruct", b.reconstruct, rate, b.batch_size, {"program": AUTOENCODER}, gradient_clip=10.0)


def coordinates(
    budget: Budget | None = None,
    *,
    dim: int = 4,
    wide: bool = False,
    flat: bool = False,
    linear: bool = False,
    invertible: bool = False,
    program: str | None = None,
) -> tuple[Phase, ...]:
    """The phases that find noise encodings for the other models: SVI of their own programs on codes of x.

    Args:
        budget: steps.
        dim: number of causal variables.
        wide: whether x has more directions than there are variables.
        flat: whether an affine code is enough.
        linear: whether lines and noise explain the differences as they are, so that no flow is needed.
        invertible: whether the decoder is the encoder's inverse.
        program: which program of the objective's finds them.
    """
    b = Budget() if budget is None else budget
    if linear:
        return (_lines(),)
    phases = [_autoencoder(b)] if wide and not flat and b.reconstruct else []
    return (*phases, *fit_phases(b, dim=dim, through_encoder=not invertible, causal=False, program=program))
