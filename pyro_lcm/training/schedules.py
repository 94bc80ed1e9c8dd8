"""Schedules: numbers that change while a phase of training runs, as plain data.

A schedule maps the progress of a phase, from 0 at its first step to 1 at its last, to a number: a learning
rate, the weight of a KL term (annealed from 0 to 1 as in Bowman et al. 2016, arXiv 1511.06349), a
temperature. The cosine is the one of Loshchilov and Hutter (2017, arXiv 1608.03983), without restarts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

__all__ = ["Constant", "Cosine", "Linear", "Schedule", "WarmUp", "schedule_from_dict", "schedule_to_dict"]


@dataclass(frozen=True)
class Constant:
    """The same number throughout.

    >>> Constant(0.1).value(0.7)
    0.1
    """

    constant: float

    def __post_init__(self) -> None:
        _require_finite(self, "constant")

    def value(self, progress: float) -> float:
        """Return the number at ``progress`` in [0, 1]."""
        _require_progress(progress)
        return float(self.constant)


@dataclass(frozen=True)
class Linear:
    """A straight line from ``start`` to ``end``.

    >>> [Linear(0.0, 2.0).value(progress) for progress in (0.0, 0.5, 1.0)]
    [0.0, 1.0, 2.0]
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        _require_finite(self, "start", "end")

    def value(self, progress: float) -> float:
        """Return the number at ``progress`` in [0, 1]."""
        _require_progress(progress)
        return self.start * (1.0 - progress) + self.end * progress


@dataclass(frozen=True)
class Cosine:
    """Half a period of a cosine from ``start`` to ``end``: flat at both ends.

    ``start w + end (1 - w)`` with ``w = (1 + cos(pi progress)) / 2``.

    >>> Cosine(1.0, 0.0).value(0.5)
    0.5
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        _require_finite(self, "start", "end")

    def value(self, progress: float) -> float:
        """Return the number at ``progress`` in [0, 1]."""
        _require_progress(progress)
        weight = (1.0 + math.cos(math.pi * progress)) / 2.0
        return self.start * weight + self.end * (1.0 - weight)


@dataclass(frozen=True)
class WarmUp:
    """A straight rise from 0 during the first ``fraction`` of the phase, then another schedule for the rest.

    The rise ends at the first value of ``then``, which has the remaining ``1 - fraction`` for itself.

    Args:
        fraction: Share of the phase that warms up, in (0, 1).
        then: A number or a schedule.

    >>> schedule = WarmUp(0.1, then=Cosine(1.0, 0.0))
    >>> [schedule.value(progress) for progress in (0.0, 0.05, 0.1, 1.0)]
    [0.0, 0.5, 1.0, 0.0]
    """

    fraction: float
    then: float | Schedule

    def __post_init__(self) -> None:
        _require_finite(self, "fraction")
        if not 0.0 < self.fraction < 1.0:
            raise ValueError(f"fraction: expected a number in (0, 1), got {self.fraction!r}")
        if not isinstance(self.then, SCHEDULES):
            _require_finite(self, "then")

    def value(self, progress: float) -> float:
        """Return the number at ``progress`` in [0, 1]."""
        _require_progress(progress)
        then = self.then if isinstance(self.then, SCHEDULES) else Constant(self.then)
        if progress < self.fraction:
            return then.value(0.0) * progress / self.fraction
        return then.value(min(1.0, (progress - self.fraction) / (1.0 - self.fraction)))


Schedule = Constant | Linear | Cosine | WarmUp
SCHEDULES = (Constant, Linear, Cosine, WarmUp)
_NAMES: Mapping[str, type[Any]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "warm_up": WarmUp,
}


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as plain data for JSON or YAML.

    >>> schedule_to_dict(WarmUp(0.1, then=Linear(1.0, 0.0)))
    {'schedule': 'warm_up', 'fraction': 0.1, 'then': {'schedule': 'linear', 'start': 1.0, 'end': 0.0}}
    """
    name = next(name for name, kind in _NAMES.items() if type(schedule) is kind)
    plain: dict[str, Any] = {"schedule": name}
    for field in fields(schedule):
        value = getattr(schedule, field.name)
        plain[field.name] = schedule_to_dict(value) if isinstance(value, SCHEDULES) else value
    return plain


def schedule_from_dict(plain: Mapping[str, Any]) -> Schedule:
    """Build a schedule from what `schedule_to_dict` returns.

    Raises:
        ValueError: If the name or a field is unknown, a field is missing, or a value is out of range.

    >>> schedule_from_dict({"schedule": "cosine", "start": 0.001, "end": 0})
    Cosine(start=0.001, end=0)
    """
    rest = dict(plain)
    name = rest.pop("schedule", None)
    if name not in _NAMES:
        raise ValueError(f"schedule: expected one of {', '.join(_NAMES)}, got {name!r}")
    kind = _NAMES[name]
    expected = [field.name for field in fields(kind)]
    if set(rest) != set(expected):
        raise ValueError(f"schedule {name}: expected the fields {expected}, got {sorted(rest)}")
    if isinstance(rest.get("then"), Mapping):
        rest["then"] = schedule_from_dict(rest["then"])
    schedule: Schedule = kind(**rest)
    return schedule


def _require_progress(progress: float) -> None:
    if not 0.0 <= progress <= 1.0:
        raise ValueError(f"progress: expected a number in [0, 1], got {progress!r}")


def _require_finite(schedule: Any, *names: str) -> None:
    for name in names:
        value = getattr(schedule, name)
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value!r}")
