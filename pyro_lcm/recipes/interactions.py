"""Recipe of BISCUIT: directions of different noise in closed form, its ELBO, then interactions and graph as found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pyro_lcm.identify.diagonal_directions import diagonal_directions
from pyro_lcm.identify.parents import choose_parents
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import encode_sides, sample_pairs
from pyro_lcm.recipes.objective import AUTOENCODER
from pyro_lcm.recipes.temporal import compose, whitening
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource

__all__ = ["FindNoise", "ReadInteractions", "interactions"]


@dataclass(frozen=True)
class FindNoise:
    """Let the encoder begin with latents whose noise differs between actions, and interactions with where it is large.

    Attributes:
        pairs: how many transitions to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the flow's last map, in encoder and decoder, and the log odds of interactions."""
        model, guide = objective.model, objective.guide
        batch = sample_pairs(source, self.pairs, seed)
        before, after = (side.double().cpu().numpy() for side in encode_sides(guide.encoder, batch))
        both = np.concatenate([before, after])
        centre, root = both.mean(0), whitening(np.cov(both.T))
        actions = batch["targets"].cpu().numpy()
        found = diagonal_directions((before - centre) @ root, (after - centre) @ root, actions)
        compose(objective, root @ found.unmixing, -centre @ root @ found.unmixing)
        noise = np.log(np.maximum(found.variances, 1e-9))
        noise = (noise - noise.mean(0)) / np.maximum(noise.std(0), 1e-9)
        design = np.column_stack([found.regimes, np.ones(len(noise))])
        model.log_odds.copy_(torch.as_tensor(np.linalg.pinv(design) @ noise))


@dataclass(frozen=True)
class ReadInteractions:
    """Say on which variables each action acts, and which variables depend on which of the frame before.

    Of its two mechanisms a variable runs by the one whose location varies more with the frame before; the other is the
    interaction's. Parents are those of a regression in the steps in which it probably runs.

    Attributes:
        pairs: how many transitions to use at most.
        rows: how many of them for one regression at most.
    """

    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the model's buffers; see the class."""
        model = objective.model
        batch = sample_pairs(source, self.pairs, seed)
        before, after = encode_sides(objective.guide.encoder, batch)
        location, _ = model.transitions.coefficients(before.T)
        spread = location.std(-1)  # (2, M)
        turned = spread[1] > spread[0]
        alone = torch.eye(model.recorded, device=before.device)
        acts = model.interaction_logits(alone).sigmoid()
        model.interactions.copy_(torch.where(turned.unsqueeze(1), 1 - acts, acts).T)
        probability = model.interaction_dist(before.T, after.T, batch["targets"]).probs
        runs = (torch.where(turned.unsqueeze(1), 1 - probability, probability) < 0.5).cpu().numpy()
        first, second = before.double().cpu().numpy(), after.double().cpu().numpy()
        graph = torch.zeros_like(model.temporal_adjacency)
        for child, rows in enumerate(runs):
            graph[choose_parents(first[rows], second[rows, child], linear=False, rows=self.rows), child] = 1.0
        model.temporal_adjacency.copy_(graph)
        return {"edges": float(graph.sum()), "interactions": float((model.interactions > 0.5).sum())}


def interactions(budget: Budget | None = None, *, dim: int = 4, invertible: bool = True) -> tuple[Phase, ...]:
    """The recipe, for a :class:`~pyro_lcm.recipes.temporal.SequenceObjective`.

    Args:
        budget: steps; ``fit``, by default 2,000 and 600 for each latent, and ``reconstruct``.
        dim: number of latents.
        invertible: whether the encoder is a flow, so that there is no decoder to learn.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    phases = []
    if not invertible and b.reconstruct:
        settings: dict[str, Any] = {"program": AUTOENCODER, "kl_weight": 1e-3}
        phases.append(
            Phase("autoencoder", b.reconstruct, Cosine(2e-3, 1e-4), b.batch_size, settings, gradient_clip=10.0)
        )
    phases.append(Phase("directions", 0, start=FindNoise()))
    if steps := b.steps_of_sequences(dim):
        rate = Cosine(3e-3, 1e-5)
        phases.append(Phase("variables", steps, rate, b.batch_size, gradient_clip=10.0, keep="best"))
    phases.append(Phase("graph", 0, start=ReadInteractions()))
    return tuple(phases)
