"""Recipes: phases that find the causal variables instead of descending towards them.

:func:`identify` is the default. What each part is for, and what happens without it (`benchmarks/RESULTS.md` has the
ablation):

1. *Whitening* (before any phase): the covariance of linear data has a condition number of 1e3 at 16 variables and
   1e8 at 32, and no gradient method sees the small directions.
2. *reconstruct*, only where x is wider than there are variables: an autoencoder finds a code of d numbers. In a
   linear mixing it is computed (:class:`~pyro_lcm.training.warmstart.FindCode`).
3. *Lines* (:class:`~pyro_lcm.training.warmstart.AlignToLines`): in the right coordinates differences are one-sparse.
   Where mixing and mechanisms are linear this is exact, and nothing is left to descend.
   Where targets of some pairs are known, components are named by them
   (:class:`~pyro_lcm.training.warmstart.MatchTargets`).
4. *unmix*, where lines leave a residual: a flow turns the code into noise encodings by exact likelihood, the target
   summed out in closed form. The ELBO with hard targets gets stuck here from a poor start (8 variables through a
   nonlinear mixing: correlation 0.77 with the true noise after 6,000 steps, against 0.96 after 625 of these), since
   its targets are as wrong as its coordinates; and a step costs no decoder, whatever the number of targets. The best
   parameters by held-out likelihood are kept: a few hundred pairs are soon learned by heart.
5. *calibrate*: tolerances, scales and linear coefficients have closed forms, given the encoder.
6. *refine*: stochastic variational inference of the Pyro model and guide, hard targets, everything free.
7. *graph* (:class:`~pyro_lcm.training.structure.FindGraph`): solution functions are masked to the predecessors in a
   causal order, which makes them invertible, and parents are chosen; linear ones are recomposed from the mechanisms.
8. *solutions*, where not linear: a solution function learns only from the pairs whose target it is, so it overfits
   long before the rest: its own phase, with the encoder fixed, weight decay, and the best parameters by held-out
   loss: the density, and where the mixing is linear though the mechanisms are not
   (:class:`~pyro_lcm.training.readouts.FindReadouts`) the distance to what can be read off linearly.
9. *parents* (:class:`~pyro_lcm.training.structure.FindParents`), where not linear: chosen from the mechanisms.

No part sees a true variable, target or graph, and none depends on the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from pyro_lcm.training.phases import Phase
from pyro_lcm.training.readouts import FindReadouts
from pyro_lcm.training.schedules import Cosine, Linear
from pyro_lcm.training.structure import FindGraph, FindParents
from pyro_lcm.training.warmstart import AlignToLines, Calibrate, FindCode, MatchTargets


@dataclass(frozen=True)
class Budget:
    """Optimizer steps of each phase; 0 leaves a phase out.

    Args:
        reconstruct: of the autoencoder, for x wider than the number of variables.
        unmix: of the flow, for mixings or mechanisms that are not linear.
        refine: of the ELBO.
        solutions: of the solution functions alone; parents are chosen after them, or without them.
        batch_size: pairs in a step.

    Raises:
        ValueError: if a number is negative.
    """

    reconstruct: int = 3000
    unmix: int = 5000
    refine: int = 1000
    solutions: int = 3000
    batch_size: int = 512

    def __post_init__(self) -> None:
        for name in ("reconstruct", "unmix", "refine", "solutions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 0 steps")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: got {self.batch_size}, expected at least 1")


def identify(
    budget: Budget | None = None, *, wide: bool = False, linear: bool = False, causal: bool = True
) -> tuple[Phase, ...]:
    """The default recipe of the implicit latent causal model; the module says what each part is for.

    Args:
        budget: steps of each phase.
        wide: whether x has more directions than there are variables, so that a code has to be found.
        linear: whether lines and noise explain the differences as they are, so that no flow is needed.
        causal: whether the model has solution functions of a context, so that there is a graph to find.

    Returns:
        The phases, for a :class:`pyro_lcm.training.recipe_objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    decay = {"model.solution": 0.1}
    phases = []
    if wide and linear:
        phases.append(Phase("code", 0, settings={"stage": "reconstruct"}, start=FindCode()))
    elif wide and b.reconstruct:
        phases.append(
            Phase(
                "reconstruct",
                b.reconstruct,
                Cosine(2e-3, 1e-5),
                b.batch_size,
                {"stage": "reconstruct"},
                gradient_clip=10.0,
            )
        )
    unmix = {"stage": "unmix"}
    phases.append(Phase("lines", 0, settings=unmix, start=AlignToLines(straight=linear)))
    phases.append(Phase("names", 0, settings=unmix, start=MatchTargets()))
    if not linear and b.unmix:
        phases.append(
            Phase(
                "unmix",
                b.unmix,
                Cosine(6e-3, 1e-5),
                b.batch_size,
                unmix,
                gradient_clip=20.0,
                keep="best",
            )
        )
        phases.append(Phase("realign", 0, settings=unmix, start=AlignToLines()))
        phases.append(Phase("rename", 0, settings=unmix, start=MatchTargets()))
    phases.append(Phase("calibrate", 0, settings={"hypotheses": 1}, start=Calibrate(straight=linear)))
    if b.refine:
        phases.append(
            Phase(
                "refine",
                b.refine,
                Cosine(1e-3, 1e-5),
                b.batch_size,
                {"hypotheses": 1},
                weight_decay=decay,
                gradient_clip=10.0,
                keep="best",
            )
        )
    if not causal:
        return tuple(phases)
    phases.append(Phase("graph", 0, settings={"stage": "solutions"}, start=FindGraph(linear=linear)))
    if not linear and b.solutions:
        phases.append(
            Phase(
                "solutions",
                b.solutions,
                Cosine(5e-3, 1e-5),
                4 * b.batch_size,
                {"stage": "solutions"},
                weight_decay={"model.solution": 0.01},
                freeze=("guide", "model.decoder"),
                start=FindReadouts(),
                keep="best",
            )
        )
    if not linear:
        phases.append(Phase("parents", 0, settings={"stage": "solutions"}, start=FindParents()))
    return tuple(phases)


def coordinates(budget: Budget | None = None, *, wide: bool = False, linear: bool = False) -> tuple[Phase, ...]:
    """The phases of :func:`identify` that find noise encodings, which all models of pairs share."""
    phases = identify(budget, wide=wide, linear=linear, causal=False)
    return tuple(takewhile(lambda phase: phase.name != "calibrate", phases))


def autoencode(budget: Budget | None = None, *, beta: float = 1.0) -> tuple[Phase, ...]:
    """The recipe of the beta-VAE: the ELBO with beta before its KL part, for as long as :func:`identify` takes.

    Args:
        budget: its ``unmix`` and ``refine`` steps are taken.
        beta: weight of the KL part, positive.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    rate = Cosine(2e-3, 1e-5)
    steps = b.unmix + b.refine
    return (Phase("autoencode", steps, rate, b.batch_size, {"kl_weight": beta}, gradient_clip=10.0, keep="best"),)


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
