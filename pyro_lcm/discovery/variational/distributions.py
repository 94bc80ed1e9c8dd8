"""Distributions over ordered partitions of d variables, for guides: a table, and an autoregressive network.

An ordered partition (`partitions`) is written as a sequence: the variables of layer 0 in ascending order, a
"close", the variables of layer 1 in ascending order, and so on. Each partition has exactly one sequence, so
the product of the steps' probabilities *is* the probability of the partition; nothing has to be summed out.
"""

from __future__ import annotations

from itertools import product

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor, nn

from pyro_lcm.discovery.parent_set_tables import ParentSetTables

_SCORE_RANGE = 20.0


def all_partitions(num_variables: int) -> Tensor:
    """Every ordered partition of d variables: 1, 3, 13, 75, 541 for d = 1 to 5.

    Args:
        num_variables: Number of variables d.

    Returns:
        (n, d) int64 layers.

    Example:
        >>> all_partitions(2).tolist()
        [[0, 0], [0, 1], [1, 0]]
    """
    rows = product(range(num_variables), repeat=num_variables)
    return torch.tensor([row for row in rows if set(row) == set(range(max(row) + 1))])


class PartitionPolicy(nn.Module):
    """Network that gives the next step of a partition's sequence.

    Input: which variables stand in layers before the last closed one, in that one, and in the one being
    filled, and for each variable what it would lose, ``log Z_j(A, H)`` against ``log Z_j`` of all variables,
    if it joined the layer being filled. That loss also enters the logits directly, with a weight that is
    learned, so that an untrained network already prefers variables whose parents have been placed.

    Args:
        tables: Parent-set weights of d variables.
        hidden: Width of the two hidden layers.
    """

    best: Tensor

    def __init__(self, tables: ParentSetTables, hidden: int = 128) -> None:
        super().__init__()
        d = tables.num_variables
        self._tables = [tables]  # a list, so that the tables are no part of the network's state
        child = torch.arange(d)
        self.register_buffer("best", tables.log_sum(child, ~torch.eye(d, dtype=torch.bool)), persistent=False)
        last = nn.Linear(hidden, d + 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(4 * d, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)
        # A steep start would rule graphs out before they are seen.
        self.log_slope = nn.Parameter(torch.tensor(-3.0))

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return self.best.shape[0]

    def losses(self, earlier: Tensor, last: Tensor) -> Tensor:
        """What each variable would lose in the layer after ``last``: (..., d) values <= 0, in nats.

        Args:
            earlier: (..., d) bool, variables before the last closed layer.
            last: (..., d) bool, variables in it; none when the first layer is being filled.
        """
        tables = self._tables[0]
        d = self.num_variables
        child = torch.arange(d, device=last.device)
        before = (earlier | last)[..., None, :].expand(*last.shape, d) & ~torch.eye(d, dtype=torch.bool)
        value = tables.log_sum_hitting(child, before, last[..., None, :].expand(before.shape))
        return torch.where(last.any(-1, keepdim=True), value, tables.log_empty(child)) - self.best

    def forward(self, earlier: Tensor, last: Tensor, current: Tensor, losses: Tensor) -> Tensor:
        """Log probabilities (..., d + 1) of the next step: each variable, then "close".

        Args:
            earlier: (..., d) bool, variables before the last closed layer.
            last: (..., d) bool, variables in it.
            current: (..., d) bool, variables in the layer being filled.
            losses: (..., d) from `losses`.
        """
        dtype = self.log_slope.dtype
        clipped = losses.clamp(min=-_SCORE_RANGE).to(dtype)
        state = torch.cat([earlier.to(dtype), last.to(dtype), current.to(dtype), clipped / 5.0], -1)
        logits = self.network(state)
        logits = logits + nn.functional.pad(self.log_slope.exp() * clipped, (0, 1))
        # Ascending within a layer: only variables beyond the last one taken; an empty layer cannot be closed.
        open_ = ~(earlier | last | _at_or_before_last(current)) & losses.isfinite()
        allowed = torch.cat([open_, current.any(-1, keepdim=True)], -1)
        # A dead end, which only a restrictive prior has, must still be left: every variable not yet placed.
        unplaced = nn.functional.pad(~(earlier | last | current), (0, 1))
        allowed = torch.where(allowed.any(-1, keepdim=True), allowed, unplaced)
        result: Tensor = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        return result


class Partitions(TorchDistribution):
    """Distribution over ordered partitions whose steps a `PartitionPolicy` gives.

    Args:
        policy: The network.
        batch_shape: Shape of independent draws.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    has_rsample = False

    def __init__(self, policy: PartitionPolicy, batch_shape: torch.Size | None = None) -> None:
        self._policy = policy
        super().__init__(batch_shape or torch.Size(), torch.Size((policy.num_variables,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Layers: integers from 0."""
        return constraints.independent(constraints.nonnegative_integer, 1)

    def expand(self, batch_shape: torch.Size, _instance: TorchDistribution | None = None) -> Partitions:
        """The same distribution for a batch."""
        return Partitions(self._policy, torch.Size(batch_shape))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw partitions (..., d), int64 layers."""
        policy = self._policy
        d = policy.num_variables
        shape = torch.Size((*sample_shape, *self.batch_shape))
        with torch.no_grad():
            layers = policy.best.new_full((shape.numel(), d), -1, dtype=torch.long)
            layer = layers.new_zeros(shape.numel())
            losses = policy.losses(layers >= 0, layers >= 0)
            while True:
                depth = layer[:, None]
                placed = layers >= 0
                finished = placed.all(-1)
                if finished.all():
                    return layers.reshape(*shape, d)
                state = (placed & (layers < depth - 1), placed & (layers == depth - 1), layers == depth)
                step = policy(*state, losses).exp().multinomial(1)[:, 0]
                close = (step == d) & ~finished
                takes = nn.functional.one_hot(step, d + 1)[:, :d].bool() & ~finished[:, None]
                layers = torch.where(takes, depth, layers)
                if close.any():
                    fresh = policy.losses(state[0][close] | state[1][close], state[2][close])
                    losses = losses.index_put((close,), fresh)
                    layer = layer + close

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability (...) of partitions (..., d)."""
        d = self._policy.num_variables
        layers = value.reshape(-1, d)
        depth = torch.arange(d, device=value.device)[:, None]
        by_layer = layers[:, None, :]
        earlier, last = by_layer < depth - 1, by_layer == depth - 1
        in_use = (by_layer == depth).any(-1)
        losses = layers.new_zeros((*in_use.shape, d), dtype=self._policy.best.dtype)
        losses[in_use] = self._policy.losses(earlier[in_use], last[in_use])
        # One row for each step: the variables in the order of the sequence, and a close after every layer but
        # the last.
        rank = layers * d + torch.arange(d, device=value.device)
        own = by_layer.mT
        row = torch.arange(len(layers), device=value.device)[:, None]
        taken = (rank[:, None, :] < rank[:, :, None]) & (by_layer == own)
        steps = self._policy(by_layer < own - 1, by_layer == own - 1, taken, losses[row, layers])
        take = steps.gather(-1, torch.arange(d, device=value.device).expand(len(layers), d)[..., None])[..., 0]
        closes = in_use & (depth[:, 0] < layers.amax(-1, keepdim=True))
        close = self._policy(earlier[closes], last[closes], (by_layer == depth)[closes], losses[closes])[:, d]
        total: Tensor = take.sum(-1) + torch.zeros_like(take).masked_scatter(closes, close).sum(-1)
        return total.reshape(value.shape[:-1])


def _at_or_before_last(current: Tensor) -> Tensor:
    """(..., d) bool: variables up to the last one of the layer being filled."""
    return current.flip(-1).int().cummax(-1).values.flip(-1).bool()
