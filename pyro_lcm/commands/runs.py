"""Run folders as the commands see them: what is in one, with which options it was made, whether it is finished.

``train.yaml`` holds the options of the command; ``pyro-lcm train --config RUN/train.yaml`` repeats the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyro_lcm.commands.fits import CHOICE, DIMS
from pyro_lcm.process.first_process import is_first_process
from pyro_lcm.storage.run_folder import CHECKPOINT, CODE, CONFIG, TENSORS
from pyro_lcm.storage.text_files import read_yaml, replacing, write_yaml

OPTIONS = "train.yaml"
_TRACES = (OPTIONS, CONFIG, TENSORS, CHECKPOINT, "metrics.csv", CODE, CHOICE, DIMS)
_SEVERAL = ("fit-*", "dim-*")
_FREE = ("data", "out", "validation", "resume", "mmap", "device", "threads", "loggers")
"""Options that may differ when a run goes on: where things are and how they are read. Other data are noticed
by the training driver, by their content."""


def holds_run(folder: Path) -> bool:
    """Whether there is a run in a folder, finished or not."""
    several = any(any(folder.glob(pattern)) for pattern in _SEVERAL)
    return several or any((folder / name).exists() for name in _TRACES)


def recorded_differences(folder: Path, options: Mapping[str, Any]) -> list[str]:
    """Which options differ from those the run in a folder was made with, a text each.

    Raises:
        ValueError: If the record is damaged.
    """
    file = folder / OPTIONS
    if not file.is_file():
        return []
    before, now = flat_options(read_yaml(file)), flat_options(options)
    return [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in _FREE
    ]


def write_options(folder: Path, options: Mapping[str, Any]) -> None:
    """Write the options of a run beside it; of several processes the first does."""
    if not is_first_process():
        return
    kept = {key: value for key, value in options.items() if key not in ("resume", "threads")}
    write_yaml(folder / OPTIONS, kept)


@contextmanager
def untouched_by_bad_input(folder: Path) -> Iterator[None]:
    """Put the options of a run back, or away, if what follows says that its input is bad.

    They are written before the training driver has looked at data and options. Once there is a checkpoint the run
    has begun, and they stay.
    """
    file = folder / OPTIONS
    before = file.read_bytes() if file.is_file() else None
    begun = _has_begun(folder)
    try:
        yield
    except ValueError:
        if begun or not _has_begun(folder):
            if before is not None:
                with replacing(file) as partial:
                    partial.write_bytes(before)
            else:
                file.unlink(missing_ok=True)
        raise


def _has_begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in (CHECKPOINT, CODE))


def flat_options(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options with those of groups by their dotted names, as they are given on the command line."""
    result: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            result |= flat_options(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result
