"""What belongs to the process and not to a thread: generators, Pyro's stack of handlers, torch's default precision.

Whoever needs them as they should be takes them for a while; another thread waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["alone", "ready_to_train"]

# One lock for all of the process, as there is one stack of handlers: the same thread may take it again.
_ALONE = threading.RLock()


@contextmanager
def alone() -> Iterator[None]:
    """Let other threads wait that draw random numbers or run Pyro programs of this library."""
    with _ALONE:
        yield


@contextmanager
def ready_to_train() -> Iterator[None]:
    """Alone, with gradients on and float32 as the precision of new tensors, whatever the caller has set.

    >>> with torch.no_grad(), ready_to_train():
    ...     torch.is_grad_enabled()
    True
    """
    with alone(), torch.inference_mode(False), torch.enable_grad():
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
