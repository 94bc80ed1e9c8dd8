"""Passes of a network that model and guide share.

Where the decoder is the inverse of the encoder, one pass of their flow gives the guide its means and the model its
density. Neither program knows of the other: each asks :func:`once` for the image, and :class:`Recall`, put on from
outside for the length of a step, hands out what it has seen. Without it every question is a pass of its own, and the
answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import effectful
from torch import Tensor

Image = tuple[Tensor, Tensor]
"""What a flow gives: images (..., d) and log absolute determinants (...)."""


@effectful(type="once")
def once(flow: Callable[[Tensor], Image], value: Tensor) -> Image:
    """``flow(value)``; inside :class:`Recall` the same flow is run on the same tensor once.

    Example:
        >>> import torch
        >>> calls = []
        >>> def flow(value):
        ...     calls.append(1)
        ...     return value + 1, value.new_zeros(())
        >>> x = torch.zeros(2)
        >>> with Recall():
        ...     same = once(flow, x)[0] is once(flow, x)[0]
        >>> same, len(calls)
        (True, 1)
    """
    return flow(value)


@effectful(type="both")
def both(x: Tensor, x_after: Tensor) -> Tensor:
    """The two sides of pairs one after the other, (2 pairs, ...); inside :class:`Recall` its halves are known too."""
    return torch.cat([x, x_after])


class Recall(Messenger):
    """Remember the images that :func:`once` computes, until the context ends."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[int, int], tuple[Any, Tensor, Image]] = {}
        self._halves: dict[int, tuple[Tensor, Tensor, int]] = {}

    def __exit__(self, *args: Any) -> Any:
        self._seen.clear()
        self._halves.clear()
        return super().__exit__(*args)

    def _pyro_once(self, msg: dict[str, Any]) -> None:
        flow, value = msg["args"]
        known = self._seen.get((id(flow), id(value)))
        image = None if known is None else known[2]
        if image is None and id(value) in self._halves:
            _, whole, side = self._halves[id(value)]
            known = self._seen.get((id(flow), id(whole)))
            if known is not None:
                points, log_det = (part.chunk(2)[side] for part in known[2])
                image = points, log_det
        if image is not None:
            msg["value"], msg["done"] = image, True

    # Arguments are kept beside what they gave, so that no other object takes over their identity.

    def _pyro_post_once(self, msg: dict[str, Any]) -> None:
        flow, value = msg["args"]
        self._seen[id(flow), id(value)] = (flow, value, msg["value"])

    def _pyro_post_both(self, msg: dict[str, Any]) -> None:
        for side, part in enumerate(msg["args"]):
            self._halves[id(part)] = (part, msg["value"], side)
