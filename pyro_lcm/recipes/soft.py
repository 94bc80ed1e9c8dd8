"""Recipes for soft interventions, implicit and explicit.

In noise encodings a soft intervention moves one component like a perfect one, and the first phases are those of
:func:`pyro_lcm.recipes.implicit.identify`. What is left are the causal variables, by
:mod:`pyro_lcm.identify.isometric_mixing`, and then mechanisms before and after, as functions of noise encodings or of
the parents in a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.abilities import solution_of
from pyro_lcm.causal.graph_sites import FixedOrder
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.identify.causal_order import causal_order_of_redrawn, least_squares
from pyro_lcm.identify.isometric_mixing import isometry_from_sinks
from pyro_lcm.identify.parents import choose_parents
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import set_spreads
from pyro_lcm.recipes.encodings import encode_pairs, encode_sides, hard_targets, sample_pairs
from pyro_lcm.recipes.explicit import ReadGraph, set_graph
from pyro_lcm.recipes.implicit import coordinates
from pyro_lcm.recipes.objective import HARD, IMPLICIT
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource

ISOMETRY = ("model.decoder.free", "model.decoder.log_scale")
"""Parameters that are found in closed form and then held fixed."""


@dataclass(frozen=True)
class FindSoftMechanisms:
    """Find the isometric decoder, and solution functions and changed mechanisms as far as they are affine.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set decoder, solution functions, changed mechanisms and standard deviations; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, found = objective.model, unmix_isometry(objective, batch)
        for place, i in enumerate(found.order):
            earlier, rows = found.order[:place], found.target == i + 1
            own, rest, constant, _ = least_squares(found.noise, [i, *earlier], found.causal[:, i], split=True)
            _set_affine(model.solution, i, earlier, -rest / own, -constant / own, 1 / own)
            _, rest, constant, sd = least_squares(found.noise[rows], earlier, found.causal_after[rows, i])
            _set_affine(model.changed, i, earlier, rest, constant, sd)
        return _calibrate(objective, batch["x"], found)


