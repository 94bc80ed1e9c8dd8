"""Reads CausalCircuit in the published layout: a data source of images that are decoded when they are asked for.

Shards stay on disk as memory maps and JPEG files are decoded in threads, so memory holds a batch and never a set. What
is damaged is named: the shard, the array, and the pair and side of an image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.data.causal_circuit.layout import KEYS, Split, check_shard, decode_jpeg, shard_files
from pyro_lcm.data.causal_circuit.program import ADJACENCY
from pyro_lcm.data.columns import Columns
from pyro_lcm.data.files import read_arrays
from pyro_lcm.data.lazy import LazyRows


class CausalCircuit:
    """Pairs of images of one split, a data source of the training driver.

    ``len(images)`` counts pairs; ``images.batch(index)`` gives ``x`` and ``x_after``, float32 in [0, 1], shape
    (B, 3, size, size). Truth never enters a batch.

    Args:
        folder: Where the shards lie.
        split: train, val or test.
        workers: Threads that decode images; by default one a core, at most 8.

    Raises:
        FileNotFoundError: If there are no shards of the split.
        ValueError: If a shard is damaged; the message names it.

    >>> from pyro_lcm.data.causal_circuit import tiny_set
    >>> images = tiny_set()
    >>> images.image_size, images.batch([0, 1])["x"].shape
    (64, torch.Size([2, 3, 64, 64]))
    """

    def __init__(self, folder: str | Path, split: Split = "train", *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: got {workers}, expected at least 1")
        self.folder, self.split = Path(folder), split
        self._workers = workers or min(8, os.cpu_count() or 1)
        self._paths = shard_files(self.folder, split)
        self._shards = [_open(path) for path in self._paths]
        self._ends = np.cumsum([len(shard["imgs"]) for shard in self._shards])
        self.image_size = self._decode(0, 0).shape[0]

    def __len__(self) -> int:
        """Number of pairs."""
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"CausalCircuit({str(self.folder)!r}, {self.split!r}): {len(self)} pairs, {self.image_size} pixels"

    def images(self, index: Sequence[int] | NDArray[Any] | Tensor) -> NDArray[np.uint8]:
        """Decode images.

        Args:
            index: Which pairs, (B,) integers.

        Returns:
            RGB, shape (B, 2, size, size, 3); the second axis is before and after.

        Raises:
            IndexError: If an index is out of range.
            ValueError: If an image is damaged; the message names shard, pair and side.
        """
        rows = np.asarray(index, dtype=np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"index: got {rows.min()} to {rows.max()}, expected 0 to {len(self) - 1}")
        return self.decoded(rows, (0, 1))

    def decoded(self, rows: NDArray[np.int64], sides: Sequence[int]) -> NDArray[np.uint8]:
        """Images (B, sides, size, size, 3) of pairs (B,) that are in range; side 0 is before, 1 after."""
        result = np.empty((len(rows), len(sides), self.image_size, self.image_size, 3), dtype=np.uint8)

        def fill(place: int) -> None:
            for at, side in enumerate(sides):
                image = self._decode(int(rows[place]), side)
                if image.shape != result.shape[2:]:
                    raise ValueError(
                        f"{self._name(int(rows[place]), side)}: got shape {image.shape}, expected "
                        f"{result.shape[2:]} as the first image"
                    )
                result[place, at] = image

        if self._workers == 1 or len(rows) < 16:
            for place in range(len(rows)):
                fill(place)
        else:
            with ThreadPoolExecutor(self._workers) as pool:  # JPEG decoding releases the interpreter's lock
                list(pool.map(fill, range(len(rows)), chunksize=16))
        return result

    def batch(self, index: Sequence[int] | NDArray[Any] | Tensor) -> dict[str, Tensor]:
        """Images as a training step sees them: ``x`` and ``x_after``, float32 in [0, 1], (B, 3, size, size)."""
        decoded = torch.from_numpy(self.images(index)).permute(1, 0, 4, 2, 3).float().div_(255)
        return {"x": decoded[0].contiguous(), "x_after": decoded[1].contiguous()}

    def truth(self) -> dict[str, Any]:
        """What is known of each pair, by the names of :class:`pyro_lcm.InterventionPairs`; small, in memory."""
        latents = self._all("original_latents")
        found = {"z": latents[:, 0], "z_after": latents[:, 1], "targets": self._all("intervention_labels")}
        if all("epsilon" in shard for shard in self._shards):
            noise = self._all("epsilon")
            found |= {"noise": noise[:, 0], "noise_after": noise[:, 1]}
        return found | {"adjacency": ADJACENCY}

    def columns(self) -> Columns:
        """Images of either side, decoded when they are asked for, and the truth: what pairs are made of."""
        return Columns({"x": _Side(self, 0), "x_after": _Side(self, 1), **self.truth()}, mapped=True)

    def _all(self, key: str) -> NDArray[Any]:
        return np.concatenate([np.asarray(shard[key]) for shard in self._shards])

    def _place(self, row: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, row, side="right"))
        return shard, row - (int(self._ends[shard - 1]) if shard else 0)

    def _name(self, row: int, side: int) -> str:
        shard, place = self._place(row)
        return f"{self._paths[shard]}: imgs[{place}, {side}]"

    def _decode(self, row: int, side: int) -> NDArray[np.uint8]:
        shard, place = self._place(row)
        try:
            return decode_jpeg(bytes(self._shards[shard]["imgs"][place, side]))
        except ValueError as error:
            raise ValueError(f"{self._name(row, side)}: {error}") from error


class _Side(LazyRows):
    """Images of one side of all pairs, channels first."""

    def __init__(self, circuit: CausalCircuit, side: int) -> None:
        super().__init__(len(circuit), (3, circuit.image_size, circuit.image_size), np.dtype(np.uint8))
        self._circuit, self._side = circuit, side

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return np.moveaxis(self._circuit.decoded(rows, (self._side,))[:, 0], -1, 1)


def _open(path: Path) -> dict[str, NDArray[Any]]:
    """Map the arrays of a shard; a compressed one, as it may have been published, is read."""
    try:
        arrays = read_arrays(path, mmap=True)
    except ValueError as error:
        if "compressed" not in str(error):
            raise ValueError(f"{path}: damaged shard ({error})") from error
        arrays = read_arrays(path, mmap=False)
    except (OSError, EOFError, IndexError) as error:
        raise ValueError(f"{path}: damaged shard ({error})") from error
    arrays = {key: arrays[key] for key in KEYS if key in arrays}
    check_shard(path, arrays)
    return arrays
