"""The monitor of a run: collects losses without waiting for the device, and says when a run has diverged.

Reading a number from the device in every step would make the CPU wait for it. Losses, gradient norms and
metrics are therefore kept as tensors and read together every so many steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["StepWindow", "TrainingDiverged", "WindowSummary", "non_finite"]

Reduce = Callable[[Tensor], Tensor]


class TrainingDiverged(RuntimeError):
    """A loss, a gradient or a parameter is not finite; the objective has its last good parameters again.

    Attributes:
        step: Number of the first step, counted from 1 over all phases, where something was not finite, as far
            as known.
        phase: Name of the phase.
        culprits: What was not finite.
        checkpoint: Path of the last good checkpoint, or None if none was written.
        restored_step: The step whose parameters the objective has now.
    """

    def __init__(
        self, *, step: int, phase: str, culprits: tuple[str, ...], checkpoint: Path | None, restored_step: int
    ) -> None:
        self.step = step
        self.phase = phase
        self.culprits = culprits
        self.checkpoint = checkpoint
        self.restored_step = restored_step
        shown = ", ".join(culprits[:5]) + (f" and {len(culprits) - 5} more" if len(culprits) > 5 else "")
        where = f"checkpoint {checkpoint}" if checkpoint else "no checkpoint was written"
        super().__init__(
            f"training diverged in phase {phase!r} at step {step}: not finite: {shown}. "
            f"The parameters are those of step {restored_step} again ({where}). "
            "Look for values in the data that are far from the others; precision '64-true' or another seed may help."
        )


@dataclass(frozen=True)
class WindowSummary:
    """What a window of steps comes to.

    Args:
        means: Mean over the steps by name.
        steps: Number of steps.
        first_bad: Position in the window of the first step whose loss or gradient norm was not finite, or
            None.
        culprits: Names of what was not finite in that step.
    """

    means: Mapping[str, float]
    steps: int
    first_bad: int | None
    culprits: tuple[str, ...]


class StepWindow:
    """Losses, gradient norms and metrics of the steps since the last reading, as tensors on the device.

    Args:
        fatal: Names of what must be finite.

    >>> window = StepWindow()
    >>> for number in (1.0, 3.0):
    ...     window.append({"loss": torch.tensor(number)})
    >>> window.read().means
    {'loss': 2.0}
    """

    def __init__(self, fatal: Sequence[str] = ("loss", "gradient_norm")) -> None:
        self._fatal = frozenset(fatal)
        self._steps: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        """Return the number of steps collected."""
        return len(self._steps)

    def append(self, values: dict[str, Tensor]) -> None:
        """Add the detached 0-d tensors of one step."""
        self._steps.append(values)

    def read(self, reduce: Reduce | None = None) -> WindowSummary:
        """Return means and the first step that was not finite, and empty the window.

        Costs one copy from the device.

        Args:
            reduce: Averages a tensor over processes.
        """
        steps, self._steps = self._steps, []
        columns: dict[str, list[tuple[int, Tensor]]] = {}
        for number, values in enumerate(steps):
            for name, value in values.items():
                columns.setdefault(name, []).append((number, value))
        if not columns:
            return WindowSummary({}, 0, None, ())
        device = next(iter(columns.values()))[0][1].device
        stacked = torch.cat(
            [
                torch.stack([value.reshape(()) for _, value in column]).to(device, widest(device))
                for column in columns.values()
            ]
        )
        numbers = iter((reduce(stacked) if reduce else stacked).tolist())
        means: dict[str, float] = {}
        bad: dict[int, list[str]] = {}
        for name, column in columns.items():
            values_read = [(number, next(numbers)) for number, _ in column]
            for number, value in values_read:
                if not math.isfinite(value):
                    bad.setdefault(number, []).append(name)
            means[name] = sum(value for _, value in values_read) / len(values_read)
        first = min((number for number, names in bad.items() if self._fatal.intersection(names)), default=None)
        return WindowSummary(means, len(steps), first, tuple(bad[first]) if first is not None else ())


def non_finite(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the names of the floating-point tensors with a value that is not finite.

    >>> non_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})
    ('b',)
    """
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    if not floating:
        return ()
    flags = torch.stack([tensor.isfinite().all() for tensor in floating.values()]).tolist()
    return tuple(name for name, finite in zip(floating, flags, strict=True) if not finite)


def widest(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device."""
    return torch.float32 if device.type == "mps" else torch.float64
