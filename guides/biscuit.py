"""Amortized guide of BISCUIT (Lippe et al., UAI 2023, arXiv 2306.09643).

q(z | x)             N(m(x), v(x)), diagonal, one encoder for all frames; a point mass where the encoder is a flow
q(I | z, z', R)      the model's own posterior of the interactions, summed out
"""

from __future__ import annotations

from collections.abc import Callable

import pyro
from pyro.contrib.autoname import scope
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_lcm.guides.amortized import AmortizedGuide


class BISCUITGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.biscuit.BISCUIT`; same signature, same plates.

    Args:
        dim_z: number of latents M.
        encoder: maps (rows, ...) observations to mean and standard deviation, (rows, M) each.
        interaction_dist: the model's.
    """

    infers_targets = False

    def __init__(
        self, dim_z: int, encoder: nn.Module, interaction_dist: Callable[[Tensor, Tensor, Tensor], Bernoulli]
    ) -> None:
        super().__init__(dim_z, encoder)
        self.interaction_dist = interaction_dist

    def forward(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample latents and interactions; arguments as the model's. What is given of the first frame is not scored."""
        before, after = (self.posterior(mean.T, sd.T) for mean, sd in self.sides(x, x_after))
        latents = pyro.plate("latents", self.dim_z, dim=-2)
        with pyro.plate("pairs", size, subsample=index, dim=-1), latents:
            with scope(prefix="before"):
                first = pyro.sample("causal", before.mask(False))
            with scope(prefix="after"):
                second = pyro.sample("causal", after)
                interaction = self.interaction_dist(first, second, targets)
                pyro.sample("interaction", interaction, infer={"enumerate": "parallel"})
