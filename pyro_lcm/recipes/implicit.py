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
4. *order* (:class:`~pyro_lcm.recipes.structure.FindOrder`): the encoder stays as it is, so that what it makes of the
   pairs is computed once (:class:`~pyro_lcm.recipes.encodings.EncodeOnce`) and a step of the same ELBO takes twice as
   many; solution functions see the causal variables of their predecessors, of which they are simpler functions than of
   noise. Where the mixing is linear though the mechanisms are not, causal variables can be read off linearly
   (:class:`~pyro_lcm.recipes.structure.FindReadouts`), and solution functions are drawn to them as well; so they are
   where pairs come with features of x, as those of images do
   (:class:`~pyro_lcm.recipes.readouts.FindFeatureReadouts`).
5. *parents* (:class:`~pyro_lcm.recipes.structure.FindParents`): the same, and they see those of their parents alone.
6. *graph*: parents chosen once more from the mechanisms that came out, for the graph.

Where all is linear, the closed forms are the answer and SVI confirms it: *calibrate* sets tolerances, scales and
coefficients, *refine* is SVI of everything, *graph* (:class:`~pyro_lcm.recipes.structure.FindGraph`) chooses parents.

Where x is wider than there are variables, or the decoder is not an encoder's inverse, *fit*, *order* and *parents*
score the code of x in place of x (:class:`~pyro_lcm.training.handlers.ThroughEncoder`), then the decoder is fitted and
everything refined together.

No part sees a true variable, target or graph, and none depends on the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import Calibrate
from pyro_lcm.recipes.encodings import EncodeOnce
from pyro_lcm.recipes.initialize import Initialize
from pyro_lcm.recipes.objective import AUTOENCODER, HARD, TWO
from pyro_lcm.recipes.readouts import FindFeatureReadouts
from pyro_lcm.recipes.structure import FindGraph, FindOrder, FindOrderAndReadouts, FindParents
from pyro_lcm.training.phases import Phase, Setting
from pyro_lcm.training.schedules import Cosine, Linear

RATE = 1e-2
"""Learning rate of SOAP at the start of a fit."""
SOLUTION = "model.solution"
DECAY = 0.1
"""Weight decay of the solution functions' hidden layers once they see their parents."""
ORDER, PARENTS = 0.1, 0.3
"""Steps of the mechanisms, once there is an order and once parents are chosen, as shares of the steps of the fit."""
MECHANISM_RATE = 1e-2
"""Learning rate of SOAP at the start of these."""
SLACK = 5e-3
"""Nats a pair that validation cannot tell apart, as mechanisms go: see ``Phase.slack``."""
OF_CODES = 0.1
"""Learning rates of a fit to codes that are nearly noise encodings, in parts of those of others."""


def identify(
    budget: Budget | None = None,
    *,
    dim: int = 4,
    wide: bool = False,
    flat: bool = False,
    linear: bool = False,
    invertible: bool = True,
    causal: bool = True,
    hidden: bool = True,
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
        hidden: whether these have hidden layers.

    Returns:
        The phases, for a :class:`pyro_lcm.recipes.objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    if linear:
        return _linear(b, causal=causal)
    phases = []
    if wide and not flat and b.reconstruct:
        phases.append(autoencoder_phase(b))
    phases += fit_phases(
        b, dim=dim, through_encoder=not invertible, solution=SOLUTION if causal else None, hidden=hidden
    )
    if not invertible:
        phases.append(Phase("decoder", 0, settings=TWO, start=Calibrate(solutions=False)))
        if b.refine:
            phases.append(refine_phase(b, TWO))
    if causal:
        phases.append(Phase("graph", 0, settings=TWO, start=FindParents()))
    return tuple(phases)


def fit_phases(
    b: Budget,
    *,
    dim: int,
    through_encoder: bool,
    solution: str | None,
    hidden: bool = True,
    flat: bool = False,
    program: str | None = None,
) -> list[Phase]:
    """SVI of everything at once from the lines' coordinates, then of the mechanisms once there is an order.

    Args:
        b: steps.
        dim: number of causal variables.
        through_encoder: whether to score codes instead of observations.
        solution: which module of the objective's are the solution functions, by its name; None without any.
        hidden: whether these have hidden layers.
        flat: whether an affine code of x is enough.
        program: which program of the objective's is fitted.
    """
    steps = b.steps_of_fit(dim)
    settings = TWO | ({"through_encoder": True} if through_encoder else {})
    settings |= {} if program is None else {"program": program}
    shared: dict[str, Any] = {"gradient_clip": 20.0, "optimizer": "soap", "keep": "best"}
    phases = [
        Phase(
            "fit",
            steps,
            Linear(RATE, 1e-5),
            b.batch_size,
            settings,
            start=Initialize(program=program, flat=flat),
            freeze=("guide.encoder.body",) if through_encoder else (),
            **shared,
        )
    ]
    if solution is None:
        return phases
    # The encoder stays from here on: what it makes of the pairs is computed once, and a step takes many of them.
    shared |= {"freeze": ("guide.encoder" if through_encoder else "model.decoder",), "data": EncodeOnce()}
    shared["slack"] = SLACK
    order = FindOrder(program) if through_encoder else FindOrderAndReadouts()
    for name, start, share, decay in (
        ("order", order, ORDER, {}),
        (
            "parents",
            FindParents(program, restrict=True),
            PARENTS,
            {f"{solution}.networks.weights": DECAY} if hidden else {},
        ),
    ):
        number = round(steps * share)
        rate = Cosine(MECHANISM_RATE, 1e-5)
        phases.append(Phase(name, number, rate, 2 * b.batch_size, settings, decay, start=start, **shared))
    return phases


def of_codes(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Phases for codes that are nearly noise encodings, as those of images.

    Their differences lie on lines whatever the mechanisms are, so lines say nothing of these, and what is linear in
    such a code is no causal variable (`benchmarks/RESULTS.md`): what it is read from are the features that come with
    the pairs. As there is little left to find, the first steps are small, lest they lose it.
    """
    changed = []
    for phase in phases:
        rate = phase.learning_rate
        if isinstance(phase.start, Initialize) and isinstance(rate, Linear):
            phase = replace(phase, learning_rate=Linear(rate.start * OF_CODES, rate.end * OF_CODES))
        if isinstance(phase.start, FindOrderAndReadouts):
            phase = replace(phase, start=FindOrderAndReadouts(FindFeatureReadouts()))
        changed.append(phase)
    return tuple(changed)


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


def refine_phase(b: Budget, settings: Mapping[str, Setting]) -> Phase:
    """SVI of everything on x, once a decoder has been fitted."""
    rate = Cosine(1e-3, 1e-5)
    return Phase("refine", b.refine, rate, b.batch_size, settings, gradient_clip=10.0, keep="best")


def autoencoder_phase(b: Budget) -> Phase:
    """The autoencoder of single observations, for a code to start from."""
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
    phases = [autoencoder_phase(b)] if wide and not flat and b.reconstruct else []
    return (*phases, *fit_phases(b, dim=dim, through_encoder=not invertible, solution=None, program=program))
