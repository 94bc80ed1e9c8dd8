"""Recipe of CITRIS: directions in closed form, then its ELBO, then the assignment and the graph that were found.

The closed form is exact where the mixing is linear, and elsewhere tells the flow which latent is to become which
variable's: in the Voronoi benchmark its latents correlate by .8 to .95 with the variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.identify.intervened_directions import Directions, intervened_directions
from pyro_lcm.identify.parents import choose_parents
from pyro_lcm.identify.set_directions import set_directions
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import encode_sides, sample_pairs
from pyro_lcm.recipes.objective import AUTOENCODER, RecipeObjective
from pyro_lcm.recipes.target_classifier import TargetClassifier
from pyro_lcm.training.handlers import DeterministicDtype
from pyro_lcm.training.objective import without_registration
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sequence_elbo import SequenceELBO
from pyro_lcm.training.sources import DataSource

__all__ = [
    "ClassifiedSequences",
    "FindDirections",
    "ReadVariables",
    "SequenceObjective",
    "begin_at_directions",
    "compose",
    "temporal",
    "whitening",
]

_CERTAIN = 4.0
"""Logit at which the variable of a latent begins: a probability of .9 or more among a dozen."""

_TOLERANCE = 0.1
"""Standard deviation of posteriors at the start, in units of the latents."""


class SequenceObjective(RecipeObjective):
    """Negative ELBO per transition, with the variable of each latent summed out.

    Args:
        model: :class:`pyro_lcm.models.citris.CITRIS`, or a model of its sites.
        guide: its guide.
        features: of images; 0.
    """

    def forward(
        self,
        tensors: Mapping[str, Tensor],
        *,
        size: int,
        index: Tensor,
        program: str | None = None,
        **settings: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch.

        Args:
            tensors: ``x`` and ``x_after``, (pairs, ...), and ``targets``, (pairs, K) 0 and 1.
            size: number of transitions in the data set.
            index: (pairs,) which of them these are.
            program: ``"autoencoder"`` for that of single frames; None for the model's.
            settings: of the autoencoder, those of the base.

        Returns:
            The loss, a scalar, and the parts of it by name.
        """
        if program == AUTOENCODER:
            return super().forward(tensors, size=size, index=index, program=program, **settings)
        x, x_after, targets = tensors["x"], tensors["x_after"], tensors["targets"]
        model, guide = without_registration(self.model), without_registration(self.guide)
        dtype = nullcontext() if x.dtype == torch.get_default_dtype() else DeterministicDtype()
        with pyro.get_param_store().scope(), Scoring(), self.recall(tensors), dtype:
            how = {"targets": targets, "size": size, "index": index}
            loss = SequenceELBO().differentiable_loss(model, guide, x, x_after, **how) / size
        return loss, {"elbo": -loss.detach()}


