"""Limits of numbers that are given.

What this machine cannot hold is said before it is tried: a process that takes too much memory is killed unasked.
"""

from __future__ import annotations

import os

__all__ = ["LARGEST", "check_least", "check_memory", "physical_memory"]

LARGEST = 1e100
"""Numbers of data are smaller in size than this: squares of larger ones, and their sums, are infinite."""


def check_least(**numbers: tuple[float | None, float]) -> None:
    """Refuse numbers that are too small.

    Args:
        **numbers: by the name of each the number, None for none, and the least that it may be.

    Raises:
        ValueError: If one is less; the first such is named.

    >>> check_least(rows=(10, 2), seed=(-1, 0))
    Traceback (most recent call last):
    ValueError: seed: got -1, expected at least 0
    """
    for name, (number, least) in numbers.items():
        if number is not None and number < least:
            raise ValueError(f"{name}: got {number}, expected at least {least}")


def physical_memory() -> int | None:
    """Bytes of memory of this machine; None where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def check_memory(name: str, number: int, bytes_each: int) -> None:
    """Refuse to make more than the memory of this machine holds.

    Args:
        name: What is counted.
        number: How many.
        bytes_each: Memory that one takes.

    Raises:
        ValueError: If all of them take more than there is.

    >>> check_memory("n", 10**17, 8)
    Traceback (most recent call last):
    ValueError: n: got 100000000000000000, which take 800000000.0 GB, expected what fits into ... GB of memory
    """
    most = physical_memory()
    if most is not None and number * bytes_each > most:
        raise ValueError(
            f"{name}: got {number}, which take {number * bytes_each / 1e9:.1f} GB,"
            f" expected what fits into {most / 1e9:.1f} GB of memory"
        )
