"""The beta-VAE on pairs (Higgins et al., ICLR 2017): nothing ties the two sides together.

    e  ~ N(0, 1)^d,   x  ~ p(x | g(e))
    e~ ~ N(0, 1)^d,   x~ ~ p(x | g(e~))                  independent of the first side

It is the pair model in which an intervention redraws everything, so the weak supervision tells it nothing:
the unstructured baseline of Brehmer et al. (NeurIPS 2022, arXiv 2203.16437). Its beta is the weight of the
latent sites in the objective (``kl_weight`` of :class:`pyro_lcm.training.objective.PairObjective`).
"""

from __future__ import annotations

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal, TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.causal.scoring import only_scoring
from pyro_lcm.nn.vectors import observation


class BetaVAE(PyroModule):
    """The generative program of pairs with independent sides.

    Sites: plate ``pairs``; ``noise``, ``redrawn`` (all d components); in the scopes ``before`` and ``after``:
    ``encoding``, ``causal``, ``x``. There is no ``target``.

    Args:
        dim_z: number of latents d.
        decoder: maps (..., d) latents to the distribution of x, or to its mean and standard deviation.
    """

    def __init__(self, dim_z: int, decoder: nn.Module) -> None:
        super().__init__()
        self.dim_z = dim_z
        self.decoder = decoder
        self.register_buffer("zero", torch.zeros(()))

    def forward(
        self,
        x: Tensor | None = None,
        x_after: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        size: int,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate, or score, the pairs ``index`` out of ``size``.

        Args:
            x: (pairs, ...) observations before; None to generate them.
            x_after: (pairs, ...) observations after; None to generate them.
            targets: part of the contract, without effect: the program has no targets.
            size: number of pairs in the data set.
            index: (pairs,) long, which of them these are; None for all.

        Returns:
            x before and x after.
        """
        with pyro.plate("pairs", size, subsample=index):
            prior = Normal(self.zero, torch.ones_like(self.zero)).expand([self.dim_z]).to_event(1)
            noise = pyro.sample("noise", prior)
            redrawn = pyro.sample("redrawn", prior)
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                after = pyro.do(self.world, {"encoding": redrawn})(noise, x_after)
        return before, after

    def world(self, noise: Tensor, x: Tensor | None = None) -> Tensor:
        """One world: from latents (..., d) to an observation."""
        encoding = pyro.deterministic("encoding", noise, event_dim=1)
        if not only_scoring():
            pyro.deterministic("causal", self.causal(encoding), event_dim=1)
        observed: Tensor = pyro.sample("x", self.x_dist(encoding), obs=x)
        return observed

    def x_dist(self, noise: Tensor) -> TorchDistribution:
        """p(x | e) for latents (..., d)."""
        return observation(self.decoder(noise), noise)

    def causal(self, noise: Tensor) -> Tensor:
        """The latents themselves, (..., d): the model has no other causal variables."""
        return noise
