"""The recipe for models of one's own: what stands in for their parts until the variables are found.

An encoder with an invertible last part is found before there is a decoder by letting codes stand for observations
(:class:`~pyro_lcm.training.handlers.ThroughEncoder`). In the same way solution functions
(:class:`~pyro_lcm.causal.solution.SolutionFunctions`) stand in for a mechanism that has to be learned: prior, targets
and interventions stay the program's own, but what is redrawn is scored by them

    p(r_i | e)  ~  N(shift_i, scale_i),         the d conditionals of the implicit model (Brehmer et al. 2022),

since an order and parents can be found for them, and a function of few causal variables is learned from a fraction of
the pairs that one of all noise encodings takes. The mechanism then learns from what they would redraw, of which there
is any amount, and at last from the pairs: with four variables through a leaky-ReLU mixing and networks of noise
encodings as mechanisms, and 20,000 pairs this brings disentanglement from .90 to .95.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import Independent, MaskedDistribution
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyro_lcm.causal.abilities import aligned_encoder, mechanisms_of, sets_of, solution_of
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.causal.targets import hit_mask
from pyro_lcm.nn import VectorEncoder
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import TakeTolerance, affine_code
from pyro_lcm.recipes.implicit import SOLUTION, autoencoder_phase, fit_phases, refine_phase
from pyro_lcm.recipes.objective import TWO, RecipeObjective
from pyro_lcm.recipes.published import annealed
from pyro_lcm.recipes.structure import FindParents
from pyro_lcm.training.objective import without_registration
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine

__all__ = ["OwnObjective", "identify_own"]

STAND_IN = "stand_in"
"""The program of :class:`OwnObjective` in which solution functions stand in for the mechanism, and their name there."""
MECHANISM = "mechanism"
"""The program of :class:`OwnObjective` in which the mechanism learns from them."""


class Outcomes(Messenger):
    """Score what is redrawn by solution functions, whatever the program's mechanism.

    Masked where the program masks it.

    Args:
        solution: the solution functions.
    """

    def __init__(self, solution: SolutionFunctions) -> None:
        super().__init__()
        self.solution = solution
        self._values: dict[str, Tensor] = {}

    def __enter__(self) -> Any:
        self._values = {}
        return super().__enter__()

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] != "redrawn":
            return
        noise, fn = self._values["noise"], _by_component(msg["fn"])
        if isinstance(fn, MaskedDistribution):
            outcomes = self.solution.redrawn(noise, self._values["target"]).mask(fn._mask)
        else:
            outcomes = self.solution.redraws(noise)
        msg["fn"] = outcomes.to_event(1)

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in ("target", "noise"):
            self._values[msg["name"]] = msg["value"]


def _by_component(fn: Any) -> Any:
    """A distribution of batch shape (..., d), of one whose event shape is (d,)."""
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return fn


class _StandIn:
    """A program of one's own with solution functions in place of its mechanism."""

    def __init__(self, model: nn.Module, solution: SolutionFunctions) -> None:
        self.dim_z, self.solution = solution.dim, solution
        self._program = without_registration(model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with Outcomes(self.solution):
            return self._program(*args, **kwargs)


class OwnObjective(RecipeObjective):
    """The ELBO of a model and guide of one's own, and the programs that lead there.

    Args:
        model: a program with sites ``target``, ``noise`` and ``redrawn``.
        guide: its guide.
    """

    def __init__(self, model: nn.Module, guide: nn.Module) -> None:
        super().__init__(model, guide)
        self.stand_in = SolutionFunctions(self.model.dim_z, activation="leaky_relu")

    def programs(self, name: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Those of the base, and :data:`STAND_IN`."""
        if name == STAND_IN:
            return _StandIn(self.model, self.stand_in), self.guide
        return super().programs(name)

    def forward(
        self, tensors: Mapping[str, Tensor], *, size: int, index: Tensor, program: str | None = None, **settings: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; that of :data:`MECHANISM` is minus the log density of what the stand-in redraws."""
        if program == MECHANISM:
            return self._of_mechanism(torch.cat([tensors["x"], tensors["x_after"]]))
        return super().forward(tensors, size=size, index=index, program=program, **settings)

    def _of_mechanism(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(r_I | e), the mean over (rows, ...) observations, with targets at random and r from the stand-in."""
        dim = self.stand_in.dim
        with torch.no_grad():
            noise = self.guide.encode(x).sample()
            target = torch.randint(1, dim + 1, noise.shape[:1], device=noise.device)
            hit = hit_mask(target, dim)
            drawn = torch.where(hit, self.stand_in.redrawn(noise, target).sample(), noise)
        given = {"noise": noise, "target": target, "redrawn": drawn}
        with pyro.get_param_store().scope(), poutine.block():
            program = poutine.condition(without_registration(self.model), given)
            trace = poutine.trace(program).get_trace(None, None, size=len(x))
        fn = _by_component(trace.nodes["redrawn"]["fn"])
        loss = -torch.where(hit, fn.log_prob(drawn), 0.0).sum(-1).mean()
        return loss, {"redrawn": -loss.detach()}


def identify_own(model: Any, guide: Any, budget: Budget | None = None, *, flat: bool = False) -> tuple[Phase, ...]:
    """The default recipe for a model and guide of one's own, by what they have.

    Where the guide has a ``target_encoder`` and an ``encoder`` with an invertible last part
    (:class:`pyro_lcm.nn.VectorEncoder`), variables are found as for the models by name, in the ELBO of the program's
    own prior, targets and interventions, its decoder and its mechanism fitted after them; with a ``solution`` of
    :class:`~pyro_lcm.causal.solution.SolutionFunctions` nothing stands in for the mechanism, and its order and graph
    are found too. Other programs get :func:`~pyro_lcm.recipes.published.annealed`, which needs nothing but their
    signature.

    Args:
        model: the generative program.
        guide: its guide.
        budget: steps of each phase.
        flat: whether an affine code of x is enough (:func:`~pyro_lcm.recipes.initialize.initialize`).

    Returns:
        The phases, for an :class:`OwnObjective`.
    """
    encoder = aligned_encoder(guide)
    if not isinstance(encoder, VectorEncoder):
        return annealed()
    b = Budget() if budget is None else budget
    functions = solution_of(model)
    # Sets of targets and latent graphs have outcomes that solution functions of single targets do not.
    stands_in = functions is None and sets_of(model) is None and mechanisms_of(model) is None
    program = STAND_IN if stands_in else None
    solution = STAND_IN if stands_in else None if functions is None else SOLUTION
    hidden = functions is None or len(functions.networks.weights) > 0
    curved = not flat and not affine_code(encoder.body)
    settings = TWO | ({} if program is None else {"program": program})
    phases = [autoencoder_phase(b)] if curved and b.reconstruct else []
    phases += fit_phases(
        b, dim=model.dim_z, through_encoder=True, solution=solution, hidden=hidden, flat=flat, program=program
    )
    # The guide stays: a decoder that is not yet as exact as the observations would pull it from what was found.
    fixed: dict[str, Any] = {"freeze": ("guide",), "gradient_clip": 10.0, "keep": "best"}
    if b.refine:
        rate, start = Cosine(5e-3, 1e-5), TakeTolerance()
        phases.append(Phase("decoder", 2 * b.refine, rate, b.batch_size, settings, start=start, **fixed))
    if b.refine and curved:  # a code that was learned without pairs in mind is worth mending
        phases.append(refine_phase(b, settings))
    if functions is not None:
        phases.append(Phase("graph", 0, settings=TWO, start=FindParents()))
    if not stands_in:
        return tuple(phases)
    if b.solutions:
        rate = Cosine(5e-3, 1e-5)
        phases.append(Phase("mechanism", b.solutions, rate, b.batch_size, {"program": MECHANISM}, **fixed))
    if b.refine:
        phases.append(Phase("own", b.refine, Cosine(1e-3, 1e-5), b.batch_size, TWO, **fixed))
    return tuple(phases)
