"""Order, graph and mechanisms, found from the pairs themselves.

Nothing makes learned solution functions acyclic, and a graph read off their Jacobian inherits the errors of d
regressions at once. This hook goes through the variables in a causal order instead. For variable i, only the pairs
whose target it is say anything, and what they say is a regression on the *causal variables* of its predecessors,

    e~_i = scale_i z~_i + shift_i(z_pred),      z~_i independent of z_pred,

in which only the parents matter. Where everything is linear, parents are chosen by evidence at once, and the solution
functions are recomposed from the sparse mechanisms, which leaves far fewer numbers to estimate than one regression on
all noise encodings. Elsewhere solution functions are trained first, and :class:`FindParents` looks at the mechanisms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.readout import causal_order
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.warmstart import encode_in_chunks, hard_targets, regress_solutions, sample_pairs

Array = NDArray[np.float64]

MIN_GAIN = 0.01
"""Evidence per row, in nats, that a parent has to add: about two per cent of the variance left."""
MIN_ROWS = 20
"""Fewest pairs with a variable as target from which parents are chosen; below, all predecessors are kept."""


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
        before, after = (encode_in_chunks(objective.guide.encoder, batch[side]) for side in ("x", "x_after"))
        target = hard_targets(objective.guide, before, after, batch.get("targets"))
        if self.linear:
            # Stochastic gradients leave the coefficients a little off the least squares that the order is read from.
            regress_solutions(objective.model.solution, before, after, target)
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
            chosen, coefficients, sd = sparse_regression(causal, response)
            parents = [earlier[k] for k in chosen]
            _compose_linear(objective, variable, parents, coefficients, sd)
            adjacency[parents, variable] = 1.0
        solution.adjacency.copy_(adjacency)
        return {"edges": float(adjacency.sum())}


@torch.no_grad()
def find_order(model: Any, guide: Any, x: Tensor) -> list[int]:
    """Put the variables in a causal order, and let solution functions see the causal variables of predecessors.

    Sets the buffers ``order``, ``context`` and ``resolved`` of the solution functions
    (:meth:`pyro_lcm.causal.solution.SolutionFunctions.set_order`); all predecessors count as parents until
    :class:`FindParents` says more. Their networks have to be trained on after it, since they see something else.

    Args:
        model: with a ``solution`` of :class:`~pyro_lcm.causal.solution.SolutionFunctions`, trained for a while.
        guide: with an ``encoder``.
        x: (rows, ...) observations to read the order from; 2,000 are enough.

    Returns:
        Variables 0..d-1 from causes to effects.
    """
    order = causal_order(model.solution, encode_in_chunks(guide.encoder, x))
    model.solution.set_order(order)
    model.solution.adjacency.copy_(model.solution.context)
    return order


@dataclass(frozen=True)
class FindOrder:
    """:func:`find_order` as the beginning of a phase.

    Attributes:
        rows: how many noise encodings to read the order from.
    """

    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the buffers of the objective's model."""
        find_order(objective.model, objective.guide, sample_pairs(source, self.rows, seed)["x"])


