"""Options that several commands share; each takes them by a field of its own that is inlined."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resources:
    """How data are read and with how many threads.

    Args:
        threads: CPU threads; by default OMP_NUM_THREADS if set, else all cores.
        mmap: Whether to map the data into memory instead of reading it.

    Raises:
        ValueError: If there is less than one thread.
    """

    threads: int | None = None
    mmap: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: got {self.threads}, expected at least 1")
