"""Recipes of the models beside the implicit one: the same warm start, then each model's own objective.

All of them but the beta-VAE profit from what :class:`pyro_lcm.training.warmstart.AlignToLines` finds, coordinates in
which the two sides of a pair differ in one component. The recipe of the dVAE is the implicit model's,
:func:`pyro_lcm.training.recipe.identify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyro_lcm.causal.graph_sites import FixedOrder
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.soft_recipe import causal_order_of_redrawn
from pyro_lcm.training.sources import DataSource
from pyro_lcm.training.warmstart import AlignToLines, encode_in_chunks, hard_targets, posterior_sd, sample_pairs


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
class OrderGraphs:
    """Where the graph is a fixed order: find the order from the pairs, for model and guide.

    Attributes:
        pairs: how many pairs to use at most.
    """

    pairs: int = 20_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the order; see the class. Other ways of drawing a graph are left alone."""
        if not isinstance(objective.model.graphs, FixedOrder):
            return
        batch = sample_pairs(source, self.pairs, seed)
        before, after = (encode_in_chunks(objective.guide.encoder, batch[side]) for side in ("x", "x_after"))
        target = hard_targets(objective, before, after, batch.get("targets"))
        order = causal_order_of_redrawn(before, after, target)
        objective.model.graphs.set_order(order)
        objective.guide.graphs.set_order(order)


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
    *, mechanisms: int = 500, graph: int = 1000, refine: int = 0, batch_size: int = 256
) -> tuple[Phase, ...]:
    """Warm start, mechanisms over all graphs alike, the graph, and everything together.

    Args:
        mechanisms: steps with the graph's logits as they are at first, so that no graph gets ahead by chance; 0 where
            nothing about the graph is latent.
        graph: steps with the graph's logits free, encoder and decoder fixed.
        refine: steps with everything free.
        batch_size: pairs in a step.
    """
    hard = {"hypotheses": 1}
    fixed = ("guide.encoder", "guide.target_encoder", "model.decoder")
    rate = Cosine(2e-2, 1e-4)
    phases = [
        Phase("lines", 0, settings={"stage": "unmix"}, start=AlignToLines()),
        Phase("invert", 0, settings=hard, start=InvertEncoder()),
        Phase("order", 0, settings=hard, start=OrderGraphs()),
    ]
    if mechanisms:
        freeze = (*fixed, "guide.graphs")
        phases.append(Phase("mechanisms", mechanisms, rate, batch_size, hard, freeze=freeze, gradient_clip=10.0))
    phases.append(Phase("graph", graph, rate, batch_size, hard, freeze=fixed, gradient_clip=10.0))
    if refine:
        phases.append(Phase("refine", refine, Cosine(1e-3, 1e-5), batch_size, hard, gradient_clip=10.0))
    return (*phases, Phase("read", 0, settings=hard, start=ReadGraph()))
