"""Variables of a frame that depend on the frame before and on each other, along an acyclic graph.

    z'_i | z, z'_pa(i), I_i = 0  ~  N(loc_i, scale_i)(z, z'_pa(i))
    z'_i | I_i = 1               ~  N(loc_i, scale_i)

A perfect intervention cuts a variable off from all others, of its own frame and of the one before. As in
:mod:`pyro_lcm.causal.mechanisms` one set of networks serves every graph: a network sees the values of its parents, zero
for all others, and which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn

from pyro_lcm.causal.dag import topological_order
from pyro_lcm.nn.activations import Activation
from pyro_lcm.nn.grouped import GroupedMLP

_MAX_LOG_SCALE = 3.0


class SimultaneousTransitions(nn.Module):
    """Mechanisms of variables over time, with effects within a frame.

    Args:
        dim: number of variables d.
        hidden: widths of the hidden layers of each network; empty for affine locations.
        min_scale: lower bound of scale.
        activation: of the hidden layers.
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (64, 64),
        *,
        min_scale: float = 0.05,
        activation: Activation = "leaky_relu",
    ) -> None:
        super().__init__()
        self.dim, self.min_scale = dim, min_scale
        self.networks = GroupedMLP(dim, 3 * dim, 2, hidden, activation=activation)
        self.set_to = nn.Parameter(torch.zeros(dim, 2))

    def coefficients(self, before: Tensor, now: Tensor, targets: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale of each variable given its parents in both frames, (..., rows, d) each.

        Args:
            before: (rows, d) one frame before.
            now: (rows, d) the same frame, of which each variable sees its parents.
            targets: (rows, d) 0 and 1.
            adjacency: (..., d, d) ``[parent, child]``, acyclic; of several graphs the last dimension in front is 1.
        """
        parents = adjacency.transpose(-1, -2)
        seen = parents * now.unsqueeze(-2)  # (..., rows, child, parent)
        inputs = torch.cat([before.unsqueeze(-2).expand_as(seen), seen, parents.expand_as(seen)], -1)
        rows = inputs.reshape(-1, self.dim, 3 * self.dim).transpose(0, 1)
        runs = self.networks.all(rows).transpose(0, 1).reshape(*seen.shape[:-1], 2)
        location, log_scale = torch.where(targets.unsqueeze(-1) > 0, self.set_to, runs).unbind(-1)
        return location, log_scale.clamp(max=_MAX_LOG_SCALE).exp() + self.min_scale

    def forward(self, before: Tensor, targets: Tensor, adjacency: Tensor) -> SimultaneousStep:
        """p(z' | z, I, G), of event shape (d,); arguments as above."""
        return SimultaneousStep(self, before, targets, adjacency)


class SimultaneousStep(TorchDistribution):
    """The variables of a frame given the frame before: densities in one go, draws from causes to effects.

    Args:
        transitions: the mechanisms.
        before: (rows, d) one frame before.
        targets: (rows, d) 0 and 1.
        adjacency: (..., d, d); draws are of a single graph, (d, d).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, transitions: SimultaneousTransitions, before: Tensor, targets: Tensor, adjacency: Tensor
    ) -> None:
        self.transitions, self.before, self.targets, self.adjacency = transitions, before, targets, adjacency
        batch = torch.broadcast_shapes(adjacency.shape[:-2], before.shape[:-1])
        super().__init__(batch, before.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SimultaneousStep:
        """The same: its rows are those of the frame before.

        Raises:
            ValueError: if the shape is another one.
        """
        if torch.Size(batch_shape) != self.batch_shape:
            raise ValueError(f"batch_shape: got {tuple(batch_shape)}, expected {tuple(self.batch_shape)}")
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of (rows, d) values, (..., rows)."""
        location, scale = self.transitions.coefficients(self.before, value, self.targets, self.adjacency)
        density: Tensor = Normal(location, scale).log_prob(value).sum(-1)
        return density

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """One draw, (rows, d).

        Raises:
            ValueError: if more are asked for, or there are several graphs.
        """
        if tuple(sample_shape) or self.adjacency.dim() > 2:
            raise ValueError(f"sample_shape: got {tuple(sample_shape)}, expected one draw, of one graph")
        return self.given_noise(torch.randn_like(self.before))

    def given_noise(self, noise: Tensor, fixed: Tensor | None = None) -> Tensor:
        """The variables, (rows, d), of one graph.

        Args:
            noise: (rows, d) standard normal.
            fixed: (rows, d) values that variables are set to, nan for those that are not; none are if None.
        """
        now = torch.zeros_like(self.before)
        for i in topological_order(self.adjacency.cpu().numpy()):
            location, scale = self.transitions.coefficients(self.before, now, self.targets, self.adjacency)
            value = location + scale * noise
            if fixed is not None:
                value = torch.where(fixed.isnan(), value, fixed)
            now = torch.where(torch.arange(now.shape[-1], device=now.device) == int(i), value, now)
        return now
