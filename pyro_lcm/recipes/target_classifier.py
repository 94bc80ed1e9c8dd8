"""The target classifier of CITRIS (Lippe et al., ICML 2022, arXiv 2202.03169): a term beside the ELBO.

A classifier of each variable k sees the frame before and, of the frame after, the latents that are assigned to k, and
says whether k was intervened on:

    - sum_k log p(I_k | z_t, q(psi = k) z_t+1)

Its gradient draws into the latents of k what tells interventions on k. Where an encoder is not exact an ELBO may do
without: an intervention that changes little of x costs few nats.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.nn.grouped import GroupedMLP


class TargetClassifier(nn.Module):
    """One network for each variable.

    Args:
        dim_z: number of latents M.
        variables: number of causal variables K.
        hidden: widths of the hidden layers.
    """

    def __init__(self, dim_z: int, variables: int, hidden: tuple[int, ...] = (32,)) -> None:
        super().__init__()
        self.networks = GroupedMLP(variables, 2 * dim_z, 1, hidden)

    def forward(self, before: Tensor, after: Tensor, probabilities: Tensor) -> Tensor:
        """Logits of an intervention on each variable, (rows, K).

        Args:
            before: (rows, M) latents one frame before.
            after: (rows, M) latents.
            probabilities: (M, K + 1) of the variable each belongs to, column 0 none.
        """
        own = after * probabilities[:, 1:].T.unsqueeze(1)
        inputs = torch.cat([before.expand_as(own), own], -1)
        return self.networks.all(inputs).squeeze(-1).T

    def loss(self, before: Tensor, after: Tensor, probabilities: Tensor, targets: Tensor) -> Tensor:
        """-sum_k log p(I_k), the mean over rows; arguments as above, targets (rows, K) 0 and 1."""
        logits = self(before, after, probabilities)
        each = nn.functional.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none")
        return each.sum(-1).mean()
