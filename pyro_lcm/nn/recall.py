"""Passes of a network that model and guide share.

Where the decoder is the inverse of the encoder, one pass of their flow gives the guide its means and the model its
density. Neither program knows of the other: each asks :func:`once` for the image, and :class:`Recall`, put on from
outside for the length of a step, hands out what it has seen. Without it every question is a pass of its own, and the
answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import effectful
from torch import Tensor

Image = TypeVar("Image", Tensor, tuple[Tensor, Tensor])
"""Values (..., d), or what a flow gives: values and log absolute determinants (...)."""


@effectful(type="once")
def once(network: Callable[[Tensor], Image], value: Tensor) -> Image:
    """``network(value)``; inside :class:`Recall` the same network is run on the same tensor once.

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
    return network(value)


@effectful(type="both")
def both(x: Tensor, x_after: Tensor) -> Tensor:
    """The two sides of pairs one after the other, (2 pairs, ...); inside :class:`Recall` its halves are known too."""
    return torch.cat([x, x_after])


@effectful(type="tolerance")
def tolerance_of_decoder() -> Tensor | None:
    """The tolerance t, a scalar, where x is taken as exactly what the encoder undoes but for t; None elsewhere.

    Then q(e | x) = N(u / (1 + t^2), t^2 / (1 + t^2)) with u = flow(code(x)), whatever spread an encoder has learned.
    """
    return None


def exact_posterior(image: Tensor, tolerance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (..., d) each, of e ~ N(0, 1)^d given u = e + t eta.

    Args:
        image: u, (..., d).
        tolerance: t, a scalar.
    """
    share = 1 / (1 + tolerance.square())
    return image * share, (tolerance * share.sqrt()).expand_as(image)


class Recall(Messenger):
    """Remember what :func:`once` computes, until the context ends."""

    def __init__(self) -> None:
        super().__init__()
        # Arguments are kept beside what they gave, so that no other object takes over their identity.
        self._seen: dict[tuple[int, int], tuple[Any, Tensor, Any]] = {}
        self._halves: dict[int, tuple[Tensor, Tensor, int]] = {}
        self._wholes: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]] = {}

    def __exit__(self, *args: Any) -> Any:
        self._seen.clear()
        self._halves.clear()
        self._wholes.clear()
        return super().__exit__(*args)

    def know(self, sides: tuple[Tensor, Tensor], passes: Sequence[tuple[Any, Image]]) -> None:
        """Take over what networks have made of both sides of pairs before, the second of what the first gave, ...

        Args:
            sides: x and x~, (pairs, ...) each.
            passes: each network, and what it gives for both sides one after the other, 2 pairs rows.
        """
        value: Tensor = torch.cat(sides)
        self._wholes[id(sides[0]), id(sides[1])] = (*sides, value)
        for side, part in enumerate(sides):
            self._halves[id(part)] = (part, value, side)
        for network, image in passes:
            self._seen[id(network), id(value)] = (network, value, image)
            value = image if isinstance(image, Tensor) else image[0]

    def _pyro_both(self, msg: dict[str, Any]) -> None:
        known = self._wholes.get((id(msg["args"][0]), id(msg["args"][1])))
        if known is not None:
            msg["value"], msg["done"] = known[2], True

    def _pyro_once(self, msg: dict[str, Any]) -> None:
        network, value = msg["args"]
        known = self._seen.get((id(network), id(value)))
        if known is not None:
            msg["value"], msg["done"] = known[2], True
        elif id(value) in self._halves:
            _, whole, side = self._halves[id(value)]
            known = self._seen.get((id(network), id(whole)))
            if known is not None:
                msg["value"], msg["done"] = self._half(known[2], side), True

    def _half(self, image: Any, side: int) -> Any:
        """One side of an image of both, of which further images are halves too."""
        if not isinstance(image, Tensor):
            return tuple(part.chunk(2)[side] for part in image)
        part = image.chunk(2)[side]
        self._halves[id(part)] = (part, image, side)
        return part

    def _pyro_post_once(self, msg: dict[str, Any]) -> None:
        network, value = msg["args"]
        self._seen[id(network), id(value)] = (network, value, msg["value"])

    def _pyro_post_both(self, msg: dict[str, Any]) -> None:
        for side, part in enumerate(msg["args"]):
            self._halves[id(part)] = (part, msg["value"], side)


def flow_columns(flow: Callable[[Tensor], tuple[Tensor, Tensor]], code: Tensor) -> dict[str, Tensor]:
    """What a flow makes of codes (N, d), to be kept: ``image`` (N, d) and ``log_det`` (N,)."""
    image, log_det = flow(code)
    return {"image": image, "log_det": log_det}


def sides_of(columns: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    """Columns of both sides of pairs, the one side after the other, (2 pairs, ...) each."""
    return [torch.cat([columns[name], columns[f"{name}_after"]]) for name in names]
