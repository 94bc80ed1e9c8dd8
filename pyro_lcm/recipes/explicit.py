"""Recipe of the explicit model: the implicit one's noise encodings first, then the graph with its mechanisms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.graph_sites import FixedOrder
from pyro_lcm.identify.causal_order import causal_order_of_redrawn, least_squares
from pyro_lcm.identify.parents import choose_parents
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.calibrate import Calibrate
from pyro_lcm.recipes.encodings import encode_pairs, sample_pairs
from pyro_lcm.recipes.implicit import coordinates
from pyro_lcm.recipes.objective import HARD, IMPLICIT
from pyro_lcm.training.phases import Phase, Setting
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource

GIVEN: dict[str, Setting] = {"program": "given_graph"}
"""The program given the graph found."""


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
        before, after, target = encode_pairs(objective.guide, batch)
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
class ReadGraph:
    """Let the model reason with the guide's most probable graph, less the edges without evidence.

    One in 100,000 pairs is all that a prior has to say against an edge that changes nothing, and its logit drifts. So
    each variable keeps those of its parents on which a regression of its redrawn noise encoding depends. A fixed order,
    in model and guide, keeps the same edges. Mechanisms have to be trained on after it: their networks see which
    variables are parents.

    Attributes:
        linear: whether mechanisms are linear.
        evidence: whether edges are left out. After a soft intervention a redrawn noise encoding depends on what has
            changed of the mechanism, which says nothing of parents that matter as before.
        pairs: how many pairs to use at most.
        rows: how many of them for one nonlinear regression at most.
    """

    linear: bool = False
    evidence: bool = True
    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the model's buffer, and a graph that is fixed; see the class."""
        if not self.evidence:
            objective.model.adjacency.copy_(objective.guide.graph())
            return {"edges": float(objective.model.adjacency.sum())}
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        graph = guide.graph()
        before, after, target = encode_pairs(objective.guide, batch)
        causal = model.causal(before, graph).double().cpu().numpy()
        kept = torch.zeros_like(model.adjacency)
        for i in range(model.dim_z):
            parents = graph[:, i].nonzero().flatten()
            rows = (target == i + 1).cpu().numpy()
            features, response = causal[rows][:, parents.cpu().numpy()], after.double().cpu().numpy()[rows, i]
            chosen = choose_parents(features, response, linear=self.linear, rows=self.rows)
            kept[parents[chosen], i] = 1.0
        edges = {"edges": float(kept.sum()), "edges_of_guide": float(graph.sum())}
        set_graph(model, guide, kept)
        return edges


def set_graph(model: Any, guide: Any, adjacency: Tensor) -> None:
    """Set the graph of an explicit model's buffer, (d, d), and those that are fixed in model and guide."""
    model.adjacency.copy_(adjacency)
    for graphs in (model.graphs, guide.graphs):
        if isinstance(graphs, FixedOrder):
            graphs.adjacency.copy_(adjacency)


def explicit(
    budget: Budget | None = None,
    *,
    dim: int = 4,
    wide: bool = False,
    flat: bool = False,
    linear: bool = False,
    latent: bool = True,
    invertible: bool = False,
) -> tuple[Phase, ...]:
    """The recipe of the explicit model: the implicit one's noise encodings, then the graph and its mechanisms.

    Where mixing or mechanisms are not linear, SVI of everything goes on once the graph is latent; else closed forms
    have found the encodings, and they are held fixed until the last phase.

    Args:
        budget: steps; the graph and its mechanisms take a fifth of ``solutions`` where mechanisms are linear and all
            of them elsewhere, the logits alone a tenth, the last phase half of ``refine``.
        dim: number of causal variables.
        wide: whether x has more directions than there are variables.
        flat: whether an affine code is enough.
        linear: whether mixing and mechanisms are linear.
        latent: whether something about the graph has logits; not so for a fixed order.
        invertible: whether the decoder is the encoder's inverse.

    Returns:
        The phases, for a :class:`~pyro_lcm.recipes.objective.ImplicitFirst`.
    """
    b = Budget() if budget is None else budget
    phases = [
        *coordinates(budget, dim=dim, wide=wide, flat=flat, linear=linear, invertible=invertible, program=IMPLICIT)
    ]
    if linear:
        phases.append(Phase("calibrate", 0, settings=HARD, start=Calibrate(straight=True)))
    phases.append(Phase("regress", 0, settings=HARD, start=RegressMechanisms()))
    phases += _graph_phases(b, linear=linear, latent=latent, invertible=invertible)
    if not (linear or invertible):
        phases.append(Phase("decoder", 0, settings=HARD, start=Calibrate(solutions=False)))
    if b.refine > 1 and (linear or not invertible):
        rate, size = Cosine(1e-3, 1e-5), max(1, b.batch_size // 2)
        phases.append(Phase("refine", b.refine // 2, rate, size, HARD | GIVEN, gradient_clip=10.0))
    return tuple(phases)


def _graph_phases(b: Budget, *, linear: bool, latent: bool, invertible: bool) -> list[Phase]:
    """The logits by themselves, then with the mechanisms; then the mechanisms of the graph found."""
    size, through_encoder = max(1, b.batch_size // 2), not (linear or invertible)
    # The inverse of a decoder has no parameters of its own.
    encodings = ("guide.target_encoder", "model.decoder", *(() if invertible else ("guide.encoder",)))
    settings = HARD | ({"through_encoder": True} if through_encoder else {})
    phases = []
    if latent and b.solutions:
        freeze = (*encodings, "model.mechanisms")
        rate = Cosine(0.2, 1e-2)
        phases.append(Phase("logits", b.solutions // 10, rate, size, settings, freeze=freeze, gradient_clip=10.0))
    read = ReadGraph(linear=linear)
    if linear:
        rate = Cosine(1e-2, 1e-4)
        phases.append(Phase("graph", b.solutions // 5, rate, size, HARD, freeze=encodings, gradient_clip=10.0))
        return [*phases, Phase("read", 0, settings=HARD, start=read)]
    first = b.solutions // 2
    rate = Cosine(3e-3, 1e-5)
    turn = rate.value(0.5)
    how: dict[str, Any] = {
        "freeze": ("guide.encoder.body",) if through_encoder else (),
        "gradient_clip": 20.0,
        "optimizer": "soap",
    }
    phases.append(Phase("graph", first, Cosine(3e-3, turn), size, settings, **how))
    last = Phase(
        "mechanisms",
        b.solutions - first,
        Cosine(turn, 1e-5),
        size,
        settings | GIVEN,
        start=read,
        reset_optimizer=False,
        **how,
    )
    return [*phases, last]
