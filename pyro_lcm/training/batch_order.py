"""The order of batches: which rows make up a step, as a pure function of the seed and the step.

Epochs are random permutations joined end to end, and a step takes the next ``batch_size`` rows. All batches
have one size, each row comes once an epoch, and step t can be recomputed without the steps before it, which
is what an exact resume needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_lcm.process.random_state import derive_seed

__all__ = ["BatchOrder"]


class BatchOrder:
    """Rows of each step.

    Args:
        size: Number N of items.
        batch_size: Items in a step over all processes; more than N are taken as N.
        seed: Seed of the permutations.
        rank: Number of this process.
        processes: Number of processes; each takes an equal slice of the batch.
        device: Where the indices are wanted.

    Raises:
        ValueError: If the batch cannot be divided equally among the processes.

    >>> order = BatchOrder(4, 2, seed=0)
    >>> sorted([*order.index(0).tolist(), *order.index(1).tolist()])
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        device: torch.device | None = None,
    ) -> None:
        largest = size - size % processes
        if batch_size % processes or largest == 0:
            raise ValueError(
                f"batch_size: expected a multiple of the {processes} processes, which the {size} items"
                f" can fill; got {batch_size}"
            )
        self.size = size
        self.batch_size = min(batch_size, largest)
        self.seed = seed
        self._share = self.batch_size // processes
        self._offset = rank * self._share
        self._device = device or torch.device("cpu")
        self._all_rows = torch.arange(size, device=self._device)
        self._epoch = -1
        self._permutation = self._all_rows

    def index(self, step: int) -> Tensor:
        """Return the rows (B,) that this process takes in step 0, 1, ...; a LongTensor."""
        if self.batch_size == self.size:  # every step takes all the rows, so their order does not matter
            return self._all_rows[self._offset : self._offset + self._share]
        epoch, first = divmod(step * self.batch_size + self._offset, self.size)
        last = first + self._share
        rows = self._rows(epoch)[first:last]
        if last <= self.size:
            return rows
        return torch.cat([rows, self._rows(epoch + 1)[: last - self.size]])

    def _rows(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
            self._permutation = torch.randperm(self.size, generator=generator).to(self._device)
            self._epoch = epoch
        return self._permutation
