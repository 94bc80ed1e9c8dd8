"""Recipe of iCITRIS: directions in closed form, the ELBO over orders within a frame, pairs turned, then the graphs.

Directions in which targets act are those of total effects where variables affect each other within a frame; where
interventions are perfect, what is independent of the frame before in the steps in which a variable is set is that
variable. Either is exact for a linear mixing at most, so latents begin as mixtures of variables. The order decides what
they become: given the true one the ELBO leads them to the variables, and given another it ends lower. So the order is
learned with them, several draws of it in each step. What may go wrong is a pair of neighbours of the order, cause for
effect, to whose order the latents have grown; so each is turned, trained on for a while, and kept if the ELBO of
held-out steps is higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.identify.parents import choose_parents
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import encode_sides, sample_pairs
from pyro_lcm.recipes.explicit import GIVEN
from pyro_lcm.recipes.objective import AUTOENCODER
from pyro_lcm.recipes.temporal import begin_at_directions
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.sources import DataSource

__all__ = ["FindSetVariables", "ReadGraphs", "TurnPairs", "simultaneous"]

_EDGE_LOGIT = 2.0
"""Of all edges at the start: networks learn what they are without a parent, and an order is one of all its edges."""
_LEAST_GAIN = 0.005
"""Nats per step below which a difference of the ELBO is chance."""


@dataclass(frozen=True)
class FindSetVariables:
    """Let the encoder begin with what targets set, or what they move, and the graph with every edge likely.

    Attributes:
        pairs: how many transitions to use at most.
    """

    pairs: int = 50_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> None:
        """Set the flow's last map, in encoder and decoder, and logits of edges where there are some."""
        begin_at_directions(objective, source, seed, self.pairs, perfect=True)
        edge = getattr(objective.guide.graphs, "edge", None)
        if edge is not None:
            edge.fill_(_EDGE_LOGIT)


