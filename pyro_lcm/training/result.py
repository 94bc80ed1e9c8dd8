"""What a training run hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyro_lcm.training.logs import Row

__all__ = ["FitResult", "PhaseResult"]


@dataclass(frozen=True)
class PhaseResult:
    """How one phase ended.

    Args:
        name: Its name.
        steps: Its number of steps.
        loss: Mean training loss of the last logged window, or None without steps.
        validation_loss: Validation loss of the parameters it ended with, or None without validation data.
        best_step: With ``keep="best"``, the step of the run whose parameters were kept, else None.
    """

    name: str
    steps: int
    loss: float | None
    validation_loss: float | None
    best_step: int | None


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    Args:
        steps: Optimizer steps of the whole run.
        phases: One result a phase.
        history: The rows of the metrics table: step, phase, learning_rate, loss, and the metrics of the
            objective.
        resumed_at: The step at which a resumed run went on, or None.
        checkpoint: Path of the last checkpoint, or None.
    """

    steps: int
    phases: tuple[PhaseResult, ...]
    history: tuple[Row, ...]
    resumed_at: int | None = None
    checkpoint: Path | None = None

    @property
    def loss(self) -> float | None:
        """Return the training loss at the end of the last phase that had steps."""
        return next((phase.loss for phase in reversed(self.phases) if phase.loss is not None), None)

    @property
    def validation_loss(self) -> float | None:
        """Return the validation loss of the parameters at the end."""
        return self.phases[-1].validation_loss if self.phases else None
