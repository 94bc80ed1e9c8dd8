"""Files that are written whole or not at all, and whose faults, when they are read, are told with their name.

Everything is written beside its place and renamed there (:func:`replacing`); whatever goes wrong while a file is read
and understood is one error of one line that names it (:func:`reading`).
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

DRAWN_BY = "made by pyro-lcm"
"""Who drew a figure or wrote a report, near the beginning of the file: such files are drawn anew, others left alone."""
_NO_MEMORY = "does not fit into memory"
_PARTIAL = ".partial"
"""In the name of a file that is being written."""
_LONGEST = 400
"""Signs of what a library says that are passed on at most."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside a file's place to write to, and rename what was written there, if nothing went wrong.

    What was written is on the disk before it is renamed. The name keeps the suffix, which may decide the format.

    Args:
        path: The file; its folder is made if it is not there.

    Raises:
        OSError: If it cannot be written, a full disk included; the message names the file.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}{_PARTIAL}{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            sync(partial)
            os.replace(partial, path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is half of one: what :func:`replacing` leaves of a process that was killed.

    >>> is_partial(Path("new/.study.17.partial.yaml")), is_partial(Path("new/study.yaml"))
    (True, False)
    """
    return path.name.startswith(".") and _PARTIAL in path.name


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name a file in whatever the system says against writing it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or str(path) in str(error):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reading(path: str | os.PathLike[str], expected: str = "a sound file") -> Iterator[None]:
    """Make one error of whatever goes wrong while a file is read: what is in it decides what libraries raise.

    Args:
        path: The file or folder.
        expected: What it should be, for errors that say nothing themselves.

    Raises:
        FileNotFoundError: If it was this; the message names the file.
        ValueError: If it was anything else.

    >>> with reading("run/config.yaml", "the configuration of a run"):
    ...     {}["names"]
    Traceback (most recent call last):
    ValueError: run/config.yaml: the key 'names' is missing, expected the configuration of a run
    """
    try:
        yield
    except FileNotFoundError as error:
        if str(path) in str(error):
            raise
        raise FileNotFoundError(f"{path}: {error}") from error
    except Exception as error:
        text = _fault(error, expected)
        if isinstance(error, ValueError) and text.startswith(str(path)):
            raise
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _fault(error: Exception, expected: str) -> str:
    """What an error says of a file, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        return f"the key {text} is missing, expected {expected}"
    if isinstance(error, MemoryError):
        return f"{_NO_MEMORY} ({text})" if text else _NO_MEMORY
    if isinstance(error, RecursionError):
        return f"nested too deep, expected {expected}"
    if isinstance(error, OSError):
        return error.strerror or text
    if text and not isinstance(error, TypeError | AttributeError | LookupError | ArithmeticError | AssertionError):
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return f"expected {expected} ({type(error).__name__}{f': {text}' if text else ''})"


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values as JSON; what is not finite becomes null."""
    write_text(path, json.dumps(_finite(content), indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: If the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: got {type(content).__name__}, expected a JSON object")
    return content


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values as YAML, in their order."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read plain values by name from YAML; a tag that would make a Python object is refused.

    Raises:
        ValueError: If the file is missing or holds something else.
    """
    with reading(path, "plain values by name"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"not valid YAML ({' '.join(str(error).split())})") from error
        if not isinstance(content, dict):
            raise ValueError(f"got {type(content).__name__}, expected plain values by name")
        return content


def is_drawn(path: Path) -> bool:
    """Whether a file is a figure or a report that this package made."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return DRAWN_BY.encode() in file.read(4096)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and value - value != 0:
        return None
    return value
