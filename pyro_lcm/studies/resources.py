"""What a piece of work takes: processor seconds and memory, of this process."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["Resources"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Resources:
    """What this process has taken since the instance was made.

    Where the system cannot forget the most memory that a process has had, it is that of the whole process.

    >>> spent = Resources()
    >>> work = sum(range(1000))
    >>> spent.cpu_seconds >= 0, spent.peak_gb > 0
    (True, True)
    """

    def __init__(self) -> None:
        self._start = time.process_time()
        with suppress(OSError):
            _RESET.write_text("5")  # Linux: the peak of the resident memory begins anew

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all its threads."""
        return time.process_time() - self._start

    @property
    def peak_gb(self) -> float:
        """Largest resident memory, in GB."""
        with suppress(OSError):
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return float(line.split()[1]) * 1024 / 1e9
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
