"""A recipe for soft interventions.

In noise encodings a soft intervention moves one component like a perfect one, and the first phases are those of
:func:`pyro_lcm.training.recipe.identify`. What is left are the causal variables, from x = Q z + b with an isometry Q
(:mod:`pyro_lcm.models.soft_ilcm` says why it has to be one), in closed form:

- e~_i depends on e_j only if j is an ancestor of i, unless the two mechanisms of i agree on it: a causal order;
- an intervention on i moves x within the span of the columns of i and its descendants. So the moves of the last
  variable lie on a line, its column of Q; those of the one before, projected away from that, lie on a line again; and
  so on to the first (for linear mechanisms this is a QR decomposition);
- solution functions and changed mechanisms are regressions of z = Q'(x - b) on e.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe import Budget, coordinates
from pyro_lcm.training.recipe_objective import RecipeObjective, hard_targets
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.structure import choose_parents
from pyro_lcm.training.warmstart import encode_in_chunks, sample_pairs, set_spreads


class SoftObjective(RecipeObjective):
    """The recipe's objective for :class:`pyro_lcm.models.soft_ilcm.SoftILCM` and its guide."""

    def solution_loss(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(x | e) - log p(x~ | e~) - log p(e~_I | e) per pair, the encoder held fixed, hard targets."""
        model: Any = self.model
        guide: Any = self.guide
        x = torch.cat([tensors["x"], tensors["x_after"]])
        with torch.no_grad():
            mean, sd = guide.encoder(x)
            noise = mean + sd * torch.randn_like(sd)
            before, after = noise.chunk(2)
            first, second = mean.chunk(2)
            target = hard_targets(self, first, second, tensors.get("targets"))
        density = model.redrawn_dist(before, target).log_prob(after)
        hit = target > 0
        redrawn = torch.where(hit, density.gather(1, (target - 1).clamp(min=0).unsqueeze(1)).squeeze(1), 0.0)
        fit = 2 * model.x_dist(noise).log_prob(x).mean()
        metrics = {"reconstruction": fit.detach(), "log_redrawn": (redrawn.sum() / hit.sum().clamp(min=1)).detach()}
        return -fit - redrawn.mean(), metrics


@dataclass(frozen=True)
class PeelSinks:
    """Find a causal order, the isometric decoder and linear mechanisms in closed form; see the module.

    Targets are the known ones, or those that the encoder's moves tell.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set decoder, solution functions, changed mechanisms and standard deviations; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
        guide.target_encoder.fit(after - before, batch.get("targets"))
        target = hard_targets(objective, before, after, batch.get("targets"))
        order = causal_order_of_redrawn(before, after, target)
        moves = (batch["x_after"] - batch["x"]).double()
        columns, straightness = peel_sinks(moves, target, order)
        decoder = model.decoder
        decoder.free.copy_(columns.to(decoder.free))
        decoder.bias.copy_(batch["x"].mean(0))
        decoder.log_scale.zero_()
        # A variable goes up with its own noise encoding: its move decides the sign of its column.
        sign = ((after - before) * (decoder.inverse(batch["x_after"]) - decoder.inverse(batch["x"]))).sum(0).sign()
        decoder.free.mul_(sign)
        z, z_after = decoder.inverse(batch["x"]), decoder.inverse(batch["x_after"])
        for place, i in enumerate(order):
            earlier = order[:place]
            own, rest, constant, _ = least_squares(before, [i, *earlier], z[:, i], split=True)
            _set_affine(model.solution, i, earlier, -rest / own, -constant / own, 1 / own)
            rows = target == i + 1
            _, rest, constant, sd = least_squares(before[rows], earlier, z_after[rows, i])
            _set_affine(model.changed, i, earlier, rest, constant, sd)
        residual = (model.x_dist(before).mean - batch["x"]).square().mean(0).sqrt()
        set_spreads(decoder, guide.encoder, residual, lambda noise: decoder(model.causal(noise)), before)
        return {"straightness": straightness, "decoder_sd": float(residual.mean())}


def causal_order_of_redrawn(before: Tensor, after: Tensor, target: Tensor) -> list[int]:
    """Variables 0..d-1 from causes to effects, by how well e before predicts e~ of the target.

    Args:
        before: (N, d) noise encodings before.
        after: (N, d) noise encodings after.
        target: (N,) long, 0..d.

    Returns:
        Each time the variable that those left predict least.

    Raises:
        ValueError: If a variable is the target of too few pairs to tell.
    """
    dim = before.shape[1]
    dependence = np.zeros((dim, dim))
    for i in range(dim):
        rows = target == i + 1
        if int(rows.sum()) <= 4 * dim:
            raise ValueError(f"targets: variable {i + 1} is the target of {int(rows.sum())} pairs, expected more")
        others = [j for j in range(dim) if j != i]
        # The second half of the features sees even functions, which a slope does not.
        features = torch.cat([before[rows], before[rows].abs()], 1)
        response = after[rows, i] / after[rows, i].std()
        chosen = others + [j + dim for j in others]
        _, rest, _, _ = least_squares(features, chosen, response)
        strength = rest.square().view(2, -1).sum(0).sqrt()
        dependence[i, others] = strength.cpu().numpy()
    left, order = list(range(dim)), list[int]()
    while left:
        order.append(left.pop(int(dependence[np.ix_(left, left)].max(axis=1).argmin())))
    return order


def peel_sinks(moves: Tensor, target: Tensor, order: Sequence[int]) -> tuple[Tensor, float]:
    """Columns of an isometry x = Q z from moves of x under interventions on single variables.

    Args:
        moves: (N, dim_x) differences x~ - x.
        target: (N,) long, target of each, 0..d.
        order: variables 0..d-1 from causes to effects.

    Returns:
        Q, (dim_x, d) with orthonormal columns of arbitrary signs; and the smallest share of a variable's moves that
        was on its line when it was peeled off, 1 if all is as assumed.

    Example:
        >>> target = torch.tensor([1, 1, 2, 2])
        >>> z = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [0.0, 1.0], [0.0, 2.0]])   # moves under z1 -> z2
        >>> columns, straightness = peel_sinks(z @ torch.tensor([[0.6, 0.8], [0.8, -0.6]]), target, [0, 1])
        >>> columns.abs().round(decimals=3).tolist(), round(straightness, 3)
        ([[0.6..., 0.8...], [0.8..., 0.6...]], 1.0)
    """
    columns = moves.new_zeros(moves.shape[1], len(order))
    straightness = 1.0
    for variable in reversed(order):
        own = moves[target == variable + 1]
        own = own - own @ columns @ columns.T
        values, vectors = torch.linalg.eigh(own.T @ own)
        straightness = min(straightness, float(values[-1] / values.clamp(min=0).sum()))
        columns[:, variable] = vectors[:, -1]
    return columns, straightness


def least_squares(
    features: Tensor, chosen: Sequence[int], response: Tensor, *, split: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficient of the first feature (if ``split``), of the rest, constant, and the residual's deviation."""
    design = torch.cat([features[:, list(chosen)], torch.ones_like(features[:, :1])], 1).double()
    solved = torch.linalg.lstsq(design, response.double().unsqueeze(1)).solution.squeeze(1)
    sd = (response.double() - design @ solved).square().mean().sqrt()
    first = 1 if split else 0
    return solved[0], solved[first:-1], solved[-1], sd


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


@dataclass(frozen=True)
class ReadParents:
    """Choose the parents of each variable among its predecessors, from the causal variables before.

    Attributes:
        linear: whether mechanisms are linear.
        pairs: how many pairs to use at most.
        rows: how many of them for one nonlinear regression at most.
    """

    linear: bool = False
    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the buffer ``adjacency`` of the solution functions; see the class."""
        model = objective.model
        x = sample_pairs(source, self.pairs, seed)["x"]
        causal = model.causal(encode_in_chunks(objective.guide.encoder, x)).double().cpu().numpy()
        context = model.solution.context
        adjacency = torch.zeros_like(context)
        for i in range(model.dim_z):
            earlier = context[:, i].nonzero().flatten()
            features, response = causal[:, earlier.cpu().numpy()], causal[:, i]
            chosen = choose_parents(features, response, linear=self.linear, rows=self.rows)
            adjacency[earlier[chosen], i] = 1.0
        model.solution.adjacency.copy_(adjacency)
        return {"edges": float(adjacency.sum())}


def soft(budget: Budget | None = None, *, linear: bool = False) -> tuple[Phase, ...]:
    """The recipe for a :class:`SoftObjective`.

    Args:
        budget: steps; ``refine`` is halved, for the decoder's isometry is found already and held fixed.
        linear: whether mixing and mechanisms are linear.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    isometry = ("model.decoder.free", "model.decoder.log_scale")
    solutions = {"stage": "solutions"}
    phases = [
        *coordinates(budget, linear=linear),
        Phase("peel", 0, settings=solutions, start=PeelSinks()),
    ]
    if not linear and b.solutions:
        freeze = ("guide", *isometry)
        rate = Cosine(5e-3, 1e-5)
        phases.append(
            Phase("mechanisms", b.solutions, rate, b.batch_size, solutions, freeze=freeze, gradient_clip=20.0)
        )
    rate, hard = Cosine(1e-3, 1e-5), {"hypotheses": 1}
    phases.append(Phase("refine", b.refine // 2, rate, b.batch_size, hard, freeze=isometry, gradient_clip=10.0))
    return (*phases, Phase("parents", 0, settings=solutions, start=ReadParents(linear=linear)))
