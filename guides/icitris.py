"""Amortized guide of iCITRIS (Lippe et al., ICLR 2023, arXiv 2206.06169).

q(G)           over graphs within a frame, one for all
q(z | x)       N(m(x), v(x)), diagonal, one encoder for all frames; a point mass where the encoder is a flow
"""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.contrib.autoname import scope
from torch import Tensor, nn

from pyro_lcm.guides.amortized import AmortizedGuide


class ICITRISGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.icitris.ICITRIS`; same signatures, same plate.

    Args:
        dim_z: number of causal variables K.
        encoder: maps (rows, ...) observations to mean and standard deviation, (rows, K) each.
        graphs: posterior of the graph, of the same kind as the model's prior.
    """

    infers_targets = False

    def __init__(self, dim_z: int, encoder: nn.Module, graphs: nn.Module) -> None:
        super().__init__(dim_z, encoder)
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
        """Sample graph and latents; arguments as the model's. What is given of the first frame is not scored."""
        self.graphs()
        self.given_graph(x, x_after, targets=targets, size=size, index=index)

    def given_graph(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """The guide of :meth:`pyro_lcm.models.icitris.ICITRIS.given_graph`: no graph to sample."""
        before, after = self.sides(x, x_after)
        with pyro.plate("pairs", size, subsample=index):
            with scope(prefix="before"):
                pyro.sample("causal", self.posterior(*before).to_event(1).mask(False))
            with scope(prefix="after"):
                pyro.sample("causal", self.posterior(*after).to_event(1))

    @torch.no_grad()
    def graph(self) -> Tensor:
        """The most probable graph within a frame, (K, K), ``[parent, child]``."""
        graphs: Any = self.graphs
        mode: Tensor = graphs.mode()
        return mode
