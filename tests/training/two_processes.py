"""A program for test_processes.py, started by torchrun: trains on the CPU and saves the parameters.

torchrun --nproc-per-node 2 two_processes.py FOLDER NOISE KILL_AT RESUME
"""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from pyro_lcm.training import Phase, TrainingDiverged, fit


class Branches(nn.Module):
    """A regression of which a setting switches one branch on, so that its parameters are unused before."""

    def __init__(self, noise=0.0, kill_at=-1):
        super().__init__()
        self.first = nn.Linear(3, 2)
        self.second = nn.Linear(3, 2)
        self.noise, self.kill_at = noise, kill_at
        self.sizes = set()

    def forward(self, tensors, *, size, index, both):
        if self.training:
            self.kill_at -= 1
            self.sizes.add((size, len(index)))
            if self.kill_at == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        x = tensors["x"] + self.noise * torch.randn_like(tensors["x"])
        out = self.first(x) + self.second(x) if both else self.first(x)
        error = (out - tensors["y"]).square().mean()
        return error, {"error": error.detach()}


def data(items=50):
    """Return a small data set."""
    x = torch.randn(items, 3, generator=torch.Generator().manual_seed(1))
    return {"x": x, "y": x[:, :2] ** 2}


def phases():
    """Return phases in which parameters are unused, frozen, and kept at their best."""
    return [
        Phase("one", 20, batch_size=16, settings={"both": False}, gradient_clip=1.0),
        Phase("both", 30, batch_size=16, settings={"both": True}, freeze=["first"], keep="best"),
        Phase(
            "all",
            20,
            batch_size=16,
            settings={"both": True},
            reset_optimizer=False,
            weight_decay={"first": 0.1},
        ),
    ]


def train(noise=0.0, kill_at=-1, **options):
    """Train from fixed parameters; return objective and result."""
    torch.manual_seed(0)
    objective = Branches(noise, kill_at)
    cadence = {"log_every": 5, "validate_every": 10, "checkpoint_every": 8}
    options = {"seed": 4, "device": "cpu", "progress": False, "validation": data(21), **cadence} | options
    return objective, fit(objective, data(), phases(), **options)


def main():
    folder, noise, kill_at, resume = Path(sys.argv[1]), *map(float, sys.argv[2:])
    rank = int(os.environ["RANK"])
    objective, result = train(noise, int(kill_at) if rank == 0 else -1, out=folder, resume=bool(resume))
    losses = torch.tensor([row.get("loss", 0.0) for row in result.history])
    final = {**dict(objective.named_parameters()), "losses": losses}
    if not kill_at:
        assert objective.sizes in ({(50, 8)}, set())
    save_file(final, folder / f"final-{rank}.safetensors")
    try:
        fit(Branches(), {"x": data()["x"], "y": data()["y"] * float("nan")}, phases(), seed=0, device="cpu",
            validation=data(21), progress=False)  # fmt: skip
    except TrainingDiverged:
        (folder / f"diverged-{rank}").touch()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
