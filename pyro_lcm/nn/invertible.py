"""Encoder and decoder that are each other's inverse: one flow, and the distribution it gives x.

        decoder   x = flow^-1(e + t eta),     eta ~ N(0, 1)^d
        encoder   q(e | x) = N(u / (1 + t^2), t^2 / (1 + t^2)),     u = flow(x)

x has as many features as there are variables. The tolerance t, one number in units of the noise encodings, says how
far from the encoding an observation may be. Nothing of a decoder is run in training: with u known, the density of x
given *any* encoding is a Gaussian at u times the flow's Jacobian, and for a prior N(0, 1)^d the encoder is the exact
posterior. While the flow is still wrong, t is wide, and as it gets better t narrows by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from pyro.distributions import Independent, Normal, TorchDistribution, TransformedDistribution
from torch import Tensor, nn
from torch.distributions import Transform, constraints

from pyro_lcm.nn.flow import Flow
from pyro_lcm.nn.recall import exact_posterior, flow_columns, once, sides_of

MIN_TOLERANCE = 1e-3
"""Lower bound of the tolerance."""


class Unflow(Transform):
    """From noise encodings to observations, the inverse of a flow; its density takes one pass of the flow.

    Args:
        flow: from observations (or their code) to noise encodings.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def _call(self, x: Tensor) -> Tensor:
        return self.flow.inverse(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return once(self.flow, y)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Minus that of the flow at y."""
        return -once(self.flow, y)[1]


class Observation(TransformedDistribution):
    """x = flow^-1(e + t eta) given noise encodings e, (..., d)."""

    def __init__(self, flow: Flow, noise: Tensor, tolerance: Tensor) -> None:
        super().__init__(Independent(Normal(noise, tolerance), 1), [Unflow(flow)])

    @property
    def mean(self) -> Tensor:
        """What the encoding itself looks like, eta = 0."""
        value: Tensor = self.transforms[0](self.base_dist.mean)
        return value

    def expand(self, batch_shape: Any, _instance: Any = None) -> Observation:
        """The same in a larger batch."""
        base = self.base_dist.base_dist
        shape = torch.Size(batch_shape) + self.event_shape
        return Observation(self.transforms[0].flow, base.loc.expand(shape), base.scale.expand(shape))


class CodeObservation(TorchDistribution):
    """The density of a code u of x given noise encodings e, u = flow^-1(e + t eta), as that of x.

    It stands for p(x | e) where a decoder is yet to be learned: a code that says all of x that depends on e says all
    of e that x does.

    Args:
        encoder: with a ``code`` that is held fixed and an invertible ``flow`` behind it.
        noise: (..., d) noise encodings.
        tolerance: t, a scalar.
        event_shape: of x.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, encoder: CodedEncoder, noise: Tensor, tolerance: Tensor, event_shape: torch.Size) -> None:
        self.encoder = encoder
        self.of_code = Observation(encoder.flow, noise, tolerance)
        super().__init__(noise.shape[:-1], event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the codes of (..., *event_shape) observations."""
        density: Tensor = self.of_code.log_prob(self.encoder.code(value))
        return density


class CodedEncoder(Protocol):
    """An encoder whose last part is invertible: x -> ``body`` -> code -> ``flow`` -> noise encodings."""

    body: nn.Module
    flow: Flow

    def code(self, x: Tensor) -> Tensor:
        """The code, (..., d), of (..., *shape of x) observations."""


class FlowEncoder(nn.Module):
    """Mean and standard deviation of q(e | x), exact for the decoder that shares the flow.

    Args:
        flow: from x to noise encodings.
        initial_tolerance: t at the start, in units of the noise encodings.
    """

    def __init__(self, flow: Flow, *, initial_tolerance: float = 0.1) -> None:
        super().__init__()
        self.flow = flow
        self.log_tolerance = nn.Parameter(torch.tensor(initial_tolerance).log())

    @property
    def tolerance(self) -> Tensor:
        """t, a scalar."""
        return _tolerance(self.log_tolerance)

    @torch.no_grad()
    def set_tolerance(self, value: float) -> None:
        """Set t, in units of the noise encodings."""
        self.log_tolerance.fill_(value).log_()

    def code(self, x: Tensor) -> Tensor:
        """What the flow is applied to: x, (..., d)."""
        return x

    def columns(self, x: Tensor) -> dict[str, Tensor]:
        """What the encoder computes of (N, d) observations, to be kept while it is frozen."""
        return flow_columns(self.flow, x)

    def passes(self, columns: Mapping[str, Tensor]) -> list[tuple[nn.Module, Any]]:
        """Its networks, and what each gave for both sides of pairs, of columns of a batch."""
        image, log_det = sides_of(columns, "image", "log_det")
        return [(self.flow, (image, log_det))]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (..., d), for (..., d) observations."""
        return exact_posterior(once(self.flow, x)[0], self.tolerance)


def _tolerance(log_tolerance: Tensor) -> Tensor:
    return log_tolerance.exp() + MIN_TOLERANCE


class FlowDecoder(nn.Module):
    """The distribution of x given noise encodings, through the inverse of an encoder.

    Args:
        encoder: whose inverse it is; they share parameters.
    """

    def __init__(self, encoder: FlowEncoder) -> None:
        super().__init__()
        self.flow = encoder.flow
        self.log_tolerance = encoder.log_tolerance

    def forward(self, noise: Tensor) -> Observation:
        """p(x | e), event shape (d,), for (..., d) noise encodings."""
        return Observation(self.flow, noise, _tolerance(self.log_tolerance))
