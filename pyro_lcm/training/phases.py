"""Phases: what a stretch of training optimises, with what, and for how long, as plain data.

A recipe is a sequence of phases. The implicit latent causal model of Brehmer et al. (2022, arXiv 2203.16437),
for one, is pretrained as an autoencoder, trained with soft intervention targets and then with hard ones;
written as phases, none of that is a flag inside a model, and a recipe can be kept in a YAML file.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Literal

from torch import Tensor

from pyro_lcm.training.schedules import SCHEDULES, Schedule, schedule_from_dict, schedule_to_dict
from pyro_lcm.training.sources import DataSource, PlacedSource

__all__ = ["DataHook", "Phase", "Setting", "StartHook", "describe", "describe_phases"]

Setting = float | int | bool | str | None | Schedule
StartHook = Callable[[Any, DataSource, int], Mapping[str, float | Tensor] | None]
DataHook = Callable[[Any, PlacedSource], PlacedSource]

HOOKS = ("start", "data")
"""Fields of a phase that are no plain data."""

RESERVED_SETTINGS = ("tensors", "size", "index")


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Args:
        name: What the log and the progress bar call it.
        steps: Optimizer steps, at least 0 (a phase of 0 steps only runs ``start``).
        learning_rate: Positive number, or a schedule over the phase.
        batch_size: Items in a step, over all processes; at most the whole data set is taken.
        settings: Keyword arguments of the objective; a schedule is resolved anew for each step.
        weight_decay: Decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101): a number for
            every parameter, or numbers by prefix of the parameter's name, the longest prefix deciding and 0
            elsewhere.
        freeze: Prefixes of the names of parameters that this phase leaves as they are.
        gradient_clip: Largest norm of the gradient; a longer one is scaled down. ``None`` leaves it.
        start: Called once as ``start(objective, source, seed)`` when the phase begins, without gradients and
            with the random generators seeded by ``seed``. It may change values of parameters and buffers in
            place (a warm start) and return numbers to log. It has to give the same result each time it is
            called.
        data: Called as ``data(objective, source)`` when the phase begins, after ``start``, and whenever it is gone on
            with: the source to train on, with columns beside it that frozen parts compute once, for example. It has
            to give the same result each time it is called.
        keep: ``"last"`` ends the phase with the last parameters, ``"best"`` with those that had the lowest
            loss on the validation data, the state at the start of the phase included.
        slack: With ``"best"``, how much higher than the lowest a loss may be to count as no worse; the last of these is
            kept. The end of a falling rate is to be had before chance chooses among steps that validation cannot part.
        reset_optimizer: Whether to forget the optimizer's moments of the phase before.
        optimizer: ``"adam"`` (AdamW) or ``"soap"`` (:class:`~pyro_lcm.training.soap.SOAP`), unless the driver is
            given one.

    A prefix stands for whole components of a dotted name: ``model.solution`` covers
    ``model.solution.weight``, not ``model.solution_scale``.

    Raises:
        ValueError: If a field is out of range; the message names it.

    >>> from pyro_lcm.training import Linear
    >>> phase = Phase("pretraining", 2000, settings={"kl_weight": Linear(0.0, 1.0), "hard_targets": False})
    >>> phase.settings_at(0.5)
    {'kl_weight': 0.5, 'hard_targets': False}
    >>> Phase.from_dict(phase.to_dict()) == phase
    True
    """

    name: str
    steps: int
    learning_rate: float | Schedule = 1e-3
    batch_size: int = 256
    settings: Mapping[str, Setting] = field(default_factory=dict)
    weight_decay: float | Mapping[str, float] = 0.0
    freeze: Sequence[str] = ()
    gradient_clip: float | None = None
    start: StartHook | None = None
    data: DataHook | None = None
    keep: Literal["last", "best"] = "last"
    slack: float = 0.0
    reset_optimizer: bool = True
    optimizer: Literal["adam", "soap"] = "adam"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise ValueError(f"name: expected a line of text, got {self.name!r}")
        self._require(_is_integer(self.steps, 0), "steps", "an integer of at least 0")
        self._require(_is_integer(self.batch_size, 1), "batch_size", "an integer of at least 1")
        if not isinstance(self.learning_rate, SCHEDULES):
            self._require(
                _is_number(self.learning_rate) and self.learning_rate > 0,
                "learning_rate",
                "> 0 or a schedule",
            )
        clip = self.gradient_clip
        self._require(clip is None or (_is_number(clip) and clip > 0), "gradient_clip", "a number > 0 or None")
        self._require(self.start is None or callable(self.start), "start", "a callable or None")
        self._require(self.data is None or callable(self.data), "data", "a callable or None")
        self._require(self.keep in ("last", "best"), "keep", "'last' or 'best'")
        self._require(_is_number(self.slack) and self.slack >= 0, "slack", "a number >= 0")
        self._require(isinstance(self.reset_optimizer, bool), "reset_optimizer", "True or False")
        self._require(self.optimizer in ("adam", "soap"), "optimizer", "'adam' or 'soap'")
        self._freeze_containers()

    def _freeze_containers(self) -> None:
        """Check the containers and put copies in their place, which the caller cannot change any more."""
        self._require(isinstance(self.settings, Mapping), "settings", "a mapping of names to values")
        for key, value in self.settings.items():
            known = value is None or isinstance(value, (bool, str, *SCHEDULES)) or _is_number(value)
            if not known:
                expected = "a number, a word, True, False, None or a schedule"
                raise self._error(f"settings[{key!r}]", expected, value)
            if not isinstance(key, str) or not key.isidentifier() or key in RESERVED_SETTINGS:
                raise self._error("settings", f"names of arguments other than {RESERVED_SETTINGS}", key)
        decay = self.weight_decay
        if isinstance(decay, Mapping):
            for prefix, value in decay.items():
                if not isinstance(prefix, str) or not _is_number(value) or value < 0:
                    raise self._error(f"weight_decay[{prefix!r}]", "a number >= 0", value)
            object.__setattr__(self, "weight_decay", dict(decay))
        else:
            self._require(_is_number(decay) and decay >= 0, "weight_decay", "a number >= 0 or a mapping of prefixes")
        listed = isinstance(self.freeze, Sequence) and not isinstance(self.freeze, str)
        if not listed or not all(isinstance(prefix, str) and prefix for prefix in self.freeze):
            raise self._error("freeze", "a sequence of prefixes of parameter names", self.freeze)
        object.__setattr__(self, "settings", dict(self.settings))
        object.__setattr__(self, "freeze", tuple(self.freeze))

    def settings_at(self, progress: float) -> dict[str, float | int | bool | str | None]:
        """Return the settings at ``progress`` in [0, 1], every schedule resolved."""
        return {
            key: value.value(progress) if isinstance(value, SCHEDULES) else value
            for key, value in self.settings.items()
        }

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate at ``progress`` in [0, 1]."""
        rate = self.learning_rate
        return rate.value(progress) if isinstance(rate, SCHEDULES) else float(rate)

    def progress(self, step: int) -> float:
        """Return the progress of step 0, 1, ..., ``steps - 1``: 0 at the first, 1 at the last."""
        return min(1.0, step / max(1, self.steps - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return the phase as plain data for JSON or YAML, all fields but the hooks."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in HOOKS}
        plain["learning_rate"] = _to_plain(self.learning_rate)
        plain["settings"] = {key: _to_plain(value) for key, value in self.settings.items()}
        plain["weight_decay"] = dict(self.weight_decay) if isinstance(self.weight_decay, Mapping) else self.weight_decay
        plain["freeze"] = list(self.freeze)
        return plain

    @classmethod
    def from_dict(
        cls, plain: Mapping[str, Any], *, start: StartHook | None = None, data: DataHook | None = None
    ) -> Phase:
        """Build a phase from plain data such as `to_dict` returns; fields left out take their defaults.

        Args:
            plain: Fields by name; a schedule is a mapping such as ``{"schedule": "linear", "start": 0, "end":
                1}``.
            start: A hook, which plain data cannot hold.
            data: Another one.

        Raises:
            ValueError: If a field is unknown, missing or out of range.
        """
        known = [item.name for item in fields(cls) if item.name not in HOOKS]
        unknown = sorted(set(plain) - set(known))
        if unknown:
            raise ValueError(f"phase: unknown field {unknown[0]!r}; expected some of {', '.join(known)}")
        missing = [name for name in ("name", "steps") if name not in plain]
        if missing:
            raise ValueError(f"phase: the field {missing[0]!r} is missing")
        values = dict(plain)
        if "learning_rate" in values:
            values["learning_rate"] = _from_plain(values["learning_rate"])
        if isinstance(values.get("settings"), Mapping):
            values["settings"] = {key: _from_plain(value) for key, value in values["settings"].items()}
        return cls(**values, start=start, data=data)

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise self._error(name, expected, getattr(self, name))

    def _error(self, name: str, expected: str, came: object) -> ValueError:
        return ValueError(f"phase {self.name!r}: {name}: expected {expected}, got {came!r}")


def _to_plain(value: Setting) -> Any:
    return schedule_to_dict(value) if isinstance(value, SCHEDULES) else value


def _from_plain(value: Any) -> Any:
    return schedule_from_dict(value) if isinstance(value, Mapping) else value


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


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
    return [phase.to_dict() | {hook: describe(getattr(phase, hook)) for hook in HOOKS} for phase in phases]


def _plain(options: Mapping[str, Any]) -> str:
    """Return those options whose text is the same in another process, hooks within hooks included."""
    plain = {key: repr(value) for key, value in options.items() if isinstance(value, bool | int | float | str)}
    hooks = {key: str(describe(value)) for key, value in options.items() if is_dataclass(value)}
    return ", ".join(f"{key}={text}" for key, text in {**plain, **hooks}.items())
