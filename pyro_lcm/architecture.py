"""What a model by name is built from: its name, widths and options, as plain data that goes into the run folder.

Which of them suit a model, its specification says (:mod:`pyro_lcm.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pyro_lcm.nn.activations import Activation
from pyro_lcm.recipes.contrast import CONTRASTS, Contrast

GraphWay = Literal["order", "permutations", "edges", "all"]


@dataclass(frozen=True)
class Architecture:
    """What a model and its guide are built from; :func:`pyro_lcm.registry.build` builds them.

    Args:
        model: a name in :data:`pyro_lcm.registry.SPECS`.
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
            logits of orders and edges; ``edges``, logits of edges and orientations, and ``all``, of every DAG, for at
            most 5 variables. Of logits several graphs are drawn in a step and compared.
        invertible: of ``ilcm``, ``dvae``, ``elcm`` and ``citris``: whether the decoder is the encoder's inverse
            (:mod:`pyro_lcm.nn.invertible`), for x as wide as there are variables; else a Gaussian around what a network
            of its own gives.
        activation: of couplings and solution functions, and of the encoder of ``content_style``: ``leaky_relu`` or
            ``silu``.
        edge_penalty: of the same: nats by which the prior disfavours an edge of a latent graph, at least 0.
        variables: of models of sequences: the number of causal variables with known targets, of which the ``dim_z``
            latents are coordinates; None elsewhere.
        actions: of ``biscuit``: the number of columns of what is known of a step; None elsewhere.
        image_size: of models of sequences, and of ``content_style``: width and height of images of three channels, a
            power of two; None for vectors.
        contrast: of ``content_style``: the objective that finds its code, ``max_entropy`` or ``info_nce``
            (:mod:`pyro_lcm.recipes.contrast`).

    Raises:
        ValueError: if a field is out of range; the message names it.
    """

    model: str
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
    variables: int | None = None
    image_size: int | None = None
    actions: int | None = None
    contrast: Contrast = "max_entropy"

    def __post_init__(self) -> None:
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
        if self.invertible and self.dim_z != self.dim_x:
            raise ValueError(
                f"invertible: got True for {self.dim_z} variables in {self.dim_x} directions, expected as many of both"
            )
        if self.variables is not None and not 1 <= self.variables <= self.dim_z:
            raise ValueError(
                f"dim_z: got {self.dim_z}, expected at least {self.variables}, a latent for each variable with targets"
            )
        if self.graph not in get_args(GraphWay):
            raise ValueError(f"graph: got {self.graph!r}, expected one of {', '.join(get_args(GraphWay))}")
        if self.contrast not in CONTRASTS:
            raise ValueError(f"contrast: got {self.contrast!r}, expected one of {', '.join(CONTRASTS)}")
        if not self.edge_penalty >= 0:
            raise ValueError(f"edge_penalty: got {self.edge_penalty}, expected a number of at least 0")

    @property
    def wide(self) -> bool:
        """Whether x has more directions than there are variables."""
        return self.dim_z < self.dim_x

    @property
    def couplings(self) -> int:
        """Number of couplings of the flow, the default resolved."""
        return min(max(12, 2 * self.dim_z), 32) if self.flow_layers is None else self.flow_layers

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_dict`; an unknown field, or one of another type, is a ValueError."""
        if not isinstance(plain, Mapping):
            raise ValueError(f"architecture: got {plain!r}, expected its fields by name")
        hints = get_type_hints(cls)
        for name, value in plain.items():
            if name not in hints:
                raise ValueError(f"architecture: unknown field {name!r}")
            if not _is_of(value, hints[name]):
                expected = next(field.type for field in fields(cls) if field.name == name)
                raise ValueError(f"architecture: {name}: got {value!r}, expected {expected}")
        return cls(**plain)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a plain value is of the type of a field; a list stands for a tuple, an integer for a float."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_is_of(item, get_args(hint)[0]) for item in value)
    if get_args(hint):  # a union
        return any(_is_of(value, part) for part in get_args(hint))
    return type(value) is hint or (hint is float and type(value) is int)
