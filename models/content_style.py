"""Content and style (von Kuegelgen et al., NeurIPS 2021, arXiv 2106.04619): latents that a pair keeps, more or less.

    e_k ~ N(0, 1)                                          latents before
    r_k | e_k ~ N(a_k e_k, 1 - a_k^2)                      latents after, of the same law
    x  ~ p(x | g(e)),   x~ ~ p(x | g(r))

The agreement a_k is the correlation of a latent with itself on the other side. Content agrees, a_k near 1; style does
not. Which latents are content is no label but what the agreements say (:mod:`pyro_lcm.identify.blocks`). The latents of
a block have no meaning one by one: any invertible map of content is content.

How content is found is :mod:`pyro_lcm.recipes.contrast`.
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_lcm.models.beta_vae import BetaVAE

LEAST_WIDTH = 1e-2
"""Least standard deviation of r_k given e_k: what agrees exactly would have no density."""


class ContentStyle(BetaVAE):
    """The generative program of pairs that share content; sites as those of the beta-VAE, whose sides are independent.

    Args:
        dim_z: number of latents d.
        decoder: maps (..., d) latents to the distribution of x, or to its mean and standard deviation.
    """

    agreement: Tensor
    """(d,) correlations of each latent with itself on the other side, in [0, 1]."""
    content: Tensor
    """(d,) bool, the latents that are content."""

    def __init__(self, dim_z: int, decoder: nn.Module) -> None:
        super().__init__(dim_z, decoder)
        self.register_buffer("agreement", torch.zeros(dim_z))
        self.register_buffer("content", torch.zeros(dim_z, dtype=torch.bool))

    def forward(
        self,
        x: Tensor | None = None,
        x_after: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate, or score, the pairs ``index`` out of ``size``; arguments as the beta-VAE's."""
        with pyro.plate("pairs", size, subsample=index):
            prior = Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1)
            noise = pyro.sample("noise", prior)
            redrawn = pyro.sample("redrawn", self.after_dist(noise).to_event(1))
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                after = pyro.do(self.world, {"encoding": redrawn})(noise, x_after)
        return before, after

    def after_dist(self, noise: Tensor) -> Normal:
        """p(r | e), batch shape (..., d), for latents (..., d)."""
        width = (1 - self.agreement.square()).clamp(min=LEAST_WIDTH**2).sqrt()
        return Normal(self.agreement * noise, width)
