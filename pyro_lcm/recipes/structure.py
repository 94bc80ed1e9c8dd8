"""Order, graph and mechanisms, found from the pairs themselves.

Nothing makes learned solution functions acyclic, and a graph read off their Jacobian inherits the errors of d
regressions at once. This hook goes through the variables in a causal order instead. For variable i, only the pairs
whose target it is say anything, and what they say is a regression on the *causal variables* of its predecessors,

    e~_i = scale_i z~_i + shift_i(z_pred),      z~_i independent of z_pred,

in which only the parents matter. Where everything is linear, parents are chosen by evidence at once, and the solution
functions are recomposed from the sparse mechanisms, which leaves far fewer numbers to estimate than one regression on
all noise encodings; of all variables together (:mod:`pyro_lcm.identify.linear_mechanisms`), and one after another where
there are too few pairs of one of them, or too many variables. Elsewhere solution functions are trained first, and
:class:`FindParents` looks at the mechanisms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.abilities import as_perfect
from pyro_lcm.causal.jacobian import causal_order
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.identify.causal_order import causal_order_of_redrawn
from pyro_lcm.identify.linear_mechanisms import MOST_EFFECTS, linear_mechanisms, linear_order
from pyro_lcm.identify.linear_readouts import directions_in_order, linear_readouts, match_targets
from pyro_lcm.identify.nested_directions import find_nested_directions
from pyro_lcm.identify.parents import MIN_GAIN, MIN_ROWS, mechanism_parents, nonlinear_parents, sparse_regression
from pyro_lcm.recipes.calibrate import regress_solutions, set_target_prior
from pyro_lcm.recipes.encodings import encode_in_chunks, encode_pairs, encode_sides, sample_pairs
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.training.sources import DataSource

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FindGraph:
    """Mask each solution function to its predecessors and choose its parents among them.

    Sets the buffers ``context`` (predecessors, so that solution functions have an exact inverse) and ``adjacency``
    of the solution functions, and, if ``linear``, their coefficients; else all predecessors count as parents until
    :class:`FindParents` says more.

    Attributes:
        linear: whether mechanisms are linear, so that the solution functions can be recomposed.
        pairs: how many pairs to use at most.
    """

    linear: bool = False
    pairs: int = 200_000

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the buffers; see the class."""
        solution = objective.model.solution
        batch = sample_pairs(source, self.pairs, seed)
        before, after, target = encode_pairs(objective.guide, batch)
        after = as_perfect(objective.model, before, after)
        if self.linear:
            # Stochastic gradients leave the coefficients a little off the least squares that the order is read from.
            regress_solutions(solution, before, after, target)
        fewest = int(torch.bincount(target.clamp(min=0), minlength=solution.dim + 1)[1:].min())
        together = solution.dim * (solution.dim - 1) // 2 <= MOST_EFFECTS
        if self.linear and together and fewest >= MIN_ROWS + 2 * solution.dim:
            return {"edges": _compose_together(solution, before, after, target)}
        order = causal_order(solution, before[:2000])
        adjacency = torch.zeros_like(solution.context)
        context = torch.zeros_like(solution.context)
        for position, variable in enumerate(order):
            earlier = order[:position]
            context[earlier, variable] = 1.0
            # Masked at once: later variables are regressed on the causal variables that the masks leave.
            solution.context[:, variable] = context[:, variable]
            hit = target == variable + 1
            rows = before[hit]
            if not self.linear or len(rows) < MIN_ROWS + 2 * len(earlier):
                adjacency[earlier, variable] = 1.0
                continue
            causal = solution(rows)[:, earlier].cpu().double().numpy()
            response = after[hit, variable].cpu().double().numpy()
            chosen, coefficients, sd = sparse_regression(causal, response, least_sd=solution.min_scale)
            parents = [earlier[k] for k in chosen]
            _compose_linear(objective, variable, parents, coefficients, sd)
            adjacency[parents, variable] = 1.0
        solution.adjacency.copy_(adjacency)
        return {"edges": float(adjacency.sum())}


