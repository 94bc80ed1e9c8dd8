"""Named tensors in safetensors files: written whole or not at all, read without unpickling anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyro_lcm.storage.text_files import reading, replacing

__all__ = ["digest", "read_tensors", "write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write contiguous tensors that share no memory, and texts beside them.

    Raises:
        OSError: If the file cannot be written; the message names it.
    """
    with replacing(path) as partial:
        try:
            save_file(dict(tensors), partial, metadata=None if metadata is None else dict(metadata))
        except SafetensorError as error:  # what the system said, as a text
            raise OSError(f"{path}: cannot be written ({error})") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors, on the CPU, and the texts beside them.

    Raises:
        ValueError: If it is no safetensors file; the message names it.
    """
    with reading(path, "a safetensors file"):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except Exception as error:
            raise ValueError(f"not a readable safetensors file ({error})") from error


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A short text that tells tensors from others, by their names, formats and values."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        found.update(f"{name} {values.dtype} {tuple(values.shape)} ".encode())
        found.update(values.reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    return found.hexdigest()