@dataclass(frozen=True)
class TurnPairs:
    """Turn neighbours of the order, train on, and keep what has the higher ELBO of held-out steps.

    A pair whose edge adds nothing to the ELBO, so that its order does not matter, is left as it is.

    Attributes:
        steps: of each training; none leaves the order as it is.
        rate: of Adam, which falls to 0.
        batch_size: transitions in a step.
        pairs: transitions that are held out for the comparison, at most a fifth.
    """

    steps: int
    rate: float = 2e-3
    batch_size: int = 512
    pairs: int = 10_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> dict[str, float]:
        """Set all parameters, the model's graph to the complete one of the order, and begin the guide's there."""
        model, guide = objective.model, objective.guide
        order = [int(i) for i in topological_order(guide.graph().cpu().numpy())]
        generator = torch.Generator().manual_seed(seed)
        index = torch.randperm(len(source), generator=generator)
        held = index[: min(self.pairs, len(index) // 5)]
        rows = index[len(held) :]
        turned = 0
        model.adjacency.copy_(complete(order))
        if self.steps:
            best = self._trained(objective, source, rows, held, generator)
            tried: set[frozenset[int]] = set()
            place = 0
            while place < len(order) - 1:
                pair = order[place : place + 2]
                kept = {name: value.clone() for name, value in objective.state_dict().items()}
                if frozenset(pair) in tried or best - self._without(objective, source, held, *pair) < _LEAST_GAIN:
                    place += 1
                    continue
                tried.add(frozenset(pair))
                other = [*order[:place], *reversed(pair), *order[place + 2 :]]
                model.adjacency.copy_(complete(other))
                value = self._trained(objective, source, rows, held, generator)
                if value > best + _LEAST_GAIN:
                    order, best, place, turned = other, value, 0, turned + 1
                else:
                    objective.load_state_dict(kept)
                    place += 1
        guide.graphs.set_order(order)
        return {"turned": float(turned)}

    def _trained(
        self, objective: Any, source: DataSource, rows: Tensor, held: Tensor, generator: torch.Generator
    ) -> float:
        """Train on in place, given the model's graph, and return the ELBO of held-out steps, in nats per step."""
        parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(parameters, self.rate)
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                chosen = rows[torch.randint(len(rows), (min(self.batch_size, len(rows)),), generator=generator)]
                loss, _ = objective(source.batch(chosen), size=len(source), index=chosen, **GIVEN)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 10.0)
                optimizer.step()
                decay.step()
        optimizer.zero_grad()
        return self._elbo(objective, source, held)

    def _without(self, objective: Any, source: DataSource, held: Tensor, parent: int, child: int) -> float:
        """The ELBO of held-out steps without an edge."""
        adjacency = objective.model.adjacency
        adjacency[parent, child] = 0.0
        value = self._elbo(objective, source, held)
        adjacency[parent, child] = 1.0
        return value

    @staticmethod
    def _elbo(objective: Any, source: DataSource, held: Tensor) -> float:
        losses = [
            float(objective(source.batch(part), size=len(source), index=part, **GIVEN)[0]) * len(source)
            for part in held.split(2048)
        ]
        # Each is scaled to the size of the source, whatever number of steps it is of.
        weights = [len(part) / len(held) for part in held.split(2048)]
        return -sum(loss * weight for loss, weight in zip(losses, weights, strict=True)) / len(source)


def complete(order: Sequence[int]) -> Tensor:
    """The graph of all edges that agree with an order, (d, d).

    Example:
        >>> complete([1, 0]).tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """
    rank = torch.argsort(torch.as_tensor(list(order)))
    return (rank.unsqueeze(1) < rank).to(torch.get_default_dtype())


@dataclass(frozen=True)
class ReadGraphs:
    """Say which variables depend on which of the frame before, and of their own frame, by regressions.

    As in :class:`~pyro_lcm.recipes.temporal.ReadVariables`, in the steps in which a variable is not set; of its own
    frame those variables can be parents that are in the model's graph.

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
        before, after = (side.double().cpu().numpy() for side in encode_sides(objective.guide.encoder, batch))
        targets = batch["targets"].cpu().numpy()
        temporal, graph = torch.zeros_like(model.temporal_adjacency), torch.zeros_like(model.adjacency)
        for child in range(model.dim_z):
            causes = model.adjacency[:, child].nonzero().flatten().tolist()
            runs = targets[:, child] == 0
            features = torch.cat([torch.as_tensor(before), torch.as_tensor(after[:, causes])], 1).numpy()
            for chosen in choose_parents(features[runs], after[runs, child], linear=False, rows=self.rows):
                if chosen < model.dim_z:
                    temporal[chosen, child] = 1.0
                else:
                    graph[causes[chosen - model.dim_z], child] = 1.0
        model.temporal_adjacency.copy_(temporal)
        model.adjacency.copy_(graph)
        return {"edges": float(temporal.sum()), "edges_within": float(graph.sum())}


def simultaneous(budget: Budget | None = None, *, dim: int = 4, invertible: bool = True) -> tuple[Phase, ...]:
    """The recipe, for a :class:`~pyro_lcm.recipes.objective.RecipeObjective`.

    Args:
        budget: steps; ``fit``, by default 2,000 and 600 for each latent: two fifths over orders, half given the one
            found, a tenth for the posterior of the graph; and ``reconstruct``.
        dim: number of variables.
        invertible: whether the encoder is a flow, so that there is no decoder to learn.

    Returns:
        The phases.
    """
    b = Budget() if budget is None else budget
    steps = b.steps_of_sequences(dim)
    clip: dict[str, Any] = {"gradient_clip": 10.0}
    phases = []
    if not invertible and b.reconstruct:
        rate = Cosine(2e-3, 1e-4)
        settings: dict[str, Any] = {"program": AUTOENCODER, "kl_weight": 1e-3}
        phases.append(Phase("autoencoder", b.reconstruct, rate, b.batch_size, settings, **clip))
    first, last = 2 * steps // 5, steps // 10
    phases.append(Phase("order", first, Cosine(3e-3, 1e-3), b.batch_size, start=FindSetVariables(), **clip))
    turn = TurnPairs(steps // 12, batch_size=b.batch_size)
    phases.append(
        Phase(
            "variables", steps - first - last, Cosine(2e-3, 1e-5), b.batch_size, GIVEN, start=turn, keep="best", **clip
        )
    )
    # The inverse of an encoder has no parameters of its own.
    freeze = ("model.decoder", *(() if invertible else ("guide.encoder",)))
    phases.append(Phase("graph", last, Cosine(1e-2, 1e-4), b.batch_size, freeze=freeze, **clip))
    phases.append(Phase("read", 0, start=ReadGraphs()))
    return tuple(phases)
