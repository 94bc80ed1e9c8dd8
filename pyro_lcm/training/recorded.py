"""The gradients of a step as one CUDA graph, recorded once and replayed.

A step of small networks is a thousand kernels of a few microseconds each, which the host starts one after another for
longer than they run. A graph of them is started at once
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). It does what the recorded step did, at the same
addresses and with new random numbers: what changes from step to step has to come with the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

__all__ = ["Gradients", "recorded"]

Gradients = Callable[[Tensor, float], Mapping[str, Tensor]]
"""From the rows (B,) of a step and the progress of its phase, 0 to 1, to its loss and metrics; its gradient is in the
``grad`` of the parameters afterwards."""

_WARM_UP = 3
_LOG = logging.getLogger(__name__)


def recorded(gradients: Gradients, index: Tensor, parameters: Iterable[Parameter]) -> Gradients:
    """Record a step on the GPU that ``index`` is on.

    Args:
        gradients: the step; it must not wait for the device, and do the same for all rows at any progress.
        index: (B,) rows to record it with; later ones are as many.
        parameters: those whose ``grad`` it sets.

    Returns:
        A step that replays the recorded one; or the step as it is, with a warning, if it cannot be recorded. The random
        numbers drawn meanwhile are drawn again later.
    """
    rows, held = index.clone(), list(parameters)
    state = torch.cuda.get_rng_state(index.device)
    graph = torch.cuda.CUDAGraph()
    try:
        side = torch.cuda.Stream(index.device)
        side.wait_stream(torch.cuda.current_stream(index.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                _forget(held)
                gradients(rows, 0.0)
        torch.cuda.current_stream(index.device).wait_stream(side)
        _forget(held)
        with torch.cuda.graph(graph):
            values = gradients(rows, 0.0)
    except RuntimeError as error:
        torch.cuda.synchronize(index.device)
        _forget(held)
        _LOG.warning(
            "A step could not be recorded as a CUDA graph and is taken as it is: %s", str(error).split("\n")[0]
        )
        return gradients
    finally:
        torch.cuda.set_rng_state(state, index.device)
    left = [parameter.grad for parameter in held]

    def replay(index: Tensor, _: float) -> Mapping[str, Tensor]:
        rows.copy_(index)
        graph.replay()
        for parameter, grad in zip(held, left, strict=True):
            parameter.grad = grad
        return {name: value.clone() for name, value in values.items()}

    return replay


def _forget(parameters: Iterable[Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None