@dataclass(frozen=True)
class FindSoftGraphMechanisms:
    """Find the isometric decoder, and the explicit model's mechanisms, before and after, as far as they are affine.

    Mechanisms are of all predecessors. Where one is no parent its coefficient is zero, so they serve every graph that
    has the true parents and agrees with the order. A fixed order, in model and guide, is set to the one found; other
    logits begin near it.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set decoder, mechanisms, order and standard deviations; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, found = objective.model, unmix_isometry(objective, batch)
        dim = model.dim_z
        both = torch.cat([found.causal, found.noise], 1)
        for place, i in enumerate(found.order):
            earlier, rows = found.order[:place], found.target == i + 1
            own, rest, constant, _ = least_squares(both, [dim + i, *earlier], found.causal[:, i], split=True)
            model.mechanisms.set_affine(i, _among(dim, earlier, rest), constant, own)
            _, rest, constant, sd = least_squares(found.causal_after[rows], earlier, found.causal_after[rows, i])
            model.changed.set_affine(i, _among(dim, earlier, rest), constant, sd)
        _set_graph(objective, FixedOrder(dim, found.order).adjacency)
        objective.guide.graphs.set_order(found.order)
        return _calibrate(objective, batch["x"], found)


@dataclass(frozen=True)
class ReadParents:
    """Choose the parents of each variable among its predecessors: what its mechanism depends on, before or after.

    A parent that hardly matters before may matter after, and the other way round.

    Attributes:
        linear: whether mechanisms are linear.
        pairs: how many pairs to use at most.
        rows: how many of them for one nonlinear regression at most.
    """

    linear: bool = False
    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the graph: of the solution functions, or of an explicit model whose order is fixed; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model = objective.model
        target = encode_pairs(objective.guide, batch)[2].cpu().numpy()
        causal, causal_after = (model.decoder.inverse(batch[side]).double().cpu().numpy() for side in ("x", "x_after"))
        solution = solution_of(model)
        allowed = model.graphs.adjacency if solution is None else solution.context
        adjacency = torch.zeros_like(allowed)
        for i in range(model.dim_z):
            earlier = allowed[:, i].nonzero().flatten()
            columns = earlier.cpu().numpy()
            for world in (causal, causal_after[target == i + 1]):
                chosen = choose_parents(world[:, columns], world[:, i], linear=self.linear, rows=self.rows)
                adjacency[earlier[chosen], i] = 1.0
        _set_graph(objective, adjacency)
        return {"edges": float(adjacency.sum())}


def soft(budget: Budget | None = None, *, dim: int = 4, linear: bool = False, sets: bool = False) -> tuple[Phase, ...]:
    """The recipe of the implicit models of soft interventions.

    Args:
        budget: steps; ``refine`` is halved, for the decoder's isometry is found already and held fixed.
        dim: number of causal variables.
        linear: whether mixing and mechanisms are linear.
        sets: whether several variables are targets at a time. Each component then says by itself whether it was
            redrawn, and a small error of the encoder makes it seem so; the last phase leaves the guide as it is.

    Returns:
        The phases, for a :class:`~pyro_lcm.recipes.objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    phases = [
        *coordinates(budget, dim=dim, linear=linear, program=None if sets else IMPLICIT),
        Phase("isometry", 0, settings=HARD, start=FindSoftMechanisms()),
    ]
    if not linear and b.solutions:
        freeze = ("guide", *ISOMETRY)
        rate = Cosine(5e-3, 1e-5)
        phases.append(Phase("mechanisms", b.solutions, rate, b.batch_size, HARD, freeze=freeze, gradient_clip=20.0))
    rate, held = Cosine(1e-3, 1e-5), (*ISOMETRY, *(("guide",) if sets else ()))
    phases.append(Phase("refine", b.refine // 2, rate, b.batch_size, HARD, freeze=held, gradient_clip=10.0))
    return (*phases, Phase("parents", 0, settings=HARD, start=ReadParents(linear=linear)))


def soft_explicit(
    budget: Budget | None = None, *, dim: int = 4, linear: bool = False, latent: bool = False
) -> tuple[Phase, ...]:
    """The recipe of the explicit model of soft interventions.

    Args:
        budget: steps; the graph and its mechanisms take ``solutions`` where mechanisms are not linear, and a fifth of
            that where only a graph is to be found; its logits alone a tenth; the last phase half of ``refine``.
        dim: number of causal variables.
        linear: whether mixing and mechanisms are linear.
        latent: whether something about the graph has logits; not so for a fixed order.

    Returns:
        The phases, for a :class:`~pyro_lcm.recipes.objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    size = max(1, b.batch_size // (8 if latent else 2))  # a wrong graph is seen to be wrong on a few pairs
    fixed = ("guide.encoder", "guide.target_encoder", *ISOMETRY)
    phases = [
        *coordinates(budget, dim=dim, linear=linear, program=IMPLICIT),
        Phase("isometry", 0, settings=HARD, start=FindSoftGraphMechanisms()),
    ]
    if not latent:
        phases.append(Phase("parents", 0, settings=HARD, start=ReadParents(linear=linear)))
    elif b.solutions:
        freeze, rate = (*fixed, "model.mechanisms", "model.changed"), Cosine(0.2, 1e-2)
        phases.append(Phase("logits", b.solutions // 10, rate, size, HARD, freeze=freeze, gradient_clip=10.0))
    steps = b.solutions if not linear else b.solutions // 5 if latent else 0
    if steps:
        rate = Cosine(5e-3, 1e-5)
        phases.append(Phase("graph", steps, rate, size, HARD, freeze=fixed, gradient_clip=20.0))
    if b.refine > 1:
        rate = Cosine(1e-3, 1e-5)
        phases.append(Phase("refine", b.refine // 2, rate, size, HARD, freeze=ISOMETRY, gradient_clip=10.0))
    return (*phases, Phase("read", 0, settings=HARD, start=ReadGraph(evidence=False)))


def _set_affine(
    functions: SolutionFunctions, i: int, inputs: Sequence[int], slope: Tensor, constant: Tensor, scale: Tensor
) -> None:
    """Make function i of these inputs alone affine: shift = slope . inputs + constant, and its scale constant."""
    networks = functions.networks
    context = torch.zeros_like(functions.context[:, i])
    context[list(inputs)] = 1.0
    functions.context[:, i] = context
    networks.affine[i].zero_()
    networks.affine[i, list(inputs), 0] = slope.to(networks.affine)
    networks.bias[i, 0, 0] = constant.to(networks.bias)
    inner = ((scale - functions.min_scale) / (1 - functions.min_scale)).clamp(min=1e-3)
    networks.bias[i, 0, 1] = inner.log().to(networks.bias)


def _among(dim: int, places: Sequence[int], values: Tensor) -> Tensor:
    """(d,) values at some places, zero elsewhere."""
    full = values.new_zeros(dim)
    full[list(places)] = values
    return full


def _set_graph(objective: Any, adjacency: Tensor) -> None:
    """Set the graph of the solution functions, or those of an explicit model: its own, and fixed ones."""
    model = objective.model
    solution = solution_of(model)
    if solution is not None:
        solution.adjacency.copy_(adjacency)
        return
    set_graph(model, objective.guide, adjacency)


def _calibrate(objective: Any, x: Tensor, found: UnmixedPairs) -> dict[str, float]:
    """Set the standard deviations of decoder and encoder to what affine mechanisms leave."""
    model, encoder = objective.model, objective.guide.encoder
    residual = (model.x_dist(found.noise).mean - x).square().mean(0).sqrt()
    set_spreads(model.decoder, encoder, residual, lambda noise: model.decoder(model.causal(noise)), found.noise)
    return {"straightness": found.straightness, "decoder_sd": float(residual.mean())}


@dataclass(frozen=True)
class UnmixedPairs:
    """Pairs in their causal variables, and what they were found from.

    Attributes:
        noise: (N, d) noise encodings before.
        causal: (N, d) causal variables before.
        causal_after: (N, d) causal variables after.
        target: (N,) long, 0 none, i variable i, -1 where several variables were hit.
        order: variables 0..d-1 from causes to effects.
        straightness: see :func:`isometry_from_sinks`.
    """

    noise: Tensor
    causal: Tensor
    causal_after: Tensor
    target: Tensor
    order: list[int]
    straightness: float


def unmix_isometry(objective: Any, batch: Mapping[str, Tensor]) -> UnmixedPairs:
    """Set the isometric decoder and the target encoder; targets are the known ones, or those that moves tell.

    Args:
        objective: holds a model with an isometric ``decoder`` and a guide with ``encoder`` and ``target_encoder``.
        batch: ``x`` and ``x_after``, (N, dim_x), and ``targets`` where some are known.

    Returns:
        The pairs in the causal variables found.
    """
    decoder, guide = objective.model.decoder, objective.guide
    before, after = encode_sides(guide.encoder, batch)
    guide.target_encoder.fit(after - before, batch.get("targets"))
    target = hard_targets(objective.guide, before, after, batch.get("targets"))
    order = causal_order_of_redrawn(before, after, target)
    columns, straightness = isometry_from_sinks((batch["x_after"] - batch["x"]).double(), target, order)
    decoder.free.copy_(columns.to(decoder.free))
    decoder.bias.copy_(batch["x"].mean(0))
    decoder.log_scale.zero_()
    # A variable goes up with its own noise encoding: its move decides the sign of its column.
    moved = decoder.inverse(batch["x_after"]) - decoder.inverse(batch["x"])
    decoder.free.mul_(((after - before) * moved).sum(0).sign())
    causal, causal_after = (decoder.inverse(batch[side]) for side in ("x", "x_after"))
    return UnmixedPairs(before, causal, causal_after, target, order, straightness)
