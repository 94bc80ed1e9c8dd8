"""From a name and a few widths to a Pyro model and its guide.

An :class:`Architecture` is all that is needed to build the same programs again; it goes into the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from pyro_lcm import random_state
from pyro_lcm.causal.graph_sites import (
    EdgeOrderLogits,
    FixedOrder,
    PermutationLogits,
    PermutationPrior,
    TableLogits,
    TablePrior,
)
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.dvae import DVAEGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.guides.soft_elcm import SoftELCMGuide
from pyro_lcm.guides.soft_ilcm import SoftILCMGuide
from pyro_lcm.guides.soft_ilcm_subsets import SubsetILCMGuide
from pyro_lcm.models.ada_gvae import AdaGVAE
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.dvae import DVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.models.soft_elcm import SoftELCM
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.models.soft_ilcm_subsets import SubsetILCM
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.nn.activations import Activation
from pyro_lcm.nn.invertible import FlowDecoder, FlowEncoder
from pyro_lcm.nn.isometry import IsometricDecoder

ModelName = Literal[
    "ilcm",
    "elcm",
    "dvae",
    "ada_gvae",
    "ada_ml_vae",
    "gvae",
    "ml_vae",
    "beta_vae",
    "soft_ilcm",
    "soft_elcm",
    "soft_ilcm_subsets",
]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
SOFT: tuple[ModelName, ...] = ("soft_ilcm", "soft_elcm", "soft_ilcm_subsets")
"""Those of soft interventions, through an isometric mixing."""
INVERTIBLE: tuple[ModelName, ...] = ("ilcm", "dvae", "elcm")
"""Those whose decoder may be the encoder's inverse."""
GraphWay = Literal["order", "permutations", "edges", "all"]
MAX_TABLE = 5
"""Most variables for which all DAGs are listed."""
MAX_SETS = 8
"""Most variables for which all sets of targets are listed."""


