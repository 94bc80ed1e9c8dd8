"""When a fit had found the causal variables: seconds until its disentanglement was 0.98.

The checkpoints that a run writes anyway, at the borders of phases and every 1,000 steps, are kept with the time they
were written at. After the fit, and only then, truth scores them: it steers nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.dci import dci
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.training.checkpoint import CheckpointFolder, copy_tensors, load_tensors, read_tree

Array = NDArray[Any]

GOOD = 0.98
"""Disentanglement from which on the variables count as found."""
ROWS = 2_000
"""Most pairs that a checkpoint is scored on."""


@dataclass
class Snapshots:
    """A logger that keeps the checkpoints of a run.

    Args:
        run: The run folder.
        kept: Where to keep them.
    """

    run: Path
    kept: Path
    _times: dict[Path, float] = field(default_factory=dict)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Keep the newest checkpoint if it is a new one; its time is that of its file."""
        newest = CheckpointFolder(self.run / "checkpoint").latest()
        if newest is None:
            return
        written = newest.stat().st_mtime
        copy = self.kept / f"{len(self._times):06d}.safetensors"
        if written not in self._times.values():
            shutil.copyfile(newest, copy)
            self._times[copy] = written

    def finalize(self, status: str) -> None:
        """Nothing to do."""

    def by_time(self) -> list[tuple[Path, float]]:
        """Files and the times they were written at, the oldest first."""
        return sorted(self._times.items(), key=lambda item: item[1])


def seconds_to_d(
    model: LatentCausalModel, snapshots: Snapshots, test: InterventionPairs, *, started: float, seconds: float
) -> float | None:
    """Seconds from the start of a fit to the first checkpoint with D of at least 0.98, by bisection.

    Args:
        model: The fitted model; its parameters are as before afterwards.
        snapshots: Those of its run.
        test: Pairs with the true causal variables.
        started: When the fit began, in seconds since the epoch.
        seconds: How long it took.

    Returns:
        The time; None if D is lower at the end, or no causal variable is known. Where D fell again on the way it is
        the time of one of the crossings.
    """
    if test.z is None or _disentanglement(model, test.x, test.z) < GOOD:
        return None
    files = snapshots.by_time()
    objective = model.fitted.objective
    present = copy_tensors(objective)
    low, high = 0, len(files)  # the first good one is in low..high; the fitted model is number len(files)
    try:
        while low < high:
            middle = (low + high) // 2
            load_tensors(objective, read_tree(files[middle][0])["tensors"])
            if _disentanglement(model, test.x, test.z) >= GOOD:
                high = middle
            else:
                low = middle + 1
    finally:
        load_tensors(objective, present)
    return seconds if low == len(files) else min(seconds, files[low][1] - started)


def _disentanglement(model: LatentCausalModel, x: Array, z: Array) -> float:
    return dci(model.encode(x[:ROWS]).causal, z[:ROWS]).disentanglement
