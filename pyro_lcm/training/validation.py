"""Validation: the mean of the objective over held-out data, which leaves the training as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyro_lcm.process.random_state import isolated
from pyro_lcm.training.monitor import widest
from pyro_lcm.training.sources import PlacedSource

__all__ = ["split_output", "validate"]


def split_output(output: object) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return loss and metrics of what an objective returned.

    Raises:
        ValueError: If it is neither a scalar tensor nor a pair of one and a mapping of scalar tensors.
    """
    loss, metrics = output if isinstance(output, tuple) and len(output) == 2 else (output, {})
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(f"objective: expected a scalar loss or (loss, metrics), got {shape}")
    if not isinstance(metrics, Mapping):
        raise ValueError(f"objective: expected a mapping of metrics, got {type(metrics).__name__}")
    return loss, metrics


def validate(
    objective: nn.Module,
    source: PlacedSource,
    settings: Mapping[str, Any],
    *,
    seed: int,
    batch_size: int,
    precision: Any,
    rank: int = 0,
    processes: int = 1,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Return the means over all items of the loss and the metrics, in eval mode and without gradients.

    Batches are weighted by their items. The random generators are seeded by ``seed`` and restored afterwards,
    so that validations see the same draws and training sees none of it; each module's mode is restored too.

    Args:
        objective: The module that training optimises.
        source: The held-out data.
        settings: Keyword arguments of the objective.
        seed: Seed of the draws.
        batch_size: Items at a time, which bounds the memory.
        precision: Fabric's precision plugin.
        rank: Number of this process, which takes every ``processes``-th item.
        processes: Number of processes.
        reduce: Sums a tensor over processes.
    """
    size = len(source)
    rows = torch.arange(rank, size, processes, device=source.index_device)
    modes = [(module, module.training) for module in objective.modules()]
    totals: dict[str, list[Tensor]] = {}
    objective.eval()
    try:
        with isolated(seed, source.device), torch.no_grad(), precision.forward_context():
            for index in rows.split(batch_size):
                tensors = precision.convert_input(source.batch(index))
                output = objective(tensors, size=size, index=index.to(source.device), **settings)
                loss, metrics = split_output(output)
                for name, value in {"loss": loss, **metrics}.items():
                    totals.setdefault(name, []).append(value.detach() * len(index))
    finally:
        for module, mode in modes:
            module.training = mode
    sums = torch.stack(
        [torch.stack(values).sum().to(source.device, widest(source.device)) for values in totals.values()]
    )
    means = (reduce(sums) if reduce else sums) / size
    return dict(zip(totals, means.tolist(), strict=True))
