"""Recipes of the models beside the implicit one: the same warm start, then each model's own objective.

All of them but the beta-VAE profit from what :class:`pyro_lcm.training.warmstart.AlignToLines` finds, coordinates in
which the two sides of a pair differ in one component. The recipe of the dVAE is the implicit model's,
:func:`pyro_lcm.training.recipe.identify`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pyro_lcm.causal.graph_sites import FixedOrder
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.soft_recipe import causal_order_of_redrawn, least_squares
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.warmstart import AlignToLines, encode_in_chunks, hard_targets, posterior_sd, sample_pairs


class ExplicitObjective(RecipeObjective):
    """The recipe's objective for :class:`pyro_lcm.models.elcm.ELCM`: one target for each pair, but every graph.

    ``hypotheses`` is 1 if it is not set. The estimator has to enumerate all the same, for the sake of the graph, and
    so the number is not passed on to where it chooses one.
    """

    def _handled(
        self, kl_weight: float, hypotheses: int | None, intervention_term: bool
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return super()._handled(kl_weight, 1 if hypotheses is None else hypotheses, intervention_term)


@dataclass(frozen=True)
class InvertEncoder:
    """Make the decoder the encoder's inverse, and set all standard deviations, in closed form.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 20_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set decoder, target encoder and standard deviations; see the class."""
        batch = sample_pairs(source, self.pairs, seed)
        model, guide = objective.model, objective.guide
        decoder = model.decoder
        before, after = (encode_in_chunks(guide.encoder, batch[side]) for side in ("x", "x_after"))
        decoder.flow.load_state_dict(guide.encoder.flow.state_dict())
        guide.target_encoder.fit(after - before, batch.get("targets"))
        residual = (decoder(before)[0] - batch["x"]).square().mean(0).sqrt()
        decoder.log_sd.copy_((residual - decoder.min_sd).clamp(min=0.1 * decoder.min_sd).log())
        guide.encoder.log_sd.copy_(posterior_sd(decoder, before[:2000]).log())
        return {"decoder_sd": float(residual.mean())}


@dataclass(frozen=True)
class RegressMechanisms:
    """Find a causal order, and the mechanisms that are affine in all predecessors, in closed form.

    By e~_i = (z~_i - loc_i(z_pa)) / scale_i, a regression of the redrawn noise encoding on the causal variables of the
    predecessors gives the mechanism, one variable after the other. Where a predecessor is no parent its coefficient is
    zero, so these coefficients serve every graph that has the true parents and agrees with the order, and the graph's
    logits start with mechanisms that are worth comparing. A fixed order, in model and guide, is set to the one found.

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
        for graphs in (model.graphs, guide.graphs):
            if isinstance(graphs, FixedOrder):
                graphs.set_order(order)


@dataclass(frozen=True)
class ReadGraph:
    """Let the model reason with the guide's most probable graph."""

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the model's buffer; see the class."""
        objective.model.adjacency.copy_(objective.guide.graph())
        return {"edges": float(objective.model.adjacency.sum())}


def vae_phases(steps: int = 3000, *, beta: float = 1.0, batch_size: int = 512) -> tuple[Phase, ...]:
    """Plain training of the beta-VAE.

    Args:
        steps: of the ELBO.
        beta: weight of the latents.
        batch_size: pairs in a step.
    """
    settings = {"kl_weight": beta}
    return (Phase("elbo", steps, Cosine(2e-3, 1e-5), batch_size, settings, gradient_clip=10.0),)


def ada_phases(refine: int = 1000, *, beta: float = 1.0, batch_size: int = 512) -> tuple[Phase, ...]:
    """Warm start and ELBO of the guides that share unchanged factors, where the mixing is linear.

    Args:
        refine: steps of the ELBO.
        beta: weight of the latents.
        batch_size: pairs in a step.
    """
    return (
        Phase("lines", 0, settings={"stage": "unmix"}, start=AlignToLines()),
        Phase("invert", 0, start=InvertEncoder()),
        Phase("refine", refine, Cosine(1e-3, 1e-5), batch_size, {"kl_weight": beta}, gradient_clip=10.0),
    )


def elcm_phases(
    *, logits: int = 150, graph: int = 300, refine: int = 500, mechanisms: int | None = None, batch_size: int = 256
) -> tuple[Phase, ...]:
    """Warm start, the graph with its mechanisms, and everything together; for an :class:`ExplicitObjective`.

    Args:
        logits: steps of the graph's logits alone; 0 where nothing about the graph is latent.
        graph: steps of graph and mechanisms, encoder and decoder fixed.
        refine: steps with everything free.
        mechanisms: None to start mechanisms from regressions. A number of steps to learn them from nothing instead,
            over all graphs alike: logits stay as they are at first, so that no graph gets ahead by chance.
        batch_size: pairs in a step.
    """
    fixed = ("guide.encoder", "guide.target_encoder", "model.decoder")
    rate = Cosine(1e-2, 1e-4)
    phases = [
        Phase("lines", 0, settings={"stage": "unmix"}, start=AlignToLines()),
        Phase("invert", 0, start=InvertEncoder()),
    ]
    if mechanisms is None:
        phases.append(Phase("regress", 0, start=RegressMechanisms()))
    else:
        freeze = (*fixed, "guide.graphs")
        phases.append(Phase("mechanisms", mechanisms, rate, batch_size, freeze=freeze, gradient_clip=10.0))
    if logits:
        freeze = (*fixed, "model.mechanisms")
        phases.append(Phase("logits", logits, Cosine(0.2, 1e-2), batch_size, freeze=freeze, gradient_clip=10.0))
    phases.append(Phase("graph", graph, rate, batch_size, freeze=fixed, gradient_clip=10.0))
    if refine:
        phases.append(Phase("refine", refine, Cosine(1e-3, 1e-5), batch_size, gradient_clip=10.0))
    return (*phases, Phase("read", 0, start=ReadGraph()))
