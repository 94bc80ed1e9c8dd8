"""How a fit is run, whatever is fitted and to what: what fitting from the start and fine-tuning share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_lcm.recipes.budget import Budget
from pyro_lcm.storage.run_folder import CONFIG
from pyro_lcm.training.driver import Precision, check_seed
from pyro_lcm.training.phases import Phase

__all__ = ["FitOptions"]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a fit is run.

    Attributes:
        seed: of everything random.
        out: run folder for logs and checkpoints, or None.
        budget: steps of the default recipe.
        phases: a recipe of one's own instead.
        device: where to train.
        precision: as Lightning Fabric names it; None for that of parameters that there are already.
        progress: whether to show a progress bar; None for on a terminal.
        resume: whether to go on with the run in ``out``.
        loggers: Lightning Fabric loggers.

    Raises:
        ValueError: if the seed is none, there are both a budget and phases, or the folder holds a run that is not to be
            gone on with.

    >>> FitOptions(budget=Budget(), phases=())
    Traceback (most recent call last):
    ValueError: budget: got one beside phases, expected it for the default recipe
    """

    seed: int = 0
    out: str | Path | None = None
    budget: Budget | None = None
    phases: Sequence[Phase] | None = None
    device: str = "auto"
    precision: Precision | None = None
    progress: bool | None = None
    resume: bool = False
    loggers: Sequence[Any] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        if self.budget is not None and self.phases is not None:
            raise ValueError("budget: got one beside phases, expected it for the default recipe")
        if self.out is not None and (Path(self.out) / CONFIG).exists() and not self.resume:
            raise ValueError(f"out: {self.out} holds a run; resume it, or give another folder")