@dataclass(frozen=True)
class FindParents:
    """Choose each variable's parents among its predecessors, by the evidence of nonlinear regressions.

    By nature z_i depends on its parents, given all predecessors on nothing else, and redrawn it depends on nothing. A
    solution function that is not exact leaves a dependence in both, so what counts is how much better predecessors
    explain z_i before than z~_i after an intervention on i, in nats per row.

    Attributes:
        pairs: how many pairs to use at most.
        rows: how many of them for one regression at most.
    """

    pairs: int = 100_000
    rows: int = 2_000

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the buffer ``adjacency`` of the solution functions; see the class."""
        solution = objective.model.solution
        batch = sample_pairs(source, self.pairs, seed)
        before, after = (encode_in_chunks(objective.guide.encoder, batch[side]) for side in ("x", "x_after"))
        target = hard_targets(objective.guide, before, after, batch.get("targets"))
        natural = solution(before[: self.rows]).cpu().double().numpy()
        adjacency = torch.zeros_like(solution.context)
        for variable in range(solution.dim):
            earlier = solution.context[:, variable].nonzero().squeeze(1).tolist()
            hit = (target == variable + 1).nonzero().squeeze(1)[: self.rows]
            if len(hit) < MIN_ROWS + 2 * len(earlier):
                adjacency[earlier, variable] = 1.0
                continue
            redrawn = solution(after[hit]).cpu().double().numpy()
            chosen = mechanism_parents(
                natural[:, earlier], natural[:, variable], redrawn[:, earlier], redrawn[:, variable]
            )
            adjacency[[earlier[k] for k in chosen], variable] = 1.0
        solution.adjacency.copy_(adjacency)
        return {"edges": float(adjacency.sum())}


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


def choose_parents(features: Array, response: Array, *, linear: bool, rows: int) -> list[int]:
    """Features on which a response depends: by sparse regression where linear, else by evidence on the first rows.

    All of them where there are fewer than :data:`MIN_ROWS` rows and two for each.

    Args:
        features: (N, p).
        response: (N,).
        linear: whether the response is linear in them.
        rows: how many to use at most where it is not.

    Returns:
        The features chosen.
    """
    if len(response) < MIN_ROWS + 2 * features.shape[1]:
        return list(range(features.shape[1]))
    if linear:
        return sparse_regression(features, response)[0]
    return nonlinear_parents(features[:rows], response[:rows])


def sparse_regression(features: Array, response: Array) -> tuple[list[int], Array, float]:
    """Least squares with backward elimination by the extended Bayesian information criterion.

    The weakest coefficient goes as long as its squared t statistic is below twice log N + 2 log p (Chen and Chen,
    Biometrika 2008, with gamma = 1), for N rows and p features; twice, because the features are estimates too.

    Args:
        features: (N, p).
        response: (N,).

    Returns:
        The features kept, their coefficients with the intercept last, and the standard deviation of what is left.
    """
    rows, width = features.shape
    design = np.column_stack([features, np.ones(rows)])
    gram, moment = design.T @ design, design.T @ response
    penalty = 2 * (np.log(rows) + 2 * np.log(max(width, 1)))
    kept = list(range(width))
    while True:
        columns = [*kept, width]
        inverse = np.linalg.pinv(gram[np.ix_(columns, columns)], hermitian=True)
        coefficients = inverse @ moment[columns]
        residual = response - design[:, columns] @ coefficients
        variance = max(float(residual @ residual) / max(rows - len(columns), 1), 1e-12)
        if not kept:
            return kept, coefficients, variance**0.5
        strength = np.square(coefficients[:-1]) / (variance * np.maximum(inverse.diagonal()[:-1], 1e-300))
        weakest = int(strength.argmin())
        if strength[weakest] >= penalty:
            return kept, coefficients, variance**0.5
        kept.pop(weakest)


def nonlinear_parents(features: Array, response: Array) -> list[int]:
    """Features on which a response depends, by the evidence of Bayesian nonlinear regression.

    Args:
        features: (N, p).
        response: (N,).

    Returns:
        The features chosen, each of which adds at least :data:`MIN_GAIN` nats per row.
    """
    return _select(features.shape[1], _evidence(features, response))


def mechanism_parents(features: Array, natural: Array, features_redrawn: Array, redrawn: Array) -> list[int]:
    """Features on which a variable depends by nature and not when it is redrawn.

    Args:
        features: (N, p) predecessors.
        natural: (N,) the variable.
        features_redrawn: (M, p) predecessors in the rows where the variable was redrawn.
        redrawn: (M,) what was drawn.

    Returns:
        The features chosen, each of which adds at least :data:`MIN_GAIN` nats per row to the difference of evidence.
    """
    by_nature, by_chance = _evidence(features, natural), _evidence(features_redrawn, redrawn)
    nothing: list[list[int]] = [[]]
    base = by_chance(nothing)[0]

    def evidence(sets: list[list[int]]) -> Array:
        # Evidence against a dependence of what was redrawn speaks for no other one.
        return by_nature(sets) - np.maximum(by_chance(sets) - base, 0.0)

    return _select(features.shape[1], evidence)


def _evidence(features: Array, response: Array) -> Callable[[list[list[int]]], Array]:
    """Log evidence per row of a response given sets of features."""
    from pyro_lcm.discovery.nonlinear import NonlinearScore
    from pyro_lcm.discovery.scores import GraphData

    width = features.shape[1]
    values = np.column_stack([features, response])
    score = NonlinearScore(GraphData((values - values.mean(0)) / np.maximum(values.std(0), 1e-12)))

    def evidence(sets: list[list[int]]) -> Array:
        mask = np.zeros((len(sets), width + 1), dtype=bool)
        for row, members in enumerate(sets):
            mask[row, members] = True
        return np.asarray(score.local(width, mask)) / len(response)

    return evidence


def _select(width: int, evidence: Callable[[list[list[int]]], Array]) -> list[int]:
    """Forward selection, then backward, by evidence per row."""
    chosen: list[int] = []
    current = evidence([chosen])[0]
    while len(chosen) < width:
        left = [k for k in range(width) if k not in chosen]
        values_with = evidence([[*chosen, k] for k in left])
        best = int(values_with.argmax())
        if values_with[best] - current < MIN_GAIN:
            break
        chosen, current = [*chosen, left[best]], values_with[best]
    while len(chosen) > 1:
        without = evidence([[k for k in chosen if k != dropped] for dropped in chosen])
        best = int(without.argmax())
        if current - without[best] >= MIN_GAIN:
            break
        chosen, current = [k for k in chosen if k != chosen[best]], without[best]
    return sorted(chosen)
