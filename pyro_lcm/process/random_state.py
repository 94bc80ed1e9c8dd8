"""Random state: seeds derived from one another, and the generators of torch, NumPy and Python as tensors.

Training is repeatable and can be resumed exactly only if every generator that it draws from is seeded at the
start and saved with the parameters.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_lcm.process.process_state import alone

__all__ = ["capture", "derive_seed", "isolated", "restore", "seed_all"]


def derive_seed(seed: int, *keys: int | str) -> int:
    """Return a seed in [0, 2**63), a function of ``seed`` and ``keys`` unrelated between different keys.

    >>> derive_seed(0, "batches", 1) == derive_seed(0, "batches", 1) != derive_seed(0, "batches", 2)
    True
    """
    text = "/".join([str(int(seed)), *map(repr, keys)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_all(seed: int) -> None:
    """Seed the global generators of torch (every device), NumPy and Python."""
    torch.manual_seed(seed % 2**63)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the global generator is what has to be seeded)


def capture(device: torch.device) -> dict[str, Tensor]:
    """Return the state of the global generators as integer tensors on the CPU.

    Args:
        device: The device of the training, whose generator is included when it has one of its own.
    """
    state = {"torch": torch.get_rng_state(), "python": _python_state(), "numpy": _numpy_state()}
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state(device)
    return state


def restore(state: dict[str, Tensor], device: torch.device) -> None:
    """Put the global generators into a state that `capture` returned."""
    torch.set_rng_state(state["torch"])
    words = [int(word) for word in state["python"].tolist()]
    random.setstate((3, tuple(words[:625]), _from_bits(words[626]) if words[625] else None))
    numbers = [int(word) for word in state["numpy"].tolist()]
    keys = np.array(numbers[:624], dtype=np.uint32)
    gauss = _from_bits(numbers[626])
    np.random.set_state(("MT19937", keys, numbers[624], numbers[625], gauss))  # noqa: NPY002
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state["device"], device)


@contextmanager
def isolated(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators inside the ``with`` block and restore what they were after it; other threads wait."""
    with alone():
        state = capture(device)
        seed_all(seed)
        try:
            yield
        finally:
            restore(state, device)


def _python_state() -> Tensor:
    _, words, gauss = random.getstate()
    return torch.tensor([*words, int(gauss is not None), _to_bits(gauss or 0.0)], dtype=torch.int64)


def _numpy_state() -> Tensor:
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    _, keys, position, has_gauss, gauss = state
    return torch.tensor([*keys.tolist(), position, has_gauss, _to_bits(gauss)], dtype=torch.int64)


def _to_bits(number: float) -> int:
    return int(np.float64(number).view(np.int64))


def _from_bits(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
