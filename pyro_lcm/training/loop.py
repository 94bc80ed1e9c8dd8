"""The training loop: phases one after another, with reading, validation and checkpoints at fixed steps.

The state of a run is its position, the tensors of the objective, those of the optimizer, the best parameters
so far and the random generators. It is saved as a whole, and everything else is recomputed from it, so that a
run which goes on from a checkpoint repeats the run that was left alone bit for bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pyro_lcm.process import random_state
from pyro_lcm.training.batch_order import BatchOrder
from pyro_lcm.training.checkpoint import CheckpointFolder, copy_tensors, load_tensors, named_tensors
from pyro_lcm.training.logs import MetricsTable, PhaseResult, ProgressBar
from pyro_lcm.training.monitor import StepWindow, TrainingDiverged, WindowSummary, non_finite
from pyro_lcm.training.optimizers import (
    OptimizerFactory,
    export_state,
    import_state,
    is_frozen,
    moments,
    optimizer_of,
    parameter_groups,
)
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recorded import Gradients, recorded
from pyro_lcm.training.schedules import SCHEDULES
from pyro_lcm.training.sources import PlacedSource
from pyro_lcm.training.validation import split_output, validate

__all__ = ["Cadence", "TrainingLoop"]


@dataclass(frozen=True)
class Cadence:
    """Every how many steps what is done.

    Args:
        log: Losses are read and logged.
        validate: The validation loss is computed.
        checkpoint: The state is saved.

    Raises:
        ValueError: If one is not an integer of at least 1.
    """

    log: int = 100
    validate: int = 1000
    checkpoint: int = 1000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}_every: expected an integer of at least 1, got {value!r}")

    def next_stop(self, step: int, end: int) -> int:
        """Return the next step after ``step``, at most ``end``, at which something is to be done."""
        return min(end, *(step - step % every + every for every in (self.log, self.validate, self.checkpoint)))


@dataclass
class _Position:
    """Where a run is: the phase, whether it has begun, its steps done, and the steps done in all."""

    phase: int = 0
    started: bool = False
    phase_step: int = 0
    step: int = 0


class TrainingLoop:
    """The state of a run and what is done to it; `pyro_lcm.training.fit` is the way to use it."""

    def __init__(
        self,
        objective: nn.Module,
        data: PlacedSource,
        phases: Sequence[Phase],
        *,
        seed: int,
        fabric: Any,
        validation: PlacedSource | None,
        validation_batch_size: int,
        cadence: Cadence,
        optimizer: OptimizerFactory | None,
        folder: CheckpointFolder | None,
        identity: Mapping[str, Any],
        record: bool,
    ) -> None:
        self.objective = objective
        self.data = data
        self.phases = phases
        self.seed = seed
        self.fabric = fabric
        self.validation = validation
        self.validation_batch_size = validation_batch_size
        self.cadence = cadence
        self.factory = optimizer
        self.folder = folder
        self.identity = identity
        self.record = record
        self.finished: list[PhaseResult] = []
        self._position = _Position()
        self._parameters = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        self._optimizer: Optimizer | None = None
        self._optimizer_state: dict[str, Any] | None = None
        self._best: dict[str, Any] | None = None
        self._last: dict[str, float | None] = {"loss": None, "validation_loss": None}
        # Under loss scaling an infinite gradient is met by a smaller scale: nothing has diverged.
        self._scaled = getattr(fabric.strategy.precision, "scaler", None) is not None
        self._window = StepWindow(fatal=("loss",) if self._scaled else ("loss", "gradient_norm"))
        self._good: tuple[int, dict[str, Tensor]] = (0, {})

    @property
    def step(self) -> int:
        """Return the optimizer steps done."""
        return self._position.step

    def restore(self, tree: Mapping[str, Any]) -> int:
        """Put the run into the state of a checkpoint; return the number of rows of its metrics table.

        Raises:
            ValueError: If the objective has other parameters or buffers.
        """
        self._position = _Position(**tree["position"])
        load_tensors(self.objective, tree["tensors"])
        self._optimizer_state = tree["optimizer"]
        best = tree["best"]
        # A checkpoint of before there was slack has the lowest loss as that of what is kept.
        self._best = best if best is None else {"lowest": best["loss"], **best}
        self._last = dict(tree["last"])
        self.finished = [PhaseResult(**plain) for plain in tree["finished"]]
        self.fabric.strategy.precision.load_state_dict(tree["precision"])
        mine = {name: states[self.fabric.global_rank].clone() for name, states in tree["random"].items()}
        random_state.restore(mine, self.fabric.device)
        self._good = (self.step, copy_tensors(self.objective))
        return int(tree["rows"])

    def run(self, table: MetricsTable, bar: ProgressBar, loggers: Sequence[Any]) -> None:
        """Run the phases that are left.

        Raises:
            TrainingDiverged: If a loss, a gradient norm or a parameter is not finite.
        """
        self._table, self._bar, self._loggers = table, bar, loggers
        if self._position == _Position():
            self._save()
        while self._position.phase < len(self.phases):
            self._run_phase(self.phases[self._position.phase])

    def _run_phase(self, phase: Phase) -> None:
        position = self._position
        self._bar.phase(phase.name)
        with self._frozen(phase):
            if not position.started:
                self._start(phase)
            if phase.steps:
                self._train(phase)
        best = self._best
        if best is not None:
            load_tensors(self.objective, best["tensors"])
            self._last["validation_loss"] = best["loss"]
        self.finished.append(
            PhaseResult(phase.name, phase.steps, best_step=best["step"] if best else None, **self._last)
        )
        self._best = None
        self._last = {"loss": None, "validation_loss": self._last["validation_loss"]}
        self._position = _Position(phase=position.phase + 1, step=position.step)
        self._save()

    def _start(self, phase: Phase) -> None:
        """Run the hook of a phase, and validate what it starts from if the best is to be kept."""
        row: dict[str, float] = {}
        if phase.start is not None:
            seed = random_state.derive_seed(self.seed, "start", self._position.phase)
            with random_state.isolated(seed, self.fabric.device), torch.no_grad():
                metrics = phase.start(self.objective, self.data, seed) or {}
            row = {f"start_{name}": float(value) for name, value in metrics.items()}
        if self.validation is not None and (phase.keep == "best" or phase.steps == 0):
            row |= self._validate(phase)
        self._position.started = True
        if row:
            self._log(phase, row)
        if phase.start is not None:
            self._save()

    def _train(self, phase: Phase) -> None:
        position = self._position
        module = self.fabric.setup_module(self.objective)
        factory = self.factory or optimizer_of(phase, scaled=self._scaled)
        optimizer = factory(parameter_groups(phase, self._parameters))
        if self._optimizer_state is not None and (position.phase_step or not phase.reset_optimizer):
            import_state(optimizer, self._parameters, self._optimizer_state)
        self._optimizer = optimizer
        wrapped = self.fabric.setup_optimizers(optimizer)
        data = self.data
        if phase.data is not None:
            with torch.no_grad():
                data = phase.data(self.objective, self.data)
        order = BatchOrder(
            len(data),
            phase.batch_size,
            seed=random_state.derive_seed(self.seed, "batches", position.phase),
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
            device=data.index_device,
        )
        gradients: Gradients = functools.partial(self._gradients, module, data, phase)
        if self._can_be_recorded(phase, data):
            gradients = recorded(gradients, order.index(position.phase_step), self._parameters.values())
        end = position.step - position.phase_step + phase.steps
        while position.step < end:
            stop = self.cadence.next_stop(position.step, end)
            self._steps(phase, module, wrapped, gradients, order, stop - position.step)
            self._pause(phase, at_end=stop == end)
        self._check_finite()
        keeps_moments = position.phase + 1 < len(self.phases) and not self.phases[position.phase + 1].reset_optimizer
        self._optimizer_state = export_state(optimizer, self._parameters) if keeps_moments else None
        self._optimizer = None
        optimizer.zero_grad(set_to_none=True)

    def _steps(
        self, phase: Phase, module: Any, optimizer: Any, gradients: Gradients, order: BatchOrder, count: int
    ) -> None:
        """Take ``count`` steps. Nothing in here waits for the device."""
        position, fabric, clip = self._position, self.fabric, phase.gradient_clip
        groups = optimizer.optimizer.param_groups
        for step in range(position.phase_step, position.phase_step + count):
            progress = phase.progress(step)
            rate = phase.learning_rate_at(progress)
            for group in groups:
                group["lr"] = rate
            values = dict(gradients(order.index(step), progress))
            if clip is not None:
                values["gradient_norm"] = fabric.clip_gradients(
                    module, optimizer, max_norm=clip, error_if_nonfinite=False
                )
            optimizer.step()
            self._window.append(values)
            self._bar.step()
        position.phase_step += count
        position.step += count

    def _gradients(
        self, module: Any, data: PlacedSource, phase: Phase, index: Tensor, progress: float
    ) -> dict[str, Tensor]:
        """Loss and metrics of a step, whose gradient the parameters have afterwards."""
        for parameter in self._parameters.values():  # what optimizer.zero_grad does, at a tenth of its cost
            parameter.grad = None
        tensors = data.batch(index)
        output = module(tensors, size=len(data), index=index.to(data.device), **phase.settings_at(progress))
        loss, metrics = split_output(output)
        self.fabric.backward(loss)
        return {"loss": loss.detach(), **{name: value.detach() for name, value in metrics.items()}}

    def _can_be_recorded(self, phase: Phase, data: PlacedSource) -> bool:
        """Whether all steps of a phase are one CUDA graph: one GPU, the data on it, and settings that stay."""
        plain = not self._scaled and self.fabric.world_size == 1
        steady = not any(isinstance(value, SCHEDULES) for value in phase.settings.values())
        return self.record and plain and steady and data.device.type == "cuda" and data.in_memory

    def _pause(self, phase: Phase, *, at_end: bool) -> None:
        """Read what the steps left behind; validate and save where it is time to."""
        step = self.step
        summary = self._window.read(self._mean if self.fabric.world_size > 1 else None)
        self._last["loss"] = summary.means["loss"]
        row = dict(summary.means)
        diverged = summary.first_bad is not None
        if self.validation is not None and not diverged and (at_end or step % self.cadence.validate == 0):
            row |= self._validate(phase)
        self._log(phase, row)
        if diverged:
            self._give_up(phase, summary)
        if step % self.cadence.checkpoint == 0 and not at_end:
            self._save()

    def _validate(self, phase: Phase) -> dict[str, float]:
        """Return validation metrics under the phase's last settings, so that they can be compared."""
        if self.validation is None:
            return {}
        fabric = self.fabric
        means = validate(
            self.objective,
            self.validation,
            phase.settings_at(1.0),
            seed=random_state.derive_seed(self.seed, "validation", fabric.global_rank),
            batch_size=self.validation_batch_size,
            precision=fabric.strategy.precision,
            rank=fabric.global_rank,
            processes=fabric.world_size,
            reduce=self._sum if fabric.world_size > 1 else None,
        )
        loss = means["loss"]
        self._last["validation_loss"] = loss
        lowest = math.inf if self._best is None else self._best["lowest"]
        if phase.keep == "best" and math.isfinite(loss) and loss < lowest + phase.slack:
            kept = {"loss": loss, "step": self.step, "tensors": copy_tensors(self.objective)}
            self._best = {"lowest": min(loss, lowest), **kept}
        return {f"validation_{name}": value for name, value in means.items()}

    def _log(self, phase: Phase, row: Mapping[str, float]) -> None:
        rate = phase.learning_rate_at(phase.progress(max(0, self._position.phase_step - 1)))
        self._table.append({"step": self.step, "phase": phase.name, "learning_rate": rate, **row})
        for logger in self._loggers:
            logger.log_metrics({"learning_rate": rate, **row}, step=self.step)
        self._bar.show({name: row[name] for name in ("loss", "validation_loss") if name in row}, self.step)

    def _save(self) -> None:
        """Keep the present state as the last good one, in memory and on the disk if there is a folder."""
        state = self._check_finite()
        self._good = (self.step, copy_tensors(self.objective))
        if self.folder is None:
            return
        generators = random_state.capture(self.fabric.device)
        gathered = self.fabric.all_gather(generators)
        if self.fabric.world_size == 1:
            gathered = {name: value.unsqueeze(0) for name, value in gathered.items()}
        if not self.fabric.is_global_zero:
            return
        self._table.sync()
        tree = {
            "identity": self.identity,
            "position": asdict(self._position),
            "tensors": self._good[1],
            "optimizer": state,
            "precision": self.fabric.strategy.precision.state_dict(),
            "best": self._best,
            "last": self._last,
            "finished": [asdict(result) for result in self.finished],
            "random": gathered,
            "rows": len(self._table),
        }
        self.folder.save(self.step, tree)

    def _check_finite(self) -> dict[str, Any] | None:
        """Give up if a tensor is not finite, else return the state of the optimizer."""
        state = self._optimizer_state
        if self._optimizer is not None:
            state = export_state(self._optimizer, self._parameters)
        culprits = non_finite(named_tensors(self.objective) | moments(state))
        if culprits:
            self._give_up(self.phases[min(self._position.phase, len(self.phases) - 1)], culprits=culprits)
        return state

    def _give_up(self, phase: Phase, summary: WindowSummary | None = None, culprits: tuple[str, ...] = ()) -> None:
        """Put the last good parameters back and raise `TrainingDiverged`."""
        step = self.step
        if summary is not None and summary.first_bad is not None:
            step += summary.first_bad + 1 - summary.steps
            culprits = (*summary.culprits, *non_finite(named_tensors(self.objective)))
        good_step, tensors = self._good
        if tensors:
            load_tensors(self.objective, tensors)
        raise TrainingDiverged(
            step=step,
            phase=phase.name,
            culprits=culprits,
            checkpoint=self.folder.latest() if self.folder else None,
            restored_step=good_step,
        )

    @contextmanager
    def _frozen(self, phase: Phase) -> Iterator[None]:
        frozen = [parameter for name, parameter in self._parameters.items() if is_frozen(phase, name)]
        try:
            for parameter in frozen:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)

    def _mean(self, tensor: Tensor) -> Tensor:
        reduced: Tensor = self.fabric.all_reduce(tensor, reduce_op="mean")
        return reduced

    def _sum(self, tensor: Tensor) -> Tensor:
        reduced: Tensor = self.fabric.all_reduce(tensor, reduce_op="sum")
        return reduced
