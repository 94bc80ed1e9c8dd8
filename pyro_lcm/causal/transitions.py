"""How latents move from one frame to the next, given which variable each belongs to and what was intervened on.

    z'_m | z, I  ~  N(loc_m, scale_m)(z, s),        s = 0  no variable's,   1  its variable runs,   2  it is set

Each latent m has one network of all latents one frame before, whose output has a location and a scale for each of the
three states. Which of them holds, its assignment and the targets tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_lcm.nn.activations import Activation
from pyro_lcm.nn.grouped import GroupedMLP

NONE, RUNS, SET = 0, 1, 2
"""States of a latent: of no variable; of one that follows its mechanism; of one that is intervened on."""
_MAX_LOG_SCALE = 3.0


class Transitions(nn.Module):
    """Mechanisms of latents over time.

    Args:
        dim: number of latents M.
        hidden: widths of the hidden layers of each network; empty for affine locations.
        min_scale: lower bound of scale.
        activation: of the hidden layers.
        states: number of mechanisms of each latent.
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (64, 64),
        *,
        min_scale: float = 0.05,
        activation: Activation = "leaky_relu",
        states: int = 3,
    ) -> None:
        super().__init__()
        self.dim, self.min_scale = dim, min_scale
        self.networks = GroupedMLP(dim, dim, 2 * states, hidden, activation=activation)

    def coefficients(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Locations and scales of every state, (states, M, rows) each, of latents (M, rows) one frame before."""
        out = self.networks.all(latents.T.expand(self.dim, -1, -1))
        location, log_scale = out.movedim(-1, 0).chunk(2)
        return location, log_scale.clamp(max=_MAX_LOG_SCALE).exp() + self.min_scale

    def forward(self, latents: Tensor, assignment: Tensor, targets: Tensor) -> Normal:
        """p(z' | z, I) of every latent.

        Args:
            latents: (M, rows) one frame before.
            assignment: (..., M, 1) long, the variable of each latent, 0 for none; enumerated dimensions in front.
            targets: (rows, K) 0 and 1.

        Returns:
            Batch shape (..., M, rows).
        """
        location, scale = self.coefficients(latents)
        state = states(assignment, targets)
        return Normal(_chosen(location, state), _chosen(scale, state))


def states(assignment: Tensor, targets: Tensor) -> Tensor:
    """The state of each latent, (..., M, rows): :data:`NONE`, :data:`RUNS` or :data:`SET`.

    Args:
        assignment: (..., M, 1) long, 0 to K.
        targets: (rows, K) 0 and 1.

    Example:
        >>> states(torch.tensor([[0], [2]]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[0, 0], [2, 1]]
    """
    of_variable = torch.cat([torch.zeros_like(targets[:, :1]), targets + 1], 1).long()
    return of_variable.T[assignment.squeeze(-1)]


def _chosen(values: Tensor, state: Tensor) -> Tensor:
    """Of values (3, M, rows) those of the state, (..., M, rows)."""
    return torch.where(state == SET, values[SET], torch.where(state == RUNS, values[RUNS], values[NONE]))
