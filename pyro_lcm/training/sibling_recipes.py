"""Recipes of the models beside the implicit one: the same coordinates first, then what each model adds.

Coordinates in which the two sides of a pair differ in one component serve all models but the beta-VAE, so the first
phases are :func:`pyro_lcm.training.recipe.coordinates`. The dVAE and the guides that share unchanged factors
need no more than that and their own ELBO; the explicit model has a graph and mechanisms to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.graph_sites import FixedOrder
from pyro_lcm.training.peel import causal_order_of_redrawn, least_squares
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe import Budget, coordinates
from pyro_lcm.training.recipe_objective import hard_targets
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.structure import choose_parents
from pyro_lcm.training.warmstart import Calibrate, encode_in_chunks, sample_pairs

HARD = {"hypotheses": 1}


@dataclass(frozen=True)
class RegressMechanisms:
    """Find a causal order, and the mechanisms that are affine in all predecessors, in closed form.

    By e~_i = (z~_i - loc_i(z_pa)) / scale_i, a regression of the redrawn noise encoding on the causal variables of the
    predecessors gives the mechanism, one variable after the other. Where a predecessor is no parent its coefficient is
    zero, so these coefficients serve every graph that has the true parents and agrees with the order, and the graph's
    logits start with mechanisms that are worth comparing. A fixed order, in model and guide, is set to the one found;
    other logits begin near it (:data:`pyro_lcm.causal.graph_sites.ORDER_ODDS`).

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 20_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the mechanisms, and the order where it is fixed; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
        target = hard_targets(objective, before, after, batch.get("targets"))
        order = causal_order_of_redrawn(before, after, target)
        causal = torch.zeros_like(before)
        for place, i in enumerate(order):
            rows = target == i + 1
            _, slope, constant, sd = least_squares(causal[rows], order[:place], after[rows, i])
            loc = torch.zeros(model.dim_z + 1, dtype=slope.dtype, device=slope.device)
            loc[[*order[:place], model.dim_z]] = -torch.cat([slope, constant.unsqueeze(0)]) / sd
            model.mechanisms.set_affine(i, loc[:-1], loc[-1], 1 / sd)
            causal[:, i] = causal @ loc[:-1].to(causal) + loc[-1] + before[:, i] / sd
        guide.graphs.set_order(order)
        if isinstance(model.graphs, FixedOrder):
            model.graphs.set_order(order)


@dataclass(frozen=True)
class ChooseParents:
    """Leave edges out of a fixed order: those for which a regression of the redrawn noise encoding has no evidence.

    Attributes:
        linear: whether mechanisms are linear.
        pairs: how many pairs to use at most.
        rows: how many of them for one nonlinear regression at most.
    """

    linear: bool = False
    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the graph of the order, in model and guide; see the class."""
        model, guide = objective.model, objective.guide
        batch = sample_pairs(source, self.pairs, seed)
        kept = with_evidence(objective, guide.graphs.adjacency, batch, self)
        for graphs in (model.graphs, guide.graphs):
            graphs.adjacency.copy_(kept)
        return {"edges": float(kept.sum())}


def with_evidence(
    objective: Any, adjacency: Tensor, batch: Mapping[str, Tensor], how: ChooseParents | ReadGraph
) -> Tensor:
    """The edges of a graph, (d, d), on which a regression of redrawn noise encodings on causal variables depends."""
    model, guide = objective.model, objective.guide
    before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
    target = hard_targets(objective, before, after, batch.get("targets"))
    causal = model.causal(before, adjacency).double().cpu().numpy()
    kept = torch.zeros_like(adjacency)
    for i in range(model.dim_z):
        parents = adjacency[:, i].nonzero().flatten()
        rows = (target == i + 1).cpu().numpy()
        features, response = causal[rows][:, parents.cpu().numpy()], after.double().cpu().numpy()[rows, i]
        chosen = choose_parents(features, response, linear=how.linear, rows=how.rows)
        kept[parents[chosen], i] = 1.0
    return kept


@dataclass(frozen=True)
class ReadGraph:
    """Let the model reason with the guide's most probable graph, less the edges without evidence.

    One in 100,000 pairs is all that a prior has to say against an edge that changes nothing, and its logit drifts. So
    each variable keeps those of its parents on which a regression of its redrawn noise encoding depends.

    Attributes:
        linear: whether mechanisms are linear.
        pairs: how many pairs to use at most.
        rows: how many of them for one nonlinear regression at most.
    """

    linear: bool = False
    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the model's buffer; see the class."""
        model, guide = objective.model, objective.guide
        graph = guide.graph()
        model.adjacency.copy_(with_evidence(objective, graph, sample_pairs(source, self.pairs, seed), self))
        return {"edges": float(model.adjacency.sum()), "edges_of_guide": float(graph.sum())}


def share_factors(budget: Budget | None = None, *, wide: bool = False, linear: bool = False) -> tuple[Phase, ...]:
    """The recipe of the guides that share unchanged factors: coordinates, closed forms, ELBO."""
    b = Budget() if budget is None else budget
    phases = [*coordinates(budget, wide=wide, linear=linear)]
    phases.append(Phase("calibrate", 0, settings=HARD, start=Calibrate(straight=linear)))
    if b.refine:
        rate = Cosine(1e-3, 1e-5)
        phases.append(Phase("refine", b.refine, rate, b.batch_size, HARD, gradient_clip=10.0, keep="best"))
    return tuple(phases)


def explicit(
    budget: Budget | None = None,
    *,
    wide: bool = False,
    linear: bool = False,
    latent: bool = True,
) -> tuple[Phase, ...]:
    """The recipe of the explicit model: coordinates, the graph with its mechanisms, and everything together.

    Args:
        budget: steps; the graph and its mechanisms take a fifth of ``solutions`` where mechanisms are linear and all
            of them elsewhere, the logits alone a tenth, the last phase half of ``refine``.
        wide: whether x has more directions than there are variables.
        linear: whether mixing and mechanisms are linear.
        latent: whether something about the graph has logits; not so for a fixed order.

    Returns:
        The phases, for a :class:`~pyro_lcm.training.recipe_objective.RecipeObjective`.
    """
    b = Budget() if budget is None else budget
    size = max(1, b.batch_size // 2)
    fixed = ("guide.encoder", "guide.target_encoder", "model.decoder")
    rate = Cosine(1e-2, 1e-4)
    phases = [
        *coordinates(budget, wide=wide, linear=linear),
        Phase("calibrate", 0, settings=HARD, start=Calibrate(straight=linear)),
    ]
    phases.append(Phase("regress", 0, settings=HARD, start=RegressMechanisms()))
    if latent and b.solutions:
        freeze = (*fixed, "model.mechanisms")
        phases.append(
            Phase("logits", b.solutions // 10, Cosine(0.2, 1e-2), size, HARD, freeze=freeze, gradient_clip=10.0)
        )
    steps = b.solutions // 5 if linear else b.solutions
    phases.append(Phase("graph", steps, rate, size, HARD, freeze=fixed, gradient_clip=10.0))
    if not latent:
        phases.append(Phase("parents", 0, settings=HARD, start=ChooseParents(linear=linear)))
    if b.refine > 1:
        phases.append(Phase("refine", b.refine // 2, Cosine(1e-3, 1e-5), size, HARD, gradient_clip=10.0))
    return (*phases, Phase("read", 0, settings=HARD, start=ReadGraph(linear=linear)))
