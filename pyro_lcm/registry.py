"""Models by name: one specification each, from which names, options, recipes, help texts and studies follow.

A new model by name is a model file, a guide file, and an entry of :data:`SPECS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from pyro_lcm import build as parts
from pyro_lcm.architecture import Architecture, GraphWay
from pyro_lcm.causal.subsets import all_subsets, single_share
from pyro_lcm.data.standardize import Mode
from pyro_lcm.process import random_state
from pyro_lcm.recipes.baselines import autoencode, share_factors
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.content_style import ContrastObjective, content_style
from pyro_lcm.recipes.explicit import explicit
from pyro_lcm.recipes.implicit import identify
from pyro_lcm.recipes.interactions import interactions
from pyro_lcm.recipes.objective import ImplicitFirst, RecipeObjective
from pyro_lcm.recipes.partial import keeping_parts
from pyro_lcm.recipes.simultaneous import simultaneous
from pyro_lcm.recipes.soft import soft, soft_explicit
from pyro_lcm.recipes.temporal import ClassifiedSequences, SequenceObjective, temporal
from pyro_lcm.training.phases import Phase

MAX_TABLE = 5
"""Most variables for which all DAGs are listed."""
MAX_SETS = 8
"""Most variables for which all sets of targets are listed."""


@dataclass(frozen=True)
class ModelSpec:
    """A model by name: how it is built and trained, and what it can do.

    Attributes:
        name: as users write it.
        build: a new model and guide of an architecture.
        phases: its recipe, from an architecture, the budget, and whether mixing and mechanisms are linear.
        objective: made of model and guide.
        scoring: the same without what belongs to the training alone: what a model that was loaded has.
        units: how x is standardised.
        known_targets: whether it needs pairs whose targets are known.
        sets: whether known targets may be sets of variables.
        wide: whether x may have more directions than there are variables.
        invertible: whether its decoder may be the encoder's inverse.
        splines: whether its solution functions may have splines.
        tables: ways to draw a latent graph that list all DAGs, for at most :data:`MAX_TABLE` variables.
        most: variables at most; None for any number.
        both_sides: whether the side before says as much of the graph as what was redrawn after
            (:meth:`pyro_lcm.LatentCausalModel.graph_posterior`).
        temporal: whether it is of sequences with known targets, not of pairs.
        single_latents: of these, whether each variable is one latent.
        actions: of these, whether targets are actions of which it is unknown what they act on.
        graph: of these, the way to draw its graph where none is chosen.
        blocks: whether what it finds are blocks of latents, content and style, instead of single variables.
        share_of_single: which part of the pairs with a target has one alone, from the number of variables.
        methods: what a study may run: names, and the options that each sets.
    """

    name: str
    build: Callable[[Architecture], tuple[nn.Module, nn.Module]]
    phases: Callable[[Architecture, Budget | None, bool], tuple[Phase, ...]]
    objective: type[RecipeObjective] = RecipeObjective
    scoring: type[RecipeObjective] = RecipeObjective
    units: Mode = "whiten"
    known_targets: bool = False
    sets: bool = False
    wide: bool = True
    invertible: bool = False
    splines: bool = True
    tables: tuple[str, ...] = ()
    most: int | None = None
    both_sides: bool = False
    temporal: bool = False
    single_latents: bool = False
    actions: bool = False
    graph: GraphWay = "order"
    blocks: bool = False
    share_of_single: Callable[[int], float] = lambda dim: 1.0
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.methods and not (self.temporal or self.blocks):  # studies are of single variables
            object.__setattr__(self, "methods", {self.name: {}})

    def check(self, architecture: Architecture) -> None:
        """Check that the model can be built from an architecture.

        Raises:
            ValueError: if not; the message names the field.
        """
        a = architecture
        if a.invertible and not self.invertible:
            able = ", ".join(spec.name for spec in SPECS.values() if spec.invertible)
            raise ValueError(f"invertible: got True for {self.name}, expected it for one of {able}")
        if a.graph in self.tables and a.dim_z > MAX_TABLE:
            raise ValueError(f"graph: got {a.graph!r} for {a.dim_z} variables, expected at most {MAX_TABLE} for it")
        if not self.wide and a.dim_z < a.dim_x:
            raise ValueError(f"dim_z: got {a.dim_z}, expected {a.dim_x}: {self.name} has a variable for each feature")
        if self.most is not None and a.dim_z > self.most:
            raise ValueError(f"dim_z: got {a.dim_z}, expected at most {self.most} for {self.name}")
        if (a.variables is not None) != self.temporal:
            raise ValueError(
                f"variables: got {a.variables} for {self.name}, expected a number for models of sequences only"
            )
        if (a.actions is not None) != self.actions:
            raise ValueError(f"actions: got {a.actions} for {self.name}, expected a number for biscuit only")
        if self.single_latents and a.dim_z != a.variables:
            raise ValueError(
                f"dim_z: got {a.dim_z}, expected {a.variables}: {self.name} has a latent for each variable"
            )
        if a.spline_bins and not self.splines:
            raise ValueError(f"spline_bins: got {a.spline_bins}, expected 0 for {self.name}")


def spec_of(name: str) -> ModelSpec:
    """The specification of a name.

    Raises:
        ValueError: if there is none; the message lists the names.

    Example:
        >>> spec_of("gvae").known_targets, spec_of("soft_ilcm").units
        (True, 'common')
    """
    if name not in SPECS:
        raise ValueError(f"model: got {name!r}, expected one of {', '.join(SPECS)}")
    return SPECS[name]


def build(architecture: Architecture, *, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Build the model and the guide of an architecture with fresh parameters.

    Args:
        architecture: what to build.
        seed: of the initial parameters; the global generator is left as it was.

    Returns:
        The model and the guide.

    Raises:
        ValueError: if the model cannot be built from it; the message names the field.

    Example:
        >>> model, guide = build(Architecture("ilcm", dim_x=3, dim_z=3))
        >>> type(model).__name__, type(guide).__name__
        ('ILCM', 'ILCMGuide')
    """
    spec = spec_of(architecture.model)
    spec.check(architecture)
    with random_state.isolated(seed, torch.device("cpu")):
        return spec.build(architecture)


