"""A latent graph in a Pyro program: ways to draw it, all of them acyclic.

Each way is a module for the generative program, which holds a prior, and one for the guide, which holds logits. Called
outside of any plate, either declares its sample sites and returns an adjacency matrix (..., d, d), ``[parent, child]``.

=================  ==================  =============================  ==========================================
way                sites               prior                          guide
=================  ==================  =============================  ==========================================
fixed order        none                :class:`FixedOrder`            :class:`FixedOrder`
all DAGs           ``graph``           :class:`TablePrior`            :class:`TableLogits`, d <= 5
edges and orders   ``graph``           :class:`TablePrior`            :class:`EdgeOrderLogits`, d <= 5
permutations       ``order, edges``    :class:`PermutationPrior`      :class:`PermutationLogits`, any d
=================  ==================  =============================  ==========================================

Tables are enumerated, or drawn from several times a step as permutations are. The priors are uniform over DAGs, or over
orders times edges for the last (a DAG then weighs as many times as it has orders), with a factor exp(-penalty) for each
edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
import torch
from pyro.distributions import Bernoulli, Categorical
from torch import Tensor, nn

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.causal.permutations import PlackettLuce, StraightThroughBernoulli

ORDER_ODDS = 2.0
"""Log odds of one variable before the next where logits begin at an order: inference can still change it."""


def _agreement(order: Sequence[int]) -> Tensor:
    """(d, d), [i, j]: 1 where i comes before j in an order of the variables 0..d-1, -1 where it comes after."""
    rank = torch.argsort(torch.as_tensor(list(order)))
    return torch.sign(rank.unsqueeze(0) - rank.unsqueeze(1)).to(torch.get_default_dtype())


def _several(draws: int) -> int:
    if draws < 2:
        raise ValueError(f"draws: got {draws}, expected at least 2")
    return draws


def _in_parallel(draws: int | None) -> dict[str, Any]:
    """How Pyro is to take a site of the guide: all of its values, or several draws of it, at once."""
    return {"enumerate": "parallel"} | ({} if draws is None else {"num_samples": draws})


class FixedOrder(nn.Module):
    """The complete graph of an order, or the edges of it that a recipe keeps: nothing is latent.

    Args:
        dim: number of variables d.
        order: the variables 0..d-1 from causes to effects; as they are numbered if None.
    """

    adjacency: Tensor

    def __init__(self, dim: int, order: Sequence[int] | None = None) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.zeros(dim, dim))
        self.set_order(range(dim) if order is None else order)

    def set_order(self, order: Sequence[int]) -> None:
        """Change the order, in place."""
        rank = torch.argsort(torch.as_tensor(list(order), device=self.adjacency.device))
        self.adjacency.copy_(rank.unsqueeze(1) < rank.unsqueeze(0))

    def forward(self) -> Tensor:
        """The graph, (d, d)."""
        return self.adjacency

    def mode(self) -> Tensor:
        """The graph, (d, d)."""
        return self.adjacency


class TablePrior(nn.Module):
    """p(graph), uniform over all DAGs up to a penalty for each edge.

    Args:
        dim: number of variables d, at most 5.
        penalty: nats that an edge costs, at least 0.
    """

    table: Tensor

    def __init__(self, dim: int, *, penalty: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("table", torch.as_tensor(all_dags(dim)).to(torch.get_default_dtype()))
        self.penalty = penalty

    def forward(self) -> Tensor:
        """Declare ``graph``, a row of the table, and return its adjacency matrix."""
        return self.table[pyro.sample("graph", Categorical(logits=-self.penalty * self.table.sum((-1, -2))))]


class TableLogits(nn.Module):
    """q(graph) with a logit for every DAG.

    Args:
        dim: number of variables d, at most 5.
        draws: number of graphs in a step, at least 2; None for all DAGs, and an expectation that is exact.
    """

    table: Tensor

    def __init__(self, dim: int, *, draws: int | None = None) -> None:
        super().__init__()
        self.draws = None if draws is None else _several(draws)
        self.register_buffer("table", torch.as_tensor(all_dags(dim)).to(torch.get_default_dtype()))
        self.logits = nn.Parameter(torch.zeros(len(self.table)))

    @torch.no_grad()
    def set_order(self, order: Sequence[int]) -> None:
        """Begin where edges along an order of the variables 0..d-1 are likely, others not; see :data:`ORDER_ODDS`."""
        self.logits.copy_(ORDER_ODDS * (self.table * _agreement(order).to(self.table)).sum((-1, -2)))

    def graph_logits(self) -> Tensor:
        """Unnormalised log probability of each DAG in the table."""
        return self.logits

    def forward(self) -> Tensor:
        """Declare ``graph``, enumerated in parallel or drawn several times, and return the adjacency matrices."""
        posterior = Categorical(logits=self.graph_logits())
        return self.table[pyro.sample("graph", posterior, infer=_in_parallel(self.draws))]

    def mode(self) -> Tensor:
        """The most probable DAG, (d, d)."""
        return self.table[self.graph_logits().argmax()]


class EdgeOrderLogits(TableLogits):
    """q(graph) from logits of edges and of orientations, in the manner of ENCO (Lippe, Cohen, Gavves, ICLR 2022).

        q(G) prop. to prod over i != j of  p_ij^G_ij (1 - p_ij)^(1 - G_ij),    p_ij = sigmoid(edge_ij) sigmoid(turn_ij)

    with turn_ij = -turn_ji, over the acyclic G only: ENCO's independent edges, conditioned on having no cycle.
    """

    def __init__(self, dim: int, *, draws: int | None = None) -> None:
        super().__init__(dim, draws=draws)
        del self.logits
        self.edge = nn.Parameter(torch.zeros(dim, dim))
        self.turn = nn.Parameter(torch.zeros(dim, dim))

    @torch.no_grad()
    def set_order(self, order: Sequence[int]) -> None:
        """Begin where edges along an order of the variables 0..d-1 are likely, others not; see :data:`ORDER_ODDS`."""
        self.turn.copy_(ORDER_ODDS / 2 * _agreement(order))

    def graph_logits(self) -> Tensor:
        """Unnormalised log probability of each DAG in the table."""
        log_p = nn.functional.logsigmoid(self.edge) + nn.functional.logsigmoid(self.turn - self.turn.T)
        log_odds = log_p - torch.log(-torch.expm1(log_p))
        return (self.table * log_odds).sum((-1, -2))


class PermutationPrior(nn.Module):
    """p(order) p(edges): a uniform order, and each edge that agrees with it by itself.

    Args:
        dim: number of variables d.
        penalty: log odds against an edge, 0 for one half.
    """

    zeros: Tensor

    def __init__(self, dim: int, *, penalty: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(dim))
        self.register_buffer("log_odds", torch.full((dim, dim), -penalty))

    def forward(self) -> Tensor:
        """Declare ``order`` and ``edges`` and return the adjacency matrix."""
        order = pyro.sample("order", PlackettLuce(self.zeros))
        edges = pyro.sample("edges", Bernoulli(logits=self.log_odds, validate_args=False).to_event(2))
        adjacency: Tensor = compatible(order) * edges
        return adjacency


class PermutationLogits(nn.Module):
    """q(order) q(edges), for each a logit: in the manner of DDS (Charpentier, Kibler, Guennemann, ICLR 2022).

    Several draws for each step. Edges are hard in value and have the gradient of a relaxation (straight through);
    orders get an unbiased gradient from comparing the draws (:class:`pyro_lcm.training.elbo.PairELBO`). DDS relaxes
    them too: on four linear variables that gradient drives right orders away (of 6 runs 2 had a disentanglement below
    .8).

    Args:
        dim: number of variables d.
        draws: number of graphs in a step, at least 2.
        temperature: of the relaxation of edges.
        gain: what ``score`` is multiplied by: how much faster than at 1 the order is learned.
    """

    def __init__(self, dim: int, *, draws: int = 16, temperature: float = 1.0, gain: float = 1.0) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.zeros(dim))
        self.edge = nn.Parameter(torch.zeros(dim, dim))
        self.draws, self.temperature, self.gain = _several(draws), temperature, gain

    @torch.no_grad()
    def set_order(self, order: Sequence[int]) -> None:
        """Begin near an order of the variables 0..d-1; see :data:`ORDER_ODDS`."""
        rank = torch.argsort(torch.as_tensor(list(order)))
        self.score.copy_(-ORDER_ODDS / self.gain * rank)

    def forward(self) -> Tensor:
        """Declare ``order`` and ``edges`` and return the adjacency matrix."""
        order = pyro.sample("order", PlackettLuce(self.gain * self.score), infer=_in_parallel(self.draws))
        edge = self.edge.expand(*order.shape[:-2], *self.edge.shape)
        edges = pyro.sample("edges", StraightThroughBernoulli(edge, self.temperature).to_event(2))
        adjacency: Tensor = compatible(order) * edges
        return adjacency

    def mode(self) -> Tensor:
        """The most probable edges of the most probable order, (d, d)."""
        rank = torch.argsort(torch.argsort(self.score, descending=True))
        return (rank.unsqueeze(1) < rank.unsqueeze(0)) * (self.edge > 0).to(self.edge)


def compatible(order: Tensor) -> Tensor:
    """Which edges agree with an order: P' U P, U strictly upper triangular, for P (..., position, variable)."""
    later = torch.ones_like(order).triu(1)
    return order.transpose(-1, -2) @ later @ order