@dataclass(frozen=True)
class Architecture:
    """What a model and its guide are built from.

    Args:
        model: which generative program. ``gvae`` and ``ml_vae`` are ``ada_gvae`` and ``ada_ml_vae`` with known targets.
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
        graph: of ``elcm`` and ``soft_elcm``: ``order``, an order and parents found by regressions; ``permutations``,
            orders and edges drawn by differentiable sorting; ``edges``, logits of edges and orientations, and ``all``,
            of every DAG, both summed over all DAGs, for at most 5 variables.
        invertible: of ``ilcm``, ``dvae`` and ``elcm``: whether the decoder is the encoder's inverse
            (:mod:`pyro_lcm.nn.invertible`), for x as wide as there are variables; else a Gaussian around what a network
            of its own gives.
        activation: of couplings and solution functions, ``leaky_relu`` or ``silu``.
        edge_penalty: of the same: nats by which the prior disfavours an edge of a latent graph, at least 0.

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
    graph: GraphWay = "order"
    edge_penalty: float = 5.0
    invertible: bool = False
    activation: Activation = "silu"

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

        if self.activation not in get_args(Activation):
            raise ValueError(f"activation: got {self.activation!r}, expected one of {', '.join(get_args(Activation))}")
        if self.invertible and (self.model not in INVERTIBLE or self.dim_z != self.dim_x):
            raise ValueError(
                f"invertible: got True for {self.model} of {self.dim_z} variables in {self.dim_x} directions, "
                f"expected it for one of {', '.join(INVERTIBLE)} with as many directions as variables"
            )
        if self.graph not in get_args(GraphWay):
            raise ValueError(f"graph: got {self.graph!r}, expected one of {', '.join(get_args(GraphWay))}")
        if not self.edge_penalty >= 0:
            raise ValueError(f"edge_penalty: got {self.edge_penalty}, expected a number of at least 0")
        if self.model in ("elcm", "soft_elcm") and self.graph in ("edges", "all") and self.dim_z > MAX_TABLE:
            raise ValueError(
                f"graph: got {self.graph!r} for {self.dim_z} variables, expected at most {MAX_TABLE} for it"
            )
        if self.model in SOFT and self.dim_z < self.dim_x:
            raise ValueError(
                f"dim_z: got {self.dim_z}, expected {self.dim_x}: {self.model} has a variable for each feature"
            )
        if self.model == "soft_ilcm_subsets" and self.dim_z > MAX_SETS:
            raise ValueError(f"dim_z: got {self.dim_z}, expected at most {MAX_SETS} for all sets of targets")
        if self.model in SOFT and self.spline_bins:
            raise ValueError(f"spline_bins: got {self.spline_bins}, expected 0 for {self.model}")

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
            a.dim_x,
            a.dim_z,
            a.hidden,
            flow=_flow(a),
        )
        if a.model in SOFT:
            return _soft(a, encoder)
        decoder: nn.Module = VectorDecoder(
            a.dim_z,
            a.dim_x,
            a.hidden,
            flow=_flow(a),
            min_sd=a.min_sd,
        )
        if a.model == "beta_vae":
            return BetaVAE(a.dim_z, decoder), BetaVAEGuide(a.dim_z, encoder)
        if a.model in ("ada_gvae", "gvae"):
            return AdaGVAE(a.dim_z, decoder), AdaGVAEGuide(a.dim_z, encoder, "gvae")
        if a.model in ("ada_ml_vae", "ml_vae"):
            return AdaGVAE(a.dim_z, decoder), AdaGVAEGuide(a.dim_z, encoder, "ml-vae")
        coder: nn.Module = encoder
        if a.invertible:
            coder = FlowEncoder(_flow(a))
            decoder = FlowDecoder(coder)
        if a.model == "elcm":
            mechanisms = Mechanisms(a.dim_z, a.solution_hidden, min_scale=a.min_scale, activation=a.activation)
            prior, posterior = _graphs(a)
            return ELCM(a.dim_z, decoder, prior, mechanisms), ELCMGuide(a.dim_z, coder, posterior)
        solution = SolutionFunctions(
            a.dim_z, a.solution_hidden, min_scale=a.min_scale, bins=a.spline_bins, activation=a.activation
        )
        if a.model == "dvae":
            dvae = DVAE(a.dim_z, decoder)
            return dvae, DVAEGuide(a.dim_z, coder, averaging="product", redrawn_dist=dvae.redrawn_dist)
        ilcm = ILCM(a.dim_z, decoder, solution)
        return ilcm, ILCMGuide(a.dim_z, coder, averaging="product", redrawn_dist=ilcm.redrawn_dist)


def _flow(a: Architecture) -> Flow:
    """A new flow between code and noise encodings."""
    return Flow(a.dim_z, layers=a.couplings, hidden=a.flow_hidden, activation=a.activation)


def _soft(a: Architecture, encoder: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Model and guide of soft interventions."""
    isometry = IsometricDecoder(a.dim_z, a.dim_x, min_sd=a.min_sd)
    if a.model == "soft_elcm":
        prior, posterior = _graphs(a)
        mechanisms, altered = (
            Mechanisms(a.dim_z, a.solution_hidden, min_scale=a.min_scale, activation=a.activation) for _ in range(2)
        )
        return SoftELCM(a.dim_z, isometry, prior, mechanisms, altered), SoftELCMGuide(a.dim_z, encoder, posterior)
    solution, changed = (
        SolutionFunctions(a.dim_z, a.solution_hidden, min_scale=a.min_scale, activation=a.activation) for _ in range(2)
    )
    if a.model == "soft_ilcm_subsets":
        model = SubsetILCM(a.dim_z, isometry, solution=solution, changed=changed)
        return model, SubsetILCMGuide(a.dim_z, encoder)
    soft = SoftILCM(a.dim_z, isometry, solution, changed)
    return soft, SoftILCMGuide(a.dim_z, encoder, redrawn_dist=soft.redrawn_dist)


DRAWS = 16
"""Graphs in a step of an explicit model: all 543 DAGs of four variables take twenty times as long."""


def _graphs(architecture: Architecture) -> tuple[nn.Module, nn.Module]:
    """Prior and posterior of the explicit model's graph."""
    dim, penalty = architecture.dim_z, architecture.edge_penalty
    if architecture.graph == "order":
        return FixedOrder(dim), FixedOrder(dim)
    if architecture.graph == "permutations":
        return PermutationPrior(dim, penalty=penalty), PermutationLogits(dim)
    logits = EdgeOrderLogits if architecture.graph == "edges" else TableLogits
    return TablePrior(dim, penalty=penalty), logits(dim, draws=DRAWS)
