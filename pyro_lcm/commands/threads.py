"""How many CPU threads torch uses while a command runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 1024
"""Threads beyond this are a slip, and would take the memory of the machine."""


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(number: int | None, *, default: int | None = None) -> Iterator[int]:
    """Let torch use so many threads while this lasts.

    Args:
        number: Of threads; None takes OMP_NUM_THREADS if it is set, else the default.
        default: What is best for the work; None for all cores. A step of small networks is a thousand small operations:
            a second thread gains nothing, and where another process has the second core each operation waits for it.
    """
    import torch

    before = torch.get_num_threads()
    if number is None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        number = int(given) if given.isdecimal() and int(given) > 0 else default or available_cores()
    if number > MOST:
        raise ValueError(f"threads: got {number}, expected at most {MOST}")
    torch.set_num_threads(number)
    try:
        yield number
    finally:
        torch.set_num_threads(before)
