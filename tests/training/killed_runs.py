"""A program for test_resume.py: trains in child processes that are killed with SIGKILL, then resumed.

    python killed_runs.py FOLDER

Each scenario has a folder with its run and, at the end, the parameters in ``final.safetensors``. Which starts
of each were killed is printed as JSON. Children are forked from a process that has imported everything and
computed nothing, which saves the seconds that each import takes.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401 (imported before the forks)
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from pyro_lcm.storage import tensor_files
from pyro_lcm.training import Linear, Phase, fit

# Where a child kills itself: the place, and how often it was passed before; one entry a start.
SCENARIOS = {
    "before_the_first_checkpoint": [("write", 0)],
    "while_the_first_is_written": [("half", 0)],
    "in_the_first_step": [("forward", 0)],
    "in_a_step": [("forward", 23)],
    "between_backward_and_checkpoint": [("write", 2)],
    "with_half_a_checkpoint_written": [("half", 3)],
    "before_the_rename": [("rename", 3)],
    "after_the_rename": [("prune", 3)],
    "before_a_hook": [("start", 0)],
    "at_the_end_of_a_hook": [("started", 0)],
    "after_the_hook_was_saved": [("forward", 45)],
    "in_validation": [("validation", 9)],
    "while_logging": [("log", 1)],
    "in_the_phase_that_keeps_the_best": [("forward", 78)],
    "at_the_end_of_that_phase": [("rename", 8)],
    "in_the_phase_that_keeps_the_moments": [("forward", 112)],
    "at_the_last_checkpoint": [("rename", 10)],
    "again_and_again": [
        ("half", 0),
        ("forward", 11),
        ("rename", 2),
        ("started", 0),
        ("validation", 3),
        ("forward", 50),
    ],
}


class Killer:
    """Kills this process at a place, the time after it was passed ``count`` times."""

    def __init__(self, place=None, count=0):
        self.place, self.count = place, count

    def passing(self, place):
        if place == self.place:
            self.count -= 1
            if self.count < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Noisy(nn.Module):
    """A regression that draws from every generator there is, has dropout and a buffer that counts."""

    def __init__(self, killer, seconds=0.0):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 2))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.killer, self.seconds = killer, seconds

    def forward(self, tensors, *, size, index, weight):
        self.killer.passing("forward" if self.training else "validation")
        if self.seconds:
            time.sleep(self.seconds)
        self.count += 1
        scale = 1.0 + 0.1 * random.gauss(0, 1) + 0.1 * np.random.normal()  # noqa: NPY002
        x = tensors.get("seen", tensors["x"]) + 0.1 * scale * torch.randn_like(tensors["x"])
        error = (self.head(torch.tanh(self.norm(self.body(x)))) - tensors["x"][:, :2]).square().mean()
        return weight * error, {"error": error.detach()}


def train(folder, killer, resume, seconds=0.0):
    """Train as every scenario does."""
    torch.manual_seed(0)
    objective = Noisy(killer, seconds)
    generator = torch.Generator().manual_seed(1)

    def start(module, source, seed):
        killer.passing("start")
        module.body.weight.add_(0.1 * torch.randn_like(module.body.weight))
        killer.passing("started")
        return {"norm": module.body.weight.norm()}

    def see(module, source):
        """What the frozen part makes of the data, computed anew where the phase is gone on with."""
        rows = source.batch(torch.arange(len(source)))["x"]
        return source.with_columns({"seen": rows + 0.1 * torch.tanh(rows @ module.body.weight.T)[:, :4]})

    phases = [
        Phase("a", 40, batch_size=16, settings={"weight": Linear(0.1, 1.0)}, gradient_clip=1.0),
        Phase(
            "b",
            50,
            batch_size=16,
            settings={"weight": 1.0},
            learning_rate=Linear(0.01, 1.0),
            keep="best",
            start=start,
        ),
        Phase("c", 30, batch_size=24, settings={"weight": 1.0}, reset_optimizer=False, freeze=["body"], data=see),
    ]
    data, held_out = torch.randn(50, 4, generator=generator), torch.randn(30, 4, generator=generator)
    cadence = {"log_every": 7, "validate_every": 10, "checkpoint_every": 15}
    options = {"seed": 5, "validation": {"x": held_out}, "device": "cpu", "progress": False}
    result = fit(objective, {"x": data}, phases, out=folder, resume=resume, **cadence, **options)
    final = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}
    final["best_step"] = torch.tensor(result.phases[1].best_step)
    save_file(final, folder / "final.safetensors")


def kill_while_writing(killer):
    """Let writing pass the killer: before, halfway through, and on both sides of the rename."""
    write, replace = tensor_files.save_file, os.replace

    def killing_write(tensors, path, metadata):
        killer.passing("write")
        write(tensors, path, metadata)
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: len(content) // 2])
        killer.passing("half")
        Path(path).write_bytes(content)

    def killing_replace(source, target):
        is_log = Path(target).suffix == ".csv"
        killer.passing("log" if is_log else "rename")
        replace(source, target)
        if not is_log:
            killer.passing("prune")

    tensor_files.save_file = killing_write
    os.replace = killing_replace


def start_child(folder, killer, resume, seconds=0.0):
    """Fork a child that trains; return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        kill_while_writing(killer)
        train(folder, killer, resume, seconds)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def finish(child):
    """Wait for a child; return whether it was killed, and stop if it failed otherwise."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run failed with status {status}")
    return status != 0


def run_scenario(folder, kills):
    """Run one scenario; return which starts were killed."""
    starts = [finish(start_child(folder, Killer(*kill), number > 0)) for number, kill in enumerate(kills)]
    return [*starts, finish(start_child(folder, Killer(), len(kills) > 0))]


def kill_from_outside(folder, rows):
    """Kill a child once its log has so many lines, wherever it is then; return which starts were killed."""
    child = start_child(folder, Killer(), False, seconds=0.002)
    table = folder / "metrics.csv"
    while not table.exists() or len(table.read_text().splitlines()) < rows:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return [finish(child), finish(start_child(folder, Killer(), True))]


def main():
    root = Path(sys.argv[1])
    starts = {"alone": run_scenario(root / "alone", [])}
    for name, kills in SCENARIOS.items():
        starts[name] = run_scenario(root / name, kills)
    for rows in (2, 9, 15):
        starts[f"from_outside_{rows}"] = kill_from_outside(root / f"from_outside_{rows}", rows)
    print(json.dumps(starts))  # noqa: T201


if __name__ == "__main__":
    main()
