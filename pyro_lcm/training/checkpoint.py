"""Checkpoints: everything an exact resume needs in one safetensors file, with JSON in its header.

A file is written under another name, flushed to the disk and renamed, so that a reader, or a run that goes on
after being killed at any moment, finds either the file before or the file after, and never half of one.
Nothing is pickled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.storage.tensor_files import read_tensors, write_tensors
from pyro_lcm.storage.text_files import reading

__all__ = [
    "CheckpointFolder",
    "copy_tensors",
    "differences",
    "load_tensors",
    "named_tensors",
    "read_tree",
    "write_tree",
]

_FILE = re.compile(r"step-(\d{12})\.safetensors")


class CheckpointFolder:
    """The checkpoints of one run, named by step; the newest ``keep`` of them stay.

    Args:
        path: The folder; made when the first checkpoint is saved.
        keep: How many checkpoints stay, at least 1.
    """

    def __init__(self, path: Path, keep: int = 2) -> None:
        self.path = path
        self.keep = keep

    def latest(self) -> Path | None:
        """Return the newest complete checkpoint, or None."""
        files = self._files()
        return files[-1] if files else None

    def save(self, step: int, tree: Mapping[str, Any]) -> Path:
        """Write ``tree`` as the checkpoint of ``step``, delete the oldest, and return its path."""
        target = self.path / f"step-{step:012d}.safetensors"
        write_tree(target, tree)
        for leftover in self.path.glob(".*.partial*"):  # of a run that was killed while it was writing
            leftover.unlink()
        for old in self._files()[: -self.keep]:
            old.unlink()
        return target

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return sorted(file for file in self.path.iterdir() if _FILE.fullmatch(file.name))


def write_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, texts, truth values and None, atomically.

    Raises:
        ValueError: If the tree holds something else; the message says where.
    """
    tensors: dict[str, Tensor] = {}
    plain = _flatten(tree, "", tensors)
    write_tensors(path, tensors, {"tree": json.dumps(plain)})


def read_tree(path: Path) -> dict[str, Any]:
    """Read what `write_tree` wrote; tensors come on the CPU.

    Raises:
        ValueError: If the file is not one of these.
    """
    with reading(path, "a checkpoint"):
        tensors, metadata = read_tensors(path)
        tree = _restore(json.loads(metadata["tree"]), tensors)
        if not isinstance(tree, dict):
            raise ValueError("not a readable checkpoint")
        return tree


def differences(saved: Any, now: Any, where: str = "") -> list[str]:
    """Return in words where two trees of plain data differ.

    >>> differences({"seed": 0, "phases": [{"steps": 5}]}, {"seed": 1, "phases": [{"steps": 5}]})
    ['seed: 0 in the checkpoint, 1 now']
    """
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        keys = [*saved, *(key for key in now if key not in saved)]
        pairs = [(f"{where}.{key}" if where else str(key), saved.get(key), now.get(key)) for key in keys]
        return [line for name, one, other in pairs for line in differences(one, other, name)]
    if isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        both = enumerate(zip(saved, now, strict=True))
        return [line for number, (one, other) in both for line in differences(one, other, f"{where}[{number}]")]
    if isinstance(saved, list) and isinstance(now, list):
        return [f"{where}: {len(saved)} of them in the checkpoint, {len(now)} now"]
    return [] if saved == now else [f"{where}: {saved!r} in the checkpoint, {now!r} now"]


def _flatten(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """Return ``value`` as JSON data, its tensors moved to ``tensors`` by their place in the tree."""
    if isinstance(value, Tensor):
        # A copy even on the CPU: parameters that share memory are refused by the format.
        tensors[where] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": where}
    if isinstance(value, Mapping):
        return {"dict": [[key, _flatten(item, f"{where}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_flatten(item, f"{where}/{number}", tensors) for number, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{where}: a checkpoint cannot hold a {type(value).__name__}")


def _restore(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restore(item, tensors) for key, item in content}
    items = [_restore(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, also buffers that a state dict leaves out; shared ones once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def copy_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the tensors of a module, on the same devices."""
    return {name: tensor.detach().clone() for name, tensor in named_tensors(module).items()}


def load_tensors(module: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Put values that `copy_tensors` returned back into a module, in place.

    Raises:
        ValueError: If the module has tensors of other names or shapes.

    >>> module = nn.Linear(2, 1)
    >>> load_tensors(module, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    >>> module.weight.tolist()
    [[1.0, 1.0]]
    """
    tensors = named_tensors(module)
    now = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    before = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    if now != before:
        odd = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        raise ValueError(
            f"objective: parameter or buffer {odd[0]!r} is {before.get(odd[0])} in the checkpoint,"
            f" {now.get(odd[0])} now ({len(odd)} differ)"
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