def _identify(a: Architecture, budget: Budget | None, linear: bool, *, causal: bool = True) -> tuple[Phase, ...]:
    how = {"wide": a.wide, "flat": not a.hidden, "linear": linear, "invertible": a.invertible, "causal": causal}
    return identify(budget, dim=a.dim_z, hidden=bool(a.solution_hidden), **how)


def _partial(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return keeping_parts(_identify(a, budget, linear))


def _without_graph(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return _identify(a, budget, linear, causal=False)


def _autoencode(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return autoencode(budget)


def _share(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return share_factors(budget, dim=a.dim_z, wide=a.wide, flat=not a.hidden, linear=linear)


def _explicit(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    how = {"wide": a.wide, "flat": not a.hidden, "linear": linear, "invertible": a.invertible}
    return explicit(budget, dim=a.dim_z, latent=a.graph != "order", **how)


def _soft(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return soft(budget, dim=a.dim_z, linear=linear)


def _soft_sets(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return soft(budget, dim=a.dim_z, linear=linear, sets=True)


def _soft_explicit(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return soft_explicit(budget, dim=a.dim_z, linear=linear, latent=a.graph != "order")


def _temporal(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return temporal(budget, dim=a.dim_z, invertible=a.invertible)


def _simultaneous(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return simultaneous(budget, dim=a.dim_z, invertible=a.invertible)


def _interactions(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return interactions(budget, dim=a.dim_z, invertible=a.invertible)


def _content_style(a: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return content_style(budget, linear=linear, way=a.contrast)


def _single_among_sets(dim: int) -> float:
    return single_share(all_subsets(dim)) if dim <= MAX_SETS else 1.0


_WAYS = ("permutations", "edges", "all")
_TABLES = ("edges", "all")
_SHARING: dict[str, Any] = {"phases": _share, "objective": ImplicitFirst, "sets": True}
_SOFT: dict[str, Any] = {"units": "common", "wide": False, "splines": False}
_SEQUENCES: dict[str, Any] = {
    "temporal": True,
    "invertible": True,
    "known_targets": True,
    "sets": True,
    "splines": False,
}

SPECS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("ilcm", parts.ilcm, _identify, invertible=True, both_sides=True),
        ModelSpec(
            "elcm",
            parts.elcm,
            _explicit,
            ImplicitFirst,
            invertible=True,
            tables=_TABLES,
            both_sides=True,
            methods={"elcm": {}} | {f"elcm_{way}": {"graph": way} for way in _WAYS},
        ),
        ModelSpec("partial_ilcm", parts.partial_ilcm, _partial, invertible=True, splines=False, both_sides=True),
        ModelSpec("dvae", parts.dvae, _without_graph, invertible=True),
        ModelSpec("ada_gvae", parts.ada_gvae, **_SHARING),
        ModelSpec("ada_ml_vae", parts.ada_ml_vae, **_SHARING),
        ModelSpec("gvae", parts.ada_gvae, **_SHARING, known_targets=True),
        ModelSpec("ml_vae", parts.ada_ml_vae, **_SHARING, known_targets=True),
        ModelSpec("beta_vae", parts.beta_vae, _autoencode),
        ModelSpec("soft_ilcm", parts.soft_ilcm, _soft, ImplicitFirst, **_SOFT),
        ModelSpec("soft_elcm", parts.soft_elcm, _soft_explicit, ImplicitFirst, tables=_TABLES, **_SOFT),
        ModelSpec(
            "soft_ilcm_subsets",
            parts.soft_ilcm_subsets,
            _soft_sets,
            sets=True,
            most=MAX_SETS,
            share_of_single=_single_among_sets,
            **_SOFT,
        ),
        ModelSpec(
            "icitris",
            parts.icitris,
            _simultaneous,
            graph="permutations",
            tables=_TABLES,
            single_latents=True,
            **_SEQUENCES,
        ),
        ModelSpec(
            "biscuit",
            parts.biscuit,
            _interactions,
            SequenceObjective,
            SequenceObjective,
            actions=True,
            single_latents=True,
            **_SEQUENCES,
        ),
        ModelSpec("content_style", parts.content_style, _content_style, ContrastObjective, splines=False, blocks=True),
        ModelSpec("citris", parts.citris, _temporal, ClassifiedSequences, SequenceObjective, **_SEQUENCES),
    )
}
"""Models by name."""
