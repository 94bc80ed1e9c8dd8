"""Recipe of content and style: a contrastive objective finds the code, a closed form its blocks, the ELBO a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.identify.blocks import shared_blocks, suggest_content
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.contrast import Contrast, contrast
from pyro_lcm.recipes.encodings import encode_sides, sample_pairs
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Constant, Cosine, Linear, WarmUp
from pyro_lcm.training.sources import DataSource

__all__ = ["CONTRAST", "ContrastObjective", "FindBlocks", "content_style"]

CONTRAST = "contrast"
"""The program of :class:`ContrastObjective` that is none: a loss of codes alone."""
TOLERANCE = {"max_entropy": Linear(0.1, 0.03), "info_nce": Constant(1.0)}
"""How far codes of one content may be apart. In the one the prior fixes their scale, and a tolerance that narrows holds
the code less at first and more at last; in the other nothing does, and the width of the kernel is their unit."""
ABLE = 0.1
"""Disagreement of a latent that may be content at all."""
_STEPS = 3000


class ContrastObjective(RecipeObjective):
    """Negative ELBO per pair, or a contrastive loss of the two codes (:mod:`pyro_lcm.recipes.contrast`).

    Args:
        model: :class:`pyro_lcm.models.content_style.ContentStyle`, or a model of its sites.
        guide: its guide.
        features: 0.
    """

    def forward(
        self,
        tensors: Mapping[str, Tensor],
        *,
        size: int,
        index: Tensor,
        program: str | None = None,
        way: Contrast = "max_entropy",
        tolerance: float = 0.1,
        **settings: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; ``way`` and ``tolerance`` are of :data:`CONTRAST`, the others as the base's."""
        if program != CONTRAST:
            return super().forward(tensors, size=size, index=index, program=program, **settings)
        (before, _), (after, _) = self.guide.sides(tensors["x"], tensors["x_after"])
        return contrast(way, before, after, tolerance)


@dataclass(frozen=True)
class FindBlocks:
    """Turn latents into directions of unit variance, the most agreeing first, and say which are content.

    Attributes:
        linear: whether directions are those of x, of which the encoder takes the first, instead of its latents'.
        pairs: how many to use at most.
    """

    linear: bool = False
    pairs: int = 20_000

    @torch.no_grad()
    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the encoder's last map and the model's ``agreement`` and ``content``."""
        model, encoder = objective.model, objective.guide.encoder
        pairs = sample_pairs(source, self.pairs, seed)
        before, after = (pairs["x"], pairs["x_after"]) if self.linear else encode_sides(encoder, pairs)
        found = shared_blocks(*(side.double().cpu().numpy() for side in (before, after)))
        weight = found.weight[:, : model.dim_z]
        disagreement = found.disagreement[: model.dim_z]
        last, shift = (torch.as_tensor(part).to(before) for part in (weight, -found.mean @ weight))
        if self.linear:
            encoder.body.affine.weight.copy_(last.T)
            encoder.body.affine.bias.copy_(shift)
        else:
            encoder.flow.compose(last, shift)
        number = suggest_content(disagreement, tolerance=ABLE)
        model.agreement.copy_(torch.as_tensor(np.clip(1 - disagreement, 0.0, 1.0)))
        model.content.copy_(torch.arange(model.dim_z, device=model.content.device) < number)
        return {"content": float(number)}


def content_style(
    budget: Budget | None = None, *, linear: bool = False, way: Contrast = "max_entropy"
) -> tuple[Phase, ...]:
    """The recipe, for :class:`ContrastObjective`.

    Args:
        budget: steps; ``fit`` of the contrastive objective, 3,000 by default, and ``refine`` of the decoder.
        linear: whether directions of x are content as they are, so that no code has to be learned.
        way: which objective.

    Returns:
        The phases.

    >>> [phase.name for phase in content_style(linear=True)]
    ['blocks', 'decoder']
    """
    b = Budget() if budget is None else budget
    given = b.unmix if b.fit is None else b.fit
    steps = _STEPS if given is None else given
    phases: list[Phase] = []
    if steps and not linear:
        settings: dict[str, Any] = {"program": CONTRAST, "way": way, "tolerance": TOLERANCE[way]}
        rate = WarmUp(0.1, Cosine(3e-3, 1e-5))
        phases.append(Phase("contrast", steps, rate, b.batch_size, settings, optimizer="soap"))
    phases.append(Phase("blocks", 0, start=FindBlocks(linear)))
    if b.refine:
        held = ("guide.encoder.body", "guide.encoder.flow")
        slow = Cosine(2e-3, 1e-5)
        phases.append(Phase("decoder", b.refine, slow, b.batch_size, freeze=held, gradient_clip=10.0, keep="best"))
    return tuple(phases)
