"""Amortized guide of the explicit latent causal model: a graph for all pairs, and the implicit model's guide for each.

q(G) q(e, e~_I, I | x, x~), where the graph's logits are those of :mod:`pyro_lcm.causal.graph_sites`. Encodings do not
depend on the graph, so neither do targets; both are read as in :mod:`pyro_lcm.guides.ilcm`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.guides.ilcm import Averaging, ILCMGuide
from pyro_lcm.guides.target_encoder import TargetEncoder


class ELCMGuide(ILCMGuide):
    """The guide of :class:`pyro_lcm.models.elcm.ELCM`.

    Args:
        dim_z: number of causal variables d.
        encoder: maps (pairs, ...) observations to mean and standard deviation of the noise encodings, (pairs, d).
        graphs: posterior of the graph, of the same kind as the model's prior.
        target_encoder: q(I | x, x~); a new one if None.
        averaging: see :class:`pyro_lcm.guides.ilcm.ILCMGuide`.
    """

    def __init__(
        self,
        dim_z: int,
        encoder: nn.Module,
        graphs: nn.Module,
        target_encoder: TargetEncoder | None = None,
        averaging: Averaging = "product",
    ) -> None:
        super().__init__(dim_z, encoder, target_encoder, averaging)
        self.graphs = graphs

    def forward(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample the graph, then the latents of the pairs ``index`` out of ``size``; arguments as the model's."""
        self.graphs()
        super().forward(x, x_after, targets=targets, size=size, index=index)

    def given_graph(self, x: Tensor, x_after: Tensor, **arguments: Any) -> None:
        """The guide of :meth:`pyro_lcm.models.elcm.ELCM.given_graph`: no graph to sample."""
        super().forward(x, x_after, **arguments)

    @torch.no_grad()
    def graph(self) -> Tensor:
        """The most probable graph, (d, d), ``[parent, child]``."""
        graphs: Any = self.graphs
        mode: Tensor = graphs.mode()
        return mode
