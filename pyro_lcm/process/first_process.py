"""Which of the processes that torchrun started this is; only the first writes files."""

from __future__ import annotations

import os

import torch

__all__ = ["barrier", "is_first_process"]


def is_first_process() -> bool:
    """Whether this process writes: the first of several, or the only one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return os.environ.get("RANK", "0") == "0"


def barrier() -> None:
    """Wait until all processes are here; a single one goes on at once."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
