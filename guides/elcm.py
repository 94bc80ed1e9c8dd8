"""Amortized guide of the explicit latent causal model: a graph for all pairs, and the implicit model's guide for each.

q(G) q(e, r, I | x, x~, G), where the graph's logits are those of :mod:`pyro_lcm.causal.graph_sites`. Encodings do not
depend on the graph, so neither do targets; both are read as in :mod:`pyro_lcm.guides.ilcm`. What variables that are not
the target would be redrawn to does, and is drawn from the model given the same graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.causal.outcomes import RedrawnGivenGraph
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
        redrawn_dist: the model's, for the outcomes that were not seen.
    """

    redrawn_dist: RedrawnGivenGraph | None

    def __init__(
        self,
        dim_z: int,
        encoder: nn.Module,
        graphs: nn.Module,
        target_encoder: TargetEncoder | None = None,
        averaging: Averaging = "product",
        redrawn_dist: RedrawnGivenGraph | None = None,
    ) -> None:
        super().__init__(dim_z, encoder, target_encoder, averaging, redrawn_dist)
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
        adjacency = self.graphs()
        unseen = None if self.redrawn_dist is None else partial(self.redrawn_dist, adjacency=adjacency)
        self.pairs(unseen, x, x_after, targets=targets, size=size, index=index)

    def given_graph(self, x: Tensor, x_after: Tensor, **arguments: Any) -> None:
        """The guide of :meth:`pyro_lcm.models.elcm.ELCM.given_graph`: no graph to sample."""
        super().forward(x, x_after, **arguments)

    @torch.no_grad()
    def graph(self) -> Tensor:
        """The most probable graph, (d, d), ``[parent, child]``."""
        graphs: Any = self.graphs
        mode: Tensor = graphs.mode()
        return mode
