"""The tensors of a module, its parameters and buffers: to copy, to put back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["copy_tensors", "load_tensors", "named_tensors"]


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