class ClassifiedSequences(SequenceObjective):
    """The same, and the loss of a target classifier if it is asked for; arguments as the base's."""

    def __init__(self, model: nn.Module, guide: nn.Module, features: int = 0) -> None:
        super().__init__(model, guide, features)
        # It belongs to the training and its checkpoints, not to the model that is saved.
        self.classifier = TargetClassifier(self.model.dim_z, self.model.variables)

    def forward(
        self,
        tensors: Mapping[str, Tensor],
        *,
        size: int,
        index: Tensor,
        program: str | None = None,
        classifier: float = 0.0,
        **settings: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; ``classifier`` is the weight of :mod:`pyro_lcm.recipes.target_classifier`."""
        loss, metrics = super().forward(tensors, size=size, index=index, program=program, **settings)
        if not classifier or program is not None:
            return loss, metrics
        (before, _), (after, _) = self.guide.sides(tensors["x"], tensors["x_after"])
        extra = self.classifier.loss(before, after, self.guide.probabilities, tensors["targets"])
        return loss + classifier * extra, metrics | {"classifier": extra.detach()}


@dataclass(frozen=True)
class FindDirections:
    """Let the encoder begin with latents that are linear in the code, and the assignment with what they belong to.

    Attributes:
        pairs: how many transitions to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the flow's last map, in encoder and decoder, and the logits of the assignment."""
        found = begin_at_directions(objective, source, seed, self.pairs)
        logits = objective.guide.assignment_logits
        rows = torch.arange(objective.model.dim_z, device=logits.device)
        logits.zero_()
        logits[rows, torch.as_tensor(found.assignment, device=logits.device)] = _CERTAIN
        return {"latents_of_none": float((found.assignment == 0).sum())}


def begin_at_directions(
    objective: Any, source: DataSource, seed: int, pairs: int, *, perfect: bool = False
) -> Directions:
    """Compose the flow of encoder and decoder with :mod:`pyro_lcm.identify.intervened_directions`, and return these.

    Args:
        objective: with model and guide of sequences.
        source: of transitions.
        seed: of the choice of transitions.
        pairs: how many to use at most.
        perfect: whether to try :mod:`pyro_lcm.identify.set_directions` first.
    """
    batch = sample_pairs(source, pairs, seed)
    before, after = encode_sides(objective.guide.encoder, batch)
    first, second = before.double().cpu().numpy(), after.double().cpu().numpy()
    both = np.concatenate([first, second])
    centre, root = both.mean(0), whitening(np.cov(both.T))
    targets = batch["targets"].cpu().numpy()
    sides = (first - centre) @ root, (second - centre) @ root
    found = intervened_directions(*sides, targets)
    if perfect and (unmixing := set_directions(*sides, targets)) is not None:
        found = found._replace(unmixing=unmixing)
    compose(objective, root @ found.unmixing, -centre @ root @ found.unmixing)
    return found


def compose(objective: Any, weight: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
    """Follow the map of the encoder, and its inverse in the decoder, by ``e -> e W + b``."""
    model, guide = objective.model, objective.guide
    flows = {id(flow): flow for flow in (guide.encoder.flow, model.decoder.flow)}.values()
    for flow in flows:
        flow.compose(*(torch.as_tensor(part).to(flow.weight) for part in (weight, shift)))
    if not guide.exact:
        guide.encoder.set_tolerance(_TOLERANCE)  # what it was is in other units


def whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (M, M) by which rows of a covariance (M, M) get the identity for theirs."""
    variances, axes = np.linalg.eigh(np.atleast_2d(covariance))
    return axes / np.sqrt(np.maximum(variances, 1e-6 * variances[-1]))


@dataclass(frozen=True)
class ReadVariables:
    """Say which variable each latent belongs to, and which variables depend on which of the frame before.

    A latent belongs to the variable that is most probable; a variable depends on another if a regression of one of its
    latents, in the steps where it is not intervened on, needs one of the other's (:mod:`pyro_lcm.identify.parents`).

    Attributes:
        pairs: how many transitions to use at most.
        rows: how many of them for one regression at most.
    """

    pairs: int = 20_000
    rows: int = 2_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set the model's buffers; see the class."""
        model, guide = objective.model, objective.guide
        model.assignment.copy_(guide.assignment_logits.argmax(-1))
        batch = sample_pairs(source, self.pairs, seed)
        before, after = (side.double().cpu().numpy() for side in encode_sides(guide.encoder, batch))
        targets, of = batch["targets"].cpu().numpy(), model.assignment.cpu().numpy()
        graph = torch.zeros_like(model.temporal_adjacency)
        for latent, child in enumerate(of):
            if child == 0:
                continue
            runs = targets[:, child - 1] == 0
            chosen = choose_parents(before[runs], after[runs, latent], linear=False, rows=self.rows)
            for parent in of[chosen]:
                if parent:
                    graph[parent - 1, child - 1] = 1.0
        model.temporal_adjacency.copy_(graph)
        return {"edges": float(graph.sum())}


def temporal(budget: Budget | None = None, *, dim: int = 4, invertible: bool = True) -> tuple[Phase, ...]:
    """The recipe, for :class:`ClassifiedSequences`.

    Args:
        budget: steps: ``fit``, of the ELBO, by default 2,000 and 600 for each latent (``unmix``, its older name, counts
            if ``fit`` is not given); ``reconstruct``, of the autoencoder, where there is a decoder to learn; and
            ``batch_size``. The others, ``refine`` included, are of pairs: the ELBO is the same from the first step to
            the last.
        dim: number of latents.
        invertible: whether the encoder is a flow, so that there is no decoder to learn.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    steps = b.steps_of_sequences(dim)
    how: dict[str, Any] = {"gradient_clip": 10.0, "keep": "best"}
    phases = []
    if not invertible and b.reconstruct:
        rate = Cosine(2e-3, 1e-4)
        settings: dict[str, Any] = {"program": AUTOENCODER, "kl_weight": 1e-3}
        phases.append(Phase("autoencoder", b.reconstruct, rate, b.batch_size, settings, gradient_clip=10.0))
    phases.append(Phase("directions", 0, start=FindDirections()))
    if steps:
        settings = {} if invertible else {"classifier": 1.0}
        phases.append(Phase("variables", steps, Cosine(3e-3, 1e-5), b.batch_size, settings, **how))
    phases.append(Phase("graph", 0, start=ReadVariables()))
    return tuple(phases)
