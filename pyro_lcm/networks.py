"""From a name and a few widths to a Pyro model and its guide.

An :class:`Architecture` is all that is needed to build the same programs again; it goes into the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.dvae import DVAE
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.training import random_state

ModelName = Literal["ilcm", "dvae", "beta_vae"]
MODELS: tuple[ModelName, ...] = ("ilcm", "dvae", "beta_vae")


@dataclass(frozen=True)
class Architecture:
    """What a model and its guide are built from.

    Args:
        model: which generative program.
        dim_x: width of the observation after standardisation.
        dim_z: number of causal variables d.
        hidden: widths of the hidden layers between x and the code; empty makes the code affine in x.
        flow_layers: couplings of the flow between code and noise encodings; 0 makes it affine. By default 12, and
            two a variable beyond 6 variables.
        flow_hidden: width of the hidden layers of each coupling.
        solution_hidden: widths of the hidden layers of each solution function.
        spline_bins: of the monotone spline behind each solution function, for interventions that are not Gaussian;
            0 for affine solution functions.
        min_scale: lower bound of the solution functions' scale, in units of the noise encodings.
        min_sd: lower bound of the standard deviation of x given e, in units of x after standardisation.

    Raises:
        ValueError: if a field is out of range; the message names it.
    """

    model: ModelName
    dim_x: int
    dim_z: int
    hidden: tuple[int, ...] = ()
    flow_layers: int | None = None
    flow_hidden: int = 64
    solution_hidden: tuple[int, ...] = (64, 64)
    spline_bins: int = 0
    min_scale: float = 0.05
    min_sd: float = 0.01

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model: got {self.model!r}, expected one of {', '.join(MODELS)}")
        if not 1 <= self.dim_z <= self.dim_x:
            raise ValueError(
                f"dim_z: got {self.dim_z}, expected 1 to {self.dim_x}, the number of directions in which x varies"
            )
        for name in ("hidden", "solution_hidden"):
            widths = tuple(getattr(self, name))
            if any(width < 1 for width in widths):
                raise ValueError(f"{name}: got {widths}, expected positive widths")
            object.__setattr__(self, name, widths)
        if self.spline_bins < 0 or self.spline_bins == 1:
            raise ValueError(f"spline_bins: got {self.spline_bins}, expected 0 or at least 2")
        if not 0 < self.min_scale < 1:
            raise ValueError(f"min_scale: got {self.min_scale}, expected a number in (0, 1)")
        if not self.min_sd > 0:
            raise ValueError(f"min_sd: got {self.min_sd}, expected a positive number")
        if self.couplings < 0 or self.flow_hidden < 1:
            raise ValueError(
                f"flow_layers, flow_hidden: got {self.flow_layers}, {self.flow_hidden}, expected >= 0 and >= 1"
            )

    @property
    def couplings(self) -> int:
        """Number of couplings of the flow, the default resolved."""
        return min(max(12, 2 * self.dim_z), 32) if self.flow_layers is None else self.flow_layers

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_dict`; an unknown field is a ValueError."""
        unknown = sorted(set(plain) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"architecture: unknown field {unknown[0]!r}")
        return cls(**plain)


def build(architecture: Architecture, *, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Build the model and the guide of an architecture with fresh parameters.

    Args:
        architecture: what to build.
        seed: of the initial parameters; the global generator is left as it was.

    Returns:
        The model and the guide.

    Example:
        >>> model, guide = build(Architecture("ilcm", dim_x=3, dim_z=3))
        >>> type(model).__name__, type(guide).__name__
        ('ILCM', 'ILCMGuide')
    """
    a = architecture
    with random_state.isolated(seed, torch.device("cpu")):
        encoder = VectorEncoder(
            a.dim_x, a.dim_z, a.hidden, flow=Flow(a.dim_z, layers=a.couplings, hidden=a.flow_hidden)
        )
        decoder = VectorDecoder(
            a.dim_z,
            a.dim_x,
            a.hidden,
            flow=Flow(a.dim_z, layers=a.couplings, hidden=a.flow_hidden),
            min_sd=a.min_sd,
        )
        if a.model == "beta_vae":
            return BetaVAE(a.dim_z, decoder), BetaVAEGuide(a.dim_z, encoder)
        if a.model == "dvae":
            return DVAE(a.dim_z, decoder), ILCMGuide(a.dim_z, encoder)
        solution = SolutionFunctions(a.dim_z, a.solution_hidden, min_scale=a.min_scale, bins=a.spline_bins)
        return ILCM(a.dim_z, decoder, solution), ILCMGuide(a.dim_z, encoder)
