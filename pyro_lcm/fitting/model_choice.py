"""Which model is to be fitted: what a user names or gives, checked before any pair has been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pyro_lcm.architecture import Architecture
from pyro_lcm.registry import spec_of

__all__ = ["ModelChoice", "checked_names"]


@dataclass(frozen=True)
class ModelChoice:
    """Which model is to be fitted, before any pair has been seen; the fields are the arguments of the user's class.

    Attributes:
        model: a name in :data:`pyro_lcm.registry.SPECS`, or a Pyro model of one's own.
        guide: the guide of one's own model.
        dim_z: number of causal variables; None for as many as x has directions in which it varies.
        names: of the causal variables; None for z1, z2, ...
        options: fields of :class:`pyro_lcm.architecture.Architecture` to set.

    Raises:
        ValueError: if they do not fit each other.

    >>> ModelChoice("ilcm", names=("a", "a"))
    Traceback (most recent call last):
    ValueError: names: got ['a', 'a'], expected different Python identifiers
    """

    model: str | Any = "ilcm"
    guide: Any = None
    dim_z: int | None = None
    names: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            spec_of(self.model)
            if self.guide is not None:
                raise ValueError("guide: got one beside the name of a model, expected none")
        elif self.guide is None:
            raise ValueError("guide: got none, expected the guide of the given model")
        elif self.dim_z is None:
            object.__setattr__(self, "dim_z", int(self.model.dim_z))
        if self.dim_z is not None and self.dim_z < 1:
            raise ValueError(f"dim_z: got {self.dim_z}, expected at least 1")
        known = {entry.name for entry in fields(Architecture)} - {"model", "dim_x", "dim_z", "variables", "image_size"}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise ValueError(f"options: got {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
        object.__setattr__(self, "options", dict(self.options))
        if self.names is not None:
            object.__setattr__(self, "names", checked_names(self.names, self.dim_z))

    def names_of(self, dim_z: int) -> tuple[str, ...]:
        """Names of so many variables: those that were given, or z1, z2, ..."""
        return checked_names(self.names or [f"z{i}" for i in range(1, dim_z + 1)], dim_z)


def checked_names(names: Sequence[str], dim_z: int | None) -> tuple[str, ...]:
    """Names of causal variables.

    Raises:
        ValueError: if they are not different Python identifiers, one for each of ``dim_z`` variables.
    """
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ValueError(f"names: got {list(names)}, expected different Python identifiers")
    if dim_z is not None and len(names) != dim_z:
        raise ValueError(f"names: got {len(names)}, expected {dim_z}, one for each causal variable")
    return tuple(names)
