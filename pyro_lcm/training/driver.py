"""The training driver: `fit` optimises an objective on a source of data through phases.

An objective maps a batch of named tensors to a loss. The driver knows nothing else about it, so that any
model and guide, and anything that is not a pair of those, trains by the same code. Devices, precision and
several processes are the job of Lightning Fabric.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from pyro_lcm.process import random_state
from pyro_lcm.process.process_state import ready_to_train
from pyro_lcm.storage.folder_lock import locked
from pyro_lcm.storage.text_files import reading
from pyro_lcm.training.checkpoint import CheckpointFolder, differences, read_tree
from pyro_lcm.training.logs import FitResult, MetricsTable, ProgressBar, make_loggers
from pyro_lcm.training.loop import Cadence, TrainingLoop
from pyro_lcm.training.optimizers import OptimizerFactory, check_prefixes
from pyro_lcm.training.phases import Phase, describe, describe_phases
from pyro_lcm.training.sources import DataSource, PlacedSource, as_source, fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["fit"]

Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]
_FORMAT = 1


@ready_to_train()
def fit(
    objective: nn.Module,
    data: DataSource | Mapping[str, Tensor],
    phases: Sequence[Phase],
    *,
    seed: int,
    out: str | Path | None = None,
    validation: DataSource | Mapping[str, Tensor] | None = None,
    device: str = "auto",
    precision: Precision = "32-true",
    log_every: int = 100,
    validate_every: int = 1000,
    checkpoint_every: int = 1000,
    validation_batch_size: int = 1024,
    optimizer: OptimizerFactory | None = None,
    progress: bool | None = None,
    loggers: Sequence[Any] = (),
    resume: bool = False,
    fabric: Fabric | None = None,
    facts: Mapping[str, Any] | None = None,
    record: bool = False,
) -> FitResult:
    """Optimise the parameters of an objective in place.

    Each step calls ``objective(tensors, size=N, index=index, **settings)`` with a batch of named tensors, the
    number N of items in ``data``, the rows (B,) of the batch and the phase's settings. It returns a scalar
    loss, or a loss and a mapping of scalar metrics to log. With several processes (``torchrun``) each takes
    an equal slice of the batch and gradients are averaged, so the loss should be a mean over items.

    A run with ``out`` writes ``metrics.csv`` and ``checkpoint/`` there. If it is killed, the same call with
    ``resume=True``, given an objective built in the same way, ends with the same parameters, bit for bit, as
    a run left alone on the same kind of machine (on a GPU, as far as its kernels are deterministic). The
    global random generators are seeded for the run and get their state back at its end.

    Args:
        objective: The module to optimise; moved to the device. Values of its parameters and buffers are
            saved, not its structure.
        data: Training data: a source, or a mapping of tensors whose first dimensions count items.
        phases: What to do, in order; at least one.
        seed: Seed of batches, noise and hooks, at least 0.
        out: The run folder, or None to write nothing.
        validation: Held-out data; its loss is logged, and decides for phases with ``keep="best"``.
        device: ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        precision: Precision as Lightning Fabric names it.
        log_every: Steps between readings of the loss. A loss that is not finite is noticed then.
        validate_every: Steps between validations; there is one at the end of each phase too.
        checkpoint_every: Steps between checkpoints; there is one around the start of each phase too.
        validation_batch_size: Items at a time in validation, which bounds its memory.
        optimizer: Makes an optimizer from parameter groups; by default what each phase names.
        progress: Whether to show a progress bar; by default if stderr is a terminal.
        loggers: Lightning Fabric loggers, or ``"tensorboard"``.
        resume: Whether to go on from the checkpoint in ``out``; without one the run starts from scratch.
        fabric: A launched Fabric, which takes the place of ``device`` and ``precision``.
        facts: Plain data that a run must share to be gone on with, such as how its objective was built.
        record: Whether to record a step as a CUDA graph and replay it, on one GPU, in phases whose settings stay:
            for an objective that does the same in every step, whatever the values
            (:mod:`pyro_lcm.training.recorded`).

    Returns:
        How the run ended, with its history.

    Raises:
        ValueError: If an argument is wrong, ``out`` holds a checkpoint and ``resume`` is off, or the
            checkpoint is of a run with another seed, other phases, data or facts; the message says what
            differs.
        FolderInUse: If another process trains into ``out``.
        TrainingDiverged: If a loss, gradient norm or parameter is not finite; the objective then has the
            parameters of the last good checkpoint.

    >>> class Mean(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.mean = nn.Parameter(torch.zeros(2))
    ...
    ...     def forward(self, tensors, *, size, index):
    ...         return (tensors["x"] - self.mean).square().sum(-1).mean()
    >>> objective = Mean()
    >>> data = {"x": torch.tensor([[1.0, 2.0]])}
    >>> result = fit(objective, data, [Phase("all", 300, learning_rate=0.1)], seed=0)
    >>> objective.mean.detach().round(decimals=2).tolist(), result.steps
    ([1.0, 2.0], 300)
    """
    seed = check_seed(seed)
    _check(objective, phases, out, validation, resume)
    cadence = Cadence(log_every, validate_every, checkpoint_every)
    fabric = fabric if fabric is not None else _make_fabric(device, precision)
    source = as_source(data, "data")
    held_out = None if validation is None else as_source(validation, "validation")
    if held_out is not None and len(held_out) < fabric.world_size:
        raise ValueError(f"validation: expected at least {fabric.world_size} items, got {len(held_out)}")
    names = [name for name, parameter in objective.named_parameters() if parameter.requires_grad]
    for phase in phases:
        check_prefixes(phase, names)
    identity = {
        "format": _FORMAT,
        "seed": seed,
        "phases": describe_phases(phases),
        "data": fingerprint(source),
        "validation": None if held_out is None else fingerprint(held_out),
        "validate_every": validate_every,
        "validation_batch_size": validation_batch_size,
        "optimizer": "by phase" if optimizer is None else describe(optimizer),
        "precision": precision_name(fabric),
        "device": fabric.device.type,
        "processes": fabric.world_size,
        "facts": {} if facts is None else dict(facts),
    }
    folder = None if out is None else CheckpointFolder(Path(out) / "checkpoint")
    with ExitStack() as held:
        if folder is not None and fabric.is_global_zero:
            held.enter_context(locked(folder.path))
        latest = None if folder is None else folder.latest()
        saved = None if latest is None else _saved_state(latest, identity, resume)
        fabric.barrier()  # no process writes to the folder before all have seen what is in it
        double = torch.float64 if precision_name(fabric) == "64-true" else None
        modes = [(module, module.training) for module in objective.modules()]
        fabric.strategy.precision.convert_module(fabric.to_device(objective))
        objective.train()
        noise_seed = random_state.derive_seed(seed, "noise", fabric.global_rank)
        try:
            with random_state.isolated(noise_seed, fabric.device):
                loop = TrainingLoop(
                    objective,
                    PlacedSource(source, fabric.device, double),
                    phases,
                    seed=seed,
                    fabric=fabric,
                    validation=None if held_out is None else PlacedSource(held_out, fabric.device, double),
                    validation_batch_size=validation_batch_size,
                    cadence=cadence,
                    optimizer=optimizer,
                    folder=folder,
                    identity=identity,
                    record=record,
                )
                rows = 0
                if latest is not None and saved is not None:
                    with reading(latest, "a checkpoint of this run"):
                        rows = loop.restore(saved)
                start = loop.step
                table = _run(loop, Path(out) if out is not None else None, rows, progress, loggers, phases)
        finally:
            for module, mode in modes:
                module.training = mode
        fabric.barrier()
        return FitResult(
            steps=loop.step,
            phases=tuple(loop.finished),
            history=tuple(table.rows),
            resumed_at=None if saved is None else start,
            checkpoint=None if folder is None else folder.latest(),
        )


def _run(
    loop: TrainingLoop,
    out: Path | None,
    rows: int,
    progress: bool | None,
    loggers: Sequence[Any],
    phases: Sequence[Phase],
) -> MetricsTable:
    """Run the loop with its logs, which only the first process writes; return the table."""
    first = loop.fabric.is_global_zero
    opened = make_loggers(loggers, out, loop.step) if first else []
    table = MetricsTable(out / "metrics.csv" if out is not None else None, rows, write=first)
    bar = ProgressBar(sum(phase.steps for phase in phases), loop.step, progress if first else False)
    status = "failed"
    try:
        loop.run(table, bar, opened)
        status = "finished"
    finally:
        bar.close()
        for logger in opened:
            logger.finalize(status)
    return table


def _check(
    objective: nn.Module,
    phases: Sequence[Phase],
    out: str | Path | None,
    validation: object,
    resume: bool,
) -> None:
    if not isinstance(objective, nn.Module):
        raise ValueError(f"objective: expected a torch module, got {type(objective).__name__}")
    if not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise ValueError(f"phases: expected a sequence of at least one Phase, got {phases!r}")
    if resume and out is None:
        raise ValueError("resume: expected a run folder to go on from; pass out")
    if validation is None:
        for phase in phases:
            if phase.keep == "best":
                raise ValueError(f"phase {phase.name!r}: keep: 'best' needs validation data; pass validation")


def check_seed(seed: int) -> int:
    """Return the seed as a plain integer.

    Raises:
        ValueError: If it is no integer, NumPy's included, of at least 0.
    """
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed: expected an integer of at least 0, got {seed!r}")
    return number


def precision_name(fabric: Fabric) -> str:
    """The precision of a Fabric, as Lightning names it."""
    return str(fabric.strategy.precision.precision)


def _saved_state(latest: Path, identity: Mapping[str, Any], resume: bool) -> dict[str, Any]:
    """Return the state to go on from."""
    if not resume:
        raise ValueError(f"out: {latest.parent.parent} holds a run; resume it, or give another folder")
    tree = read_tree(latest)
    if "identity" not in tree:
        raise ValueError(f"{latest}: the key 'identity' is missing, expected a checkpoint of a run")
    if lines := differences(tree["identity"], identity):
        raise ValueError(f"resume: {latest} is of another run: {'; '.join(lines)}")
    return tree


def _make_fabric(device: str, precision: str) -> Fabric:
    """Return a launched Fabric: one device, or the processes that torchrun started.

    Raises:
        ValueError: If the device or the precision is unknown or not there.
    """
    from lightning_fabric import Fabric

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    options: dict[str, Any] = {"devices": [int(number)] if number.isdecimal() else 1}
    if torch.distributed.is_torchelastic_launched():
        # Settings switch parts of an objective on and off, so some parameters have no gradient in some steps.
        options = {"strategy": "ddp_find_unused_parameters_true", **_torchrun_layout()}
    try:
        fabric = Fabric(accelerator=kind, precision=precision, **options)
        fabric.launch()
    except Exception as error:  # Lightning has errors of its own for devices that it does not know
        raise ValueError(
            f"device {device!r} with precision {precision!r} cannot be used: {' '.join(str(error).split())}"
        ) from error
    return fabric


def _torchrun_layout() -> dict[str, int]:
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return {"devices": local, "num_nodes": int(os.environ["WORLD_SIZE"]) // local}
