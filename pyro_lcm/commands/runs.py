"""Run folders as the commands see them: what is in one, with which options it was made, whether it is finished.

``train.yaml`` holds the options of the command; ``pyro-lcm train --config RUN/train.yaml`` repeats the run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pyro_lcm.run_folder import CHECKPOINT, CODE, CONFIG, TENSORS
from pyro_lcm.text_files import write_text
from pyro_lcm.training.processes import is_first_process

OPTIONS = "train.yaml"
_TRACES = (CONFIG, TENSORS, CHECKPOINT, "metrics.csv", "fit-1", CODE)
_FREE = ("data", "out", "validation", "resume", "mmap", "device", "threads", "loggers")
"""Options that may differ when a run goes on: where things are and how they are read. Other data are noticed
by the training driver, by their content."""


def holds_run(folder: Path) -> bool:
    """Whether there is a run in a folder, finished or not."""
    return any((folder / name).exists() for name in _TRACES) or any(folder.glob("dim-*"))


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has ended; its parameters are what is written last."""
    return (folder / TENSORS).is_file()


def recorded_differences(folder: Path, options: Mapping[str, Any]) -> list[str]:
    """Which options differ from those the run in a folder was made with, a text each.

    Raises:
        ValueError: If the record is damaged.
    """
    file = folder / OPTIONS
    if not file.is_file():
        return []
    try:
        recorded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not valid YAML ({error})") from error
    if not isinstance(recorded, dict):
        raise ValueError(f"{file}: got {type(recorded).__name__}, expected the options of a run")
    before, now = flat_options(recorded), flat_options(options)
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
    write_text(folder / OPTIONS, yaml.safe_dump(kept, sort_keys=False))


@contextmanager
def untouched_by_bad_input(folder: Path) -> Iterator[None]:
    """Put the options of a run back, or away, if what follows says that its input is bad.

    They are written before the training driver has looked at data and options. Once there is a checkpoint the run
    has begun, and they stay.
    """
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    file = folder / OPTIONS
    before = file.read_bytes() if file.is_file() else None
    begun = _has_begun(folder)
    try:
        yield
    except ValueError:
        if begun or not _has_begun(folder):
            if before is not None:
                file.write_bytes(before)
            else:
                file.unlink(missing_ok=True)
            for path in new_folders:
                with contextlib.suppress(OSError):
                    path.rmdir()
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
