"""Sources of data: anything with a length that turns row numbers into a batch of named tensors.

The driver asks for nothing else, so that pairs in memory, a memory map larger than memory and sequences come
through the same door.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["DataSource", "TensorSource", "fingerprint"]

_FINGERPRINT_ROWS = 64


@runtime_checkable
class DataSource(Protocol):
    """A data set: a number of items, and batches of them by row number."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def batch(self, index: Tensor) -> Mapping[str, Tensor]:
        """Return the items ``index`` (B,) as named tensors of shape (B, ...)."""
        ...


class TensorSource:
    """Named tensors in memory whose first dimension counts items.

    Args:
        tensors: Tensors by name, all of the same length, at least one.

    Raises:
        ValueError: If there is no tensor, or lengths differ, or there is no item.

    >>> source = TensorSource({"x": torch.arange(6.0).reshape(3, 2)})
    >>> len(source), source.batch(torch.tensor([2]))["x"].tolist()
    (3, [[4.0, 5.0]])
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        if not tensors:
            raise ValueError("tensors: expected at least one named tensor, got none")
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor) or tensor.dim() == 0:
                raise ValueError(f"tensors[{name!r}]: expected a tensor with items in its first dimension")
        lengths = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"tensors: expected one length, got {lengths}")
        if 0 in lengths.values():
            raise ValueError("tensors: expected at least one item, got none")
        self.tensors: dict[str, Tensor] = dict(tensors)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(next(iter(self.tensors.values())))

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Return the items ``index`` (B,) as tensors of shape (B, ...)."""
        return {name: tensor.index_select(0, index) for name, tensor in self.tensors.items()}

    def to(self, device: torch.device) -> TensorSource:
        """Return the same items on ``device``."""
        return TensorSource({name: tensor.to(device) for name, tensor in self.tensors.items()})

    @property
    def nbytes(self) -> int:
        """Return the memory the tensors take, in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())


class PlacedSource:
    """A source whose batches lie on the device of the training.

    Tensors in memory are moved there once where they take less than half of what is free; of other sources
    each batch is moved when it is asked for.

    Args:
        source: The source to place; kept as attribute ``source``.
        device: Where batches are wanted.
        dtype: Of the floating point tensors in a batch; as they are if None.
    """

    def __init__(self, source: DataSource, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self.source = source
        self.device = device
        self.dtype = dtype
        self._moved = isinstance(source, TensorSource) and (device.type == "cpu" or _fits(source, device))
        self._inner = source.to(device) if self._moved and isinstance(source, TensorSource) else source
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._inner)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Return the items ``index`` (B,), a tensor on any device, as tensors on ``device``."""
        batch = self._inner.batch(index.to(self.index_device))
        if not self._moved:
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        if self.dtype is not None:
            batch = {name: part.to(self.dtype) if part.is_floating_point() else part for name, part in batch.items()}
        more = {name: column.index_select(0, index.to(self.device)) for name, column in self._columns.items()}
        return {**batch, **more}

    def with_columns(self, columns: Mapping[str, Tensor]) -> PlacedSource:
        """The same items with further tensors, (items, ...) each on the device, beside those of the source."""
        extended = copy.copy(self)
        extended._columns = {**self._columns, **columns}
        return extended

    @property
    def in_memory(self) -> bool:
        """Whether the items are tensors on the device, from which batches are gathered."""
        return self._moved

    @property
    def index_device(self) -> torch.device:
        """Return the device on which `batch` takes its index without a copy."""
        return self.device if self._moved else torch.device("cpu")


def as_source(data: DataSource | Mapping[str, Tensor], name: str) -> DataSource:
    """Return ``data`` as a source; a mapping of tensors becomes a `TensorSource`.

    Raises:
        ValueError: If it is neither, or holds no item; ``name`` is the argument's name in the message.
    """
    if isinstance(data, Mapping):
        return TensorSource(data)
    if not isinstance(data, DataSource):
        raise ValueError(
            f"{name}: expected a mapping of tensors or an object with __len__ and batch(index),"
            f" got {type(data).__name__}"
        )
    if len(data) == 0:
        raise ValueError(f"{name}: expected at least one item, got none")
    return data


def fingerprint(source: DataSource) -> dict[str, Any]:
    """Return the length of a source and a hash of at most 64 of its rows, evenly spaced.

    >>> fingerprint(TensorSource({"x": torch.zeros(3, 2)}))["length"]
    3
    """
    size = len(source)
    rows = torch.linspace(0, size - 1, min(size, _FINGERPRINT_ROWS), dtype=torch.float64).round().long().unique()
    digest = hashlib.sha256()
    for name, tensor in sorted(source.batch(rows).items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)} ".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    return {"length": size, "sha256": digest.hexdigest()}


def _fits(source: TensorSource, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return source.nbytes < free / 2
