"""What the guides share: one encoder for both sides, a diagonal Gaussian q(e | x) = N(m(x), v(x)).

A flow as encoder (:mod:`pyro_lcm.nn.exact`) tells latents exactly: q(e | x) is a point mass.
"""

from __future__ import annotations

from pyro.distributions import Delta, Independent, Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from pyro_lcm.nn.exact import ExactEncoder
from pyro_lcm.nn.recall import both


class AmortizedGuide(PyroModule):
    """Base of the guides; each adds what it makes of the two posteriors.

    Args:
        dim_z: number of latents d.
        encoder: maps (pairs, ...) observations to mean and standard deviation, (pairs, d) each.
    """

    def __init__(self, dim_z: int, encoder: nn.Module) -> None:
        super().__init__()
        self.dim_z = dim_z
        self.encoder = encoder

    def encode(self, x: Tensor) -> Independent:
        """q(e | x), event shape (d,), for (pairs, ...) observations."""
        return self.posterior(*self.encoder(x)).to_event(1)

    @property
    def exact(self) -> bool:
        """Whether an observation tells its latents exactly."""
        return isinstance(self.encoder, ExactEncoder)

    def posterior(self, mean: Tensor, sd: Tensor) -> Normal | Delta:
        """Posterior of latents, each by itself, of any batch shape, from mean and standard deviation."""
        return Delta(mean) if self.exact else Normal(mean, sd)

    def sides(self, x: Tensor, x_after: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Mean and standard deviation of q(e | x), (pairs, d) each, for either side, in one pass of the encoder."""
        mean, sd = self.encoder(both(x, x_after))
        (before, after), (sd_before, sd_after) = mean.chunk(2), sd.chunk(2)
        return (before, sd_before), (after, sd_after)
