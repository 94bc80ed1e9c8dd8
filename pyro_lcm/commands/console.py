"""What the commands say: lines and tables on stdout, logs and signs of life on stderr."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

ROOT = "pyro_lcm"


class CommandFailed(RuntimeError):
    """Something went wrong that is not bad input; one line that says what, and what to do."""


def say(text: str = "") -> None:
    """Write lines to stdout; if its reader has gone, such as ``head``, what the command does goes on in silence."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at exit
        raise OSError(error.errno, error.strerror, "stdout") from error


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table: the first column to the left, the others too, as wide as they need to be.

    >>> print(table(("metric", "value"), [("mcc", "0.99")]))
    metric  value
    mcc     0.99
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


@contextmanager
def logging_to_stderr(level: int = logging.INFO) -> Iterator[None]:
    """Show the library's log on stderr, above progress bars, while this lasts."""
    root, handler = logging.getLogger(ROOT), _AboveBars()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


@contextmanager
def busy(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal that something is under way, and for how long.

    Yields:
        A function that takes what is done and what there is in all, for work that knows it; the share is then shown.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    finished = threading.Event()
    with tqdm(desc=what, bar_format="{desc}: {elapsed}", leave=False, file=sys.stderr) as bar:

        def tick() -> None:
            while not finished.wait(0.5):
                bar.refresh()

        def report(done: int, total: int) -> None:
            bar.set_description_str(f"{what} ({100 * done // max(1, total)} %)", refresh=False)

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield report
        finally:
            finished.set()
            thread.join()


def progress_bar(total: int, what: str, unit: str) -> tqdm[Any]:
    """A bar on stderr, shown on a terminal only."""
    return tqdm(total=total, desc=what, unit=unit, disable=not sys.stderr.isatty(), dynamic_ncols=True, file=sys.stderr)


class _AboveBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
