"""A flow as encoder and decoder without any noise between them: x = flow^-1(z), and z is all that x says.

        log p(x) = log p(z) + log |det d flow / dx|,        z = flow(x)

so the ELBO is the log likelihood itself. The guide has a point mass at flow(x), of which the density of a point
mass at x given z differs by the Jacobian; the infinite rest of both cancels and is left out on both sides.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyro_lcm.nn.flow import Flow
from pyro_lcm.nn.recall import once


class ExactObservation(TorchDistribution):
    """x = flow^-1(z) given latents z; the density is relative to a point mass at z = flow(x).

    Args:
        flow: from observations to latents.
        latents: (..., d).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, flow: Flow, latents: Tensor) -> None:
        self.flow, self.latents = flow, latents
        super().__init__(latents.shape[:-1], latents.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The observation, (..., d)."""
        return self.flow.inverse(self.latents)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The observation, as often as asked for."""
        return self.mean.expand(torch.Size(sample_shape) + self.latents.shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ExactObservation:
        """The same in a larger batch."""
        return ExactObservation(self.flow, self.latents.expand(*batch_shape, self.latents.shape[-1]))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log |det d flow / dx| at (..., d) observations whose latents these are, (...)."""
        log_det: Tensor = once(self.flow, value)[1]
        return log_det


class ExactEncoder(nn.Module):
    """Latents of observations by a flow.

    Args:
        flow: from x to latents.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (..., d) of (..., d) observations, and their standard deviations, which are 0."""
        image = once(self.flow, x)[0]
        return image, torch.zeros_like(image)


class ExactDecoder(nn.Module):
    """Observations of latents, through the inverse of an encoder.

    Args:
        encoder: whose inverse it is; they share parameters.
    """

    def __init__(self, encoder: ExactEncoder) -> None:
        super().__init__()
        self.flow = encoder.flow

    def forward(self, latents: Tensor) -> ExactObservation:
        """p(x | z), event shape (d,), for (..., d) latents."""
        return ExactObservation(self.flow, latents)
