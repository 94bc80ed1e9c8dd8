"""Callables in words: texts that tell hooks and factories apart and are the same in another process."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from pyro_lcm.training.phases import Phase

__all__ = ["describe", "describe_phases"]


def describe(function: Any) -> str | None:
    """Say which callable this is, and with which plain options.

    Args:
        function: a function, a partial, an instance of a class, or None.

    Returns:
        The text; None for None.

    Example:
        >>> describe(functools.partial(sorted, reverse=True))
        'builtins.sorted(reverse=True)'
    """
    if function is None:
        return None
    if isinstance(function, functools.partial):
        return f"{describe(function.func)}({_plain(function.keywords)})"
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}.{function.__qualname__}"
    kind = type(function)
    options = {item.name: getattr(function, item.name) for item in fields(kind)} if is_dataclass(kind) else {}
    return f"{kind.__module__}.{kind.__qualname__}({_plain(options)})"


def describe_phases(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """Phases as plain data, their hooks in words."""
    return [phase.to_dict() | {"start": describe(phase.start)} for phase in phases]


def _plain(options: Mapping[str, Any]) -> str:
    """Return those options whose text is the same in another process."""
    plain = {key: value for key, value in options.items() if isinstance(value, bool | int | float | str)}
    return ", ".join(f"{key}={value!r}" for key, value in plain.items())
