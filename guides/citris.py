"""Amortized guide of CITRIS (Lippe et al., ICML 2022, arXiv 2202.03169).

q(psi_m)       over 0, 1, ..., K, for each latent, summed out
q(z | x)       N(m(x), v(x)), diagonal, one encoder for all frames; a point mass where the encoder is a flow
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Categorical, Delta, Normal
from torch import Tensor, nn

from pyro_lcm.guides.amortized import AmortizedGuide


class CITRISGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.citris.CITRIS`; same signatures, same plates.

    Args:
        dim_z: number of latents M.
        variables: number of causal variables K.
        encoder: maps (rows, ...) observations to mean and standard deviation, (rows, M) each.
    """

    infers_targets = False

    def __init__(self, dim_z: int, variables: int, encoder: nn.Module) -> None:
        super().__init__(dim_z, encoder)
        self.assignment_logits = nn.Parameter(torch.zeros(dim_z, variables + 1))

    def forward(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample the latents of both frames; arguments as the model's. What is given of the first is not scored."""
        before, after = self.sides(x, x_after)
        latents = self._assigned()
        with pyro.plate("pairs", size, subsample=index, dim=-1), latents:
            with scope(prefix="before"):
                pyro.sample("causal", self._each(*before).mask(False))
            with scope(prefix="after"):
                pyro.sample("causal", self._each(*after))

    def episodes(self, x: Tensor, *, targets: Tensor, size: int, index: Tensor | None = None) -> None:
        """Sample the latents of whole episodes; arguments as the model's."""
        mean, sd = self.encoder(x.flatten(0, 1))
        mean, sd = (part.unflatten(0, x.shape[:2]) for part in (mean, sd))
        latents = self._assigned()
        with pyro.plate("episodes", size, subsample=index, dim=-1), latents:
            for t in pyro.markov(range(x.shape[1])):
                with scope(prefix=f"frame{t}"):
                    pyro.sample("causal", self._each(mean[:, t], sd[:, t]))

    @property
    def probabilities(self) -> Tensor:
        """q(psi), (M, K + 1), column 0 is none."""
        return self.assignment_logits.softmax(-1)

    def _assigned(self) -> pyro.plate:
        latents = pyro.plate("latents", self.dim_z, dim=-2)
        with latents:
            posterior = Categorical(logits=self.assignment_logits.unsqueeze(1))
            pyro.sample("assignment", posterior, infer={"enumerate": "parallel"})
        return latents

    def _each(self, mean: Tensor, sd: Tensor) -> Normal | Delta:
        """Of each latent, batch shape (M, rows), from (rows, M)."""
        return self.posterior(mean.T, sd.T)
