"""Run jobs in worker processes that end when this process ends, by whatever signal, or gives up.

Workers are spawned, not forked, with one thread each. A pool of the standard library leaves its workers alive when its
process is killed, and waits for their jobs when it is interrupted. Here each worker holds the reading end of a pipe
whose writing end is in this process alone: once that is closed, by hand or because the process is gone, they exit.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

__all__ = ["run_jobs"]

T = TypeVar("T")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_jobs(
    function: Callable[[T], object],
    jobs: Mapping[str, T],
    *,
    processes: int = 1,
    done: Callable[[str], None] | None = None,
) -> None:
    """Call a function for each job, in several processes at a time.

    When one job fails, or this process is interrupted, the others are ended at once, wherever they are.

    Args:
        function: what to call with each job; pickled by its name, so a function of a module.
        jobs: arguments of the calls, by names that errors tell.
        processes: how many run at a time, at least 1; with one process or one job they run here.
        done: called here with the name of each job when it has finished.

    Raises:
        ValueError: if ``processes`` is out of range.
        BrokenProcessPool: if a worker was killed.
        Exception: what a job raised, with a note that names the job.

    Example:
        >>> import math
        >>> run_jobs(math.sqrt, {"four": 4.0, "nine": 9.0}, done=print)
        four
        nine
    """
    if processes < 1:
        raise ValueError(f"processes: got {processes}, expected at least 1")
    tell = done or (lambda name: None)
    workers = min(processes, len(jobs))
    if workers <= 1:
        for name, job in jobs.items():
            with _named(name):
                function(job)
            tell(name)
        return
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    with (
        watched,
        held,
        _one_thread_each(),
        ProcessPoolExecutor(workers, context, initializer=_exit_when_closed, initargs=(watched,)) as pool,
    ):
        names = {pool.submit(function, job): name for name, job in jobs.items()}
        try:
            for future in as_completed(names):
                with _named(names[future]):
                    future.result()
                tell(names[future])
        except BaseException:
            held.close()
            raise


def _exit_when_closed(pipe: Connection) -> None:
    """Start, in a worker, the thread that ends it; Ctrl-C, which reaches all processes, is for the first to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        with suppress(EOFError, OSError):
            pipe.recv_bytes()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def _named(job: str) -> Iterator[None]:
    """Note on an error which job it is of."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in {job}")
        raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started meanwhile use one thread each."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
