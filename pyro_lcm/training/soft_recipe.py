"""A recipe for soft interventions: where perfect ones leave lines, soft ones leave nested subspaces.

In noise encodings a soft intervention moves one component like a perfect one, and the first phases are those of
:func:`pyro_lcm.training.recipe.identify`. The causal variables come from the decoder. With x = c Q z + b and Q an
isometry, an intervention on i moves x within the span of the columns of i and its descendants, so

- the moves of a variable without descendants lie on a line, which is its column of Q;
- projected away from that column, the next such variable's moves lie on a line, and so on.

This takes the graph apart from its sinks (:class:`PeelSinks`), gives Q and a causal order in closed form, and leaves
regressions for the mechanisms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.targets import UNKNOWN
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.warmstart import AlignToLines, encode_in_chunks, sample_pairs


class SoftObjective(RecipeObjective):
    """The recipe's objective for :class:`pyro_lcm.models.soft_ilcm.SoftILCM` and its guide."""

    def solution_loss(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(x | e) - log p(x~ | e~) - log p(e~_I | e) per pair, the encoder held fixed, hard targets."""
        x = torch.cat([tensors["x"], tensors["x_after"]])
        with torch.no_grad():
            mean, sd = self.guide.encoder(x)
            noise = mean + sd * torch.randn_like(sd)
            before, after = noise.chunk(2)
            target = hard_targets(self.guide.target_encoder, *mean.chunk(2), tensors.get("targets"))
        density = self.model.redrawn_dist(before, target).log_prob(after)
        hit = target > 0
        redrawn = torch.where(hit, density.gather(1, (target - 1).clamp(min=0).unsqueeze(1)).squeeze(1), 0.0)
        fit = 2 * self.model.x_dist(noise).log_prob(x).mean()
        metrics = {"reconstruction": fit.detach(), "log_redrawn": (redrawn.sum() / hit.sum().clamp(min=1)).detach()}
        return -fit - redrawn.mean(), metrics


@dataclass(frozen=True)
class MatchTargets:
    """Permute the encoder's components so that component i is the one that interventions on i move.

    It needs known targets and does nothing without them.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 20_000

    def __call__(self, objective: RecipeObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Compose the encoder's flow with the permutation; see the class."""
        from scipy.optimize import linear_sum_assignment

        batch = sample_pairs(source, self.pairs, seed)
        if "targets" not in batch:
            return {}
        encoder = objective.guide.encoder
        move = (encode_in_chunks(encoder, batch["x_after"]) - encode_in_chunks(encoder, batch["x"])).abs()
        dim, targets = move.shape[1], batch["targets"]
        # [component, target]: share of a target's moves that the component makes
        sums = torch.stack([move[targets == i].sum(0) for i in range(1, dim + 1)], dim=1)
        share = (sums / sums.sum(0).clamp(min=1e-12)).double().cpu().numpy()
        rows, columns = linear_sum_assignment(share, maximize=True)
        permutation = torch.zeros(dim, dim, dtype=move.dtype, device=move.device)
        permutation[rows, columns] = 1.0
        encoder.flow.compose(permutation, torch.zeros(dim, dtype=move.dtype, device=move.device))
        return {"matched_share": float(share[rows, columns].mean())}


@dataclass(frozen=True)
class PeelSinks:
    """Find the isometric decoder and a causal order from the moves of x; see the module.

    Targets are the known ones, or those that the encoder's moves tell.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: SoftObjective, source: DataSource, seed: int) -> dict[str, float]:
        """Set the decoder, and the context of the solution functions and changed mechanisms; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
        guide.target_encoder.fit(after - before, batch.get("targets"))
        target = hard_targets(guide.target_encoder, before, after, batch.get("targets"))
        moves = (batch["x_after"] - batch["x"]).double().cpu().numpy()
        columns, order, straightness = peel_sinks(moves, target.cpu().numpy(), model.dim_z)
        decoder = model.decoder
        decoder.free.copy_(torch.as_tensor(columns).to(decoder.free))
        decoder.bias.copy_(batch["x"].mean(0))
        decoder.log_scale.zero_()
        rank = np.argsort(order)
        context = torch.as_tensor(rank[:, None] < rank[None, :])
        for functions in (model.solution, model.changed):
            functions.context.copy_(context.to(functions.context))
        return {"straightness": straightness}


def peel_sinks(
    moves: NDArray[np.float64], targets: NDArray[np.int64], dim: int
) -> tuple[NDArray[np.float64], list[int], float]:
    """Columns of an isometry x = Q z from moves of x under interventions on single variables.

    Args:
        moves: (N, dim_x) differences x~ - x.
        targets: (N,) target of each, 0..dim.
        dim: number of variables d.

    Returns:
        Q, (dim_x, d) with orthonormal columns of arbitrary signs; the variables 0..d-1 from causes to effects; and the
        smallest share of a variable's variance that was on its line when it was peeled off, 1 if all is as assumed.

    Raises:
        ValueError: If a variable is never a target.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> targets = np.repeat([1, 2], 50)
        >>> step = rng.normal(size=100)
        >>> z = np.stack([np.where(targets == 1, step, 0.0), rng.normal(size=100)], axis=1)   # z1 -> z2
        >>> columns, order, _ = peel_sinks(z @ np.array([[0.6, 0.8], [0.8, -0.6]]), targets, 2)
        >>> order, np.abs(columns).round(3).tolist()
        ([0, 1], [[0.6, 0.8], [0.8, 0.6]])
    """
    missing = [i for i in range(1, dim + 1) if not (targets == i).any()]
    if missing:
        raise ValueError(f"targets: variable {missing[0]} is never a target, expected all of 1..{dim}")
    second = [moves[targets == i].T @ moves[targets == i] for i in range(1, dim + 1)]
    columns, order = np.zeros((moves.shape[1], dim)), list[int]()
    straightness = 1.0
    project = np.eye(moves.shape[1])
    left = list(range(dim))
    while left:
        spectra = {i: np.linalg.eigh(project @ second[i] @ project) for i in left}
        share = {i: values[-1] / max(values.clip(min=0).sum(), 1e-300) for i, (values, _) in spectra.items()}
        sink = max(left, key=lambda i: share[i])
        straightness = min(straightness, float(share[sink]))
        columns[:, sink] = spectra[sink][1][:, -1]
        project -= np.outer(columns[:, sink], columns[:, sink])
        left.remove(sink)
        order.insert(0, sink)
    return columns, order, straightness


def hard_targets(
    target_encoder: torch.nn.Module, before: Tensor, after: Tensor, known: Tensor | None = None
) -> Tensor:
    """The known targets, and the most probable ones where they are unknown, (pairs,) long."""
    target: Tensor = target_encoder(after - before).argmax(-1)
    return target if known is None else torch.where(known == UNKNOWN, target, known)


def soft_phases(
    *, unmix: int = 4000, mechanisms: int = 1500, refine: int = 500, batch_size: int = 512
) -> tuple[Phase, ...]:
    """The recipe for a :class:`SoftObjective`.

    Args:
        unmix: steps of the flow; 0 where mixing and mechanisms are linear.
        mechanisms: steps of the solution functions and changed mechanisms, the encoder fixed.
        refine: steps of the ELBO, the decoder's isometry fixed.
        batch_size: pairs in a step.
    """
    phases = [
        Phase("lines", 0, settings={"stage": "unmix"}, start=AlignToLines()),
        Phase("match", 0, settings={"stage": "unmix"}, start=MatchTargets()),
    ]
    if unmix:
        rate = Cosine(6e-3, 1e-5)
        phases.append(Phase("unmix", unmix, rate, batch_size, {"stage": "unmix"}, gradient_clip=20.0))
    phases.append(Phase("peel", 0, settings={"stage": "solutions"}, start=PeelSinks()))
    if mechanisms:
        phases.append(
            Phase(
                "mechanisms",
                mechanisms,
                Cosine(5e-3, 1e-5),
                batch_size,
                {"stage": "solutions"},
                freeze=("guide", "model.decoder.free", "model.decoder.log_scale"),
                gradient_clip=20.0,
            )
        )
    if refine:
        phases.append(
            Phase(
                "refine",
                refine,
                Cosine(1e-3, 1e-5),
                batch_size,
                {"hypotheses": 1},
                freeze=("model.decoder.free", "model.decoder.log_scale"),
                gradient_clip=10.0,
            )
        )
    return tuple(phases)