@torch.no_grad()
def find_order(model: Any, guide: Any, pairs: Mapping[str, Tensor] | Tensor) -> list[int]:
    """Put the variables in a causal order, and let solution functions see the causal variables of predecessors.

    Sets the buffers ``order``, ``context`` and ``resolved`` of the solution functions
    (:meth:`pyro_lcm.causal.solution.SolutionFunctions.set_order`); all predecessors count as parents until
    :class:`FindParents` says more. Their networks have to be trained on after it, since they see something else.

    The order is that of regressions of redrawn noise encodings on all others
    (:func:`~pyro_lcm.identify.causal_order.causal_order_of_redrawn`), which are right before solution functions
    are: in the middle of a fit of eight variables no edge of three systems went backwards, where the Jacobian of the
    solution functions turned two edges of one of them (disentanglement .91 in place of .97).

    Args:
        model: with a ``solution`` of :class:`~pyro_lcm.causal.solution.SolutionFunctions`, trained for a while.
        guide: with an ``encoder`` and a ``target_encoder``.
        pairs: ``x`` and ``x_after``, (pairs, ...), and ``targets`` where some are known. Of observations alone,
            (rows, ...), or where a variable is hardly ever a target, the order is that of the Jacobian.

    Returns:
        Variables 0..d-1 from causes to effects.
    """
    order = _order_of(model, guide, pairs)
    model.solution.set_order(order)
    model.solution.adjacency.copy_(model.solution.context)
    return order


@dataclass(frozen=True)
class FindOrder:
    """:func:`find_order` as the beginning of a phase.

    Attributes:
        program: which program of the objective's (:meth:`~pyro_lcm.training.objective.PairObjective.programs`).
        pairs: how many pairs to use at most.
    """

    program: str | None = None
    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the buffers of the program's solution functions."""
        model, guide = objective.programs(self.program)
        batch = sample_pairs(source, self.pairs, seed)
        before, after = encode_sides(guide.encoder, batch)
        set_target_prior(model, guide, after - before, batch.get("targets"))
        find_order(model, guide, batch)


def _order_of(model: Any, guide: Any, pairs: Mapping[str, Tensor] | Tensor) -> list[int]:
    if isinstance(pairs, Tensor):
        return causal_order(model.solution, encode_in_chunks(guide.encoder, pairs))
    before, after, target = encode_pairs(guide, pairs)
    seen = torch.bincount(target.clamp(min=0), minlength=model.dim_z + 1)[1:]
    if int(seen.min()) < MIN_ROWS + 4 * model.dim_z:
        return causal_order(model.solution, before[:2000])
    return causal_order_of_redrawn(before, as_perfect(model, before, after), target)


