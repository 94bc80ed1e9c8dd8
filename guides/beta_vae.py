"""Amortized guide of the beta-VAE on pairs (Higgins et al., ICLR 2017): one encoder, each side by itself.

q(e, e~ | x, x~) = N(m(x), v(x)) N(m(x~), v(x~)),   diagonal
"""

from __future__ import annotations

import pyro
from pyro.distributions import Normal
from torch import Tensor

from pyro_lcm.causal.changes import target_probabilities
from pyro_lcm.guides.amortized import AmortizedGuide


class BetaVAEGuide(AmortizedGuide):
    """The guide of :class:`pyro_lcm.models.beta_vae.BetaVAE`; same signature, same plate.

    Args:
        dim_z: number of latents d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
    """

    infers_targets = False
    """Whether ``targets`` says what the model says: it has none."""

    def forward(
        self,
        x: Tensor,
        x_after: Tensor,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> None:
        """Sample the latents of the pairs ``index`` out of ``size``; arguments as the model's."""
        before, after = self.posteriors(x, x_after, targets)
        with pyro.plate("pairs", size, subsample=index):
            pyro.sample("noise", before.to_event(1))
            pyro.sample("redrawn", after.to_event(1))

    def posteriors(self, x: Tensor, x_after: Tensor, targets: Tensor | None = None) -> tuple[Normal, Normal]:
        """Posteriors of the two sides' latents, batch shape (pairs, d) each; targets play no part."""
        before, after = self.sides(x, x_after)
        return Normal(*before), Normal(*after)

    def targets(self, x: Tensor, x_after: Tensor) -> Tensor:
        """(pairs, d + 1) probabilities of what was intervened on, from which latent moved; column 0 is none.

        The model has no targets; see :func:`pyro_lcm.causal.changes.target_probabilities` for what is meant.
        """
        before, after = BetaVAEGuide.posteriors(self, x, x_after)
        return target_probabilities(before.mean, before.stddev, after.mean, after.stddev)
