"""One process at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["FolderInUse", "locked"]


class FolderInUse(OSError):
    """Another process writes into the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder while this lasts.

    The lock is the system's and on the folder itself: it leaves no file behind, and goes when the process does, however
    it ends. On a file system without locks there is none.

    Args:
        folder: The folder; made if it is not there, and away again if nothing has been written to it.

    Raises:
        FolderInUse: If another process has it.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder}: another process writes into this folder; wait, or give another one") from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
        for path in new:
            with suppress(OSError):
                path.rmdir()