@dataclass(frozen=True)
class FindParents:
    """Choose each variable's parents among its predecessors, by the evidence of nonlinear regressions.

    By nature z_i depends on its parents, given all predecessors on nothing else, and redrawn it depends on nothing. A
    solution function that is not exact leaves a dependence in both, so what counts is how much better predecessors
    explain z_i before than z~_i after an intervention on i, in nats per row. Where solution functions are to be
    trained further, predecessors stay that explain z_i, or the redrawn e~_i, whose mechanism needs no solution function
    of i: one that is missing cannot come back, one too many is seen later.

    Attributes:
        program: which program of the objective's (:meth:`~pyro_lcm.training.objective.PairObjective.programs`).
        restrict: whether solution functions see their parents alone from here on, to be trained further.
        rows: how many observations for one regression at most; four times as many pairs for each target are looked at.
    """

    program: str | None = None
    restrict: bool = False
    rows: int = 2_000

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the buffer ``adjacency`` of the solution functions, and ``context`` if asked for; see the class."""
        model, guide = objective.programs(self.program)
        solution = model.solution  # type: ignore[attr-defined]
        batch = sample_pairs(source, 4 * self.rows * (solution.dim + 1), seed)
        before, after, target = encode_pairs(guide, batch)
        after = as_perfect(model, before, after)
        natural = solution(before[: self.rows]).cpu().double().numpy()
        adjacency = torch.zeros_like(solution.context)
        for variable in range(solution.dim):
            earlier = solution.context[:, variable].nonzero().squeeze(1).tolist()
            hit = (target == variable + 1).nonzero().squeeze(1)[: self.rows]
            if len(hit) < MIN_ROWS + 2 * len(earlier):
                adjacency[earlier, variable] = 1.0
                continue
            if self.restrict:
                causes, response = solution(before[hit])[:, earlier], after[hit, variable]
                kept = {
                    *nonlinear_parents(natural[:, earlier], natural[:, variable], least=MIN_GAIN / 2),
                    *nonlinear_parents(
                        causes.cpu().double().numpy(), response.cpu().double().numpy(), least=MIN_GAIN / 2
                    ),
                }
                adjacency[[earlier[k] for k in kept], variable] = 1.0
                continue
            redrawn = solution(after[hit]).cpu().double().numpy()
            chosen = mechanism_parents(
                natural[:, earlier], natural[:, variable], redrawn[:, earlier], redrawn[:, variable]
            )
            adjacency[[earlier[k] for k in chosen], variable] = 1.0
        if self.restrict:
            solution.set_parents(adjacency)
        else:
            solution.adjacency.copy_(adjacency)
        return {"edges": float(adjacency.sum())}


def _compose_together(solution: SolutionFunctions, before: Tensor, after: Tensor, target: Tensor) -> float:
    """Set all solution functions, and the graph, from the linear mechanisms of all variables; the number of edges."""
    noise, noise_after = (side.cpu().double().numpy() for side in (before, after))
    numbers = target.cpu().numpy()
    order = linear_order(noise, noise_after, numbers)
    found = linear_mechanisms(noise, noise_after, numbers, order, least_sd=solution.min_scale)
    solution.context.zero_()
    for place, variable in enumerate(order):
        solution.context[order[:place], variable] = 1.0
    solution.adjacency.copy_(torch.as_tensor(found.direct.T != 0))
    networks = solution.networks
    scale = np.maximum((found.sds - solution.min_scale) / (1 - solution.min_scale), 1e-3)
    networks.affine.zero_()
    networks.affine[:, :, 0] = torch.as_tensor(found.total).to(networks.affine)
    networks.bias[:, 0, 0] = torch.as_tensor(found.intercepts).to(networks.bias)
    networks.bias[:, 0, 1] = torch.as_tensor(np.log(scale)).to(networks.bias)
    if len(networks.weights):
        networks.weights[-1].zero_()
        networks.biases[-1].zero_()
    return float(solution.adjacency.sum())


def _compose_linear(
    objective: RecipeObjective, variable: int, parents: list[int], coefficients: Array, sd: float
) -> None:
    """Set s_i from shift_i = b + sum_k c_k z_k, the z_k of the parents being affine in the noise encodings already."""
    solution = objective.model.solution
    networks = solution.networks
    probe = torch.cat([torch.zeros(1, solution.dim), torch.eye(solution.dim)]).to(solution.context)
    causal = solution(probe)[:, parents].double()
    constant, slopes = causal[0], causal[1:] - causal[:1]
    weights = torch.as_tensor(coefficients[:-1], device=causal.device)
    scale = max((sd - solution.min_scale) / (1 - solution.min_scale), 1e-3)
    networks.affine[variable] = 0.0
    networks.affine[variable, :, 0] = (slopes @ weights).to(networks.affine)
    networks.bias[variable, 0, 0] = float(constant @ weights + coefficients[-1])
    networks.bias[variable, 0, 1] = float(np.log(scale))
    if len(networks.weights):
        networks.weights[-1][variable].zero_()
        networks.biases[-1][variable].zero_()


@dataclass(frozen=True)
class FindReadouts:
    """Set the linear readouts that the solution functions are fitted to, if every variable has one.

    They are believed if there is a line for each target that the guide infers, and nearly all of the target's
    larger moves belong to it; else nothing is set, and the solution functions learn from densities alone.

    Attributes:
        pairs: how many pairs to use at most.
        tolerance: of the lines.
    """

    pairs: int = 50_000
    tolerance: float = 0.02

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the objective's readouts; see the class."""
        if objective.features:  # these are of features that come with the pairs, not of the code
            return {"readouts": 0.0}
        batch = sample_pairs(source, self.pairs, seed)
        encoder = objective.guide.encoder
        before, after, told = encode_pairs(objective.guide, batch)
        target = told.cpu().numpy()
        sides = [encoder.code(batch[side]).cpu().double().numpy() for side in ("x", "x_after")]
        differences = sides[1] - sides[0]
        dim = differences.shape[1]
        lines = find_nested_directions(differences, dim, tolerance=self.tolerance, seed=seed)
        if match_targets(lines, target, np.linalg.norm(differences, axis=1)) is None:
            return {"readouts": 0.0}
        effects_first = objective.model.solution.order.cpu().numpy()[::-1]
        directions = directions_in_order(differences, target, effects_first)
        if directions is None:
            return {"readouts": 0.0}
        weight, bias = linear_readouts(directions, effects_first, sides[1], target)
        rising = ((after - before).cpu().double().numpy() * (differences @ weight)).sum(0)
        sign = np.where(rising < 0, -1.0, 1.0)
        objective.readouts.set_linear(torch.as_tensor(weight * sign), torch.as_tensor(bias * sign))
        return {"readouts": float(dim)}


@dataclass(frozen=True)
class FindOrderAndReadouts:
    """:class:`~pyro_lcm.recipes.structure.FindOrder`, then readouts.

    Attributes:
        readouts: the hook that sets them; by default those of a linear mixing.
    """

    readouts: Callable[[Any, DataSource, int], dict[str, float]] = field(default_factory=FindReadouts)

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the buffers of the model and of the objective."""
        FindOrder()(objective, source, seed)
        return self.readouts(objective, source, seed)
