"""What the hooks of recipes begin with: a sample of pairs, their encodings, and the targets that the guide infers.

A hook is the ``start`` of a phase: called once as ``hook(objective, source, seed)``, without gradients, and
deterministic given the seed. None sees anything but pairs of observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_lcm.causal.subsets import as_hit, single_target
from pyro_lcm.training.sources import DataSource, PlacedSource

_ROWS = 8192
"""Pairs that are encoded at a time."""


def sample_pairs(source: DataSource, number: int, seed: int) -> dict[str, Tensor]:
    """At most ``number`` pairs of a source, a fixed random choice."""
    size = len(source)
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(size, generator=generator)[:number].sort().values
    return dict(source.batch(index))


def encode_in_chunks(encoder: torch.nn.Module, x: Tensor) -> Tensor:
    """Means of the encoder for (N, ...) observations, (N, d)."""
    return torch.cat([encoder(part)[0] for part in x.split(_ROWS)])


def encode_sides(encoder: torch.nn.Module, pairs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Means of the encoder for ``x`` and ``x_after``, (N, d) each."""
    return encode_in_chunks(encoder, pairs["x"]), encode_in_chunks(encoder, pairs["x_after"])


def encode_pairs(guide: Any, pairs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Noise encodings before and after, (N, d) each, and targets by :func:`hard_targets`, (N,).

    Args:
        guide: with an ``encoder`` and a ``target_encoder``.
        pairs: ``x`` and ``x_after``, (N, ...), and ``targets`` where some are known.
    """
    before, after = encode_sides(guide.encoder, pairs)
    return before, after, hard_targets(guide, before, after, pairs.get("targets"))


@dataclass(frozen=True)
class EncodeOnce:
    """What an encoder that a phase freezes makes of every pair, as columns of its data.

    Its flow takes most of a step, and is run once for each pair in place of once in each step. Pairs that are read a
    batch at a time because they are larger than memory stay as they are, and so do the steps.

    Attributes:
        rows: pairs at a time.

    Raises:
        ValueError: if the encoder is being trained.
    """

    rows: int = _ROWS

    def __call__(self, objective: Any, source: PlacedSource) -> PlacedSource:
        """The source with the columns that ``encoder.passes`` reads."""
        encoder = objective.guide.encoder
        trained = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
        if trained:
            raise ValueError(f"freeze: {trained[0]!r} of the encoder is trained, expected all of it to be frozen")
        if not source.in_memory:
            return source
        parts = []
        for index in torch.arange(len(source)).split(self.rows):
            batch = source.batch(index)
            both = {side: encoder.columns(batch[side]) for side in ("x", "x_after")}
            parts.append({f"{name}{side[1:]}": value for side, named in both.items() for name, value in named.items()})
        return source.with_columns({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def hard_targets(guide: Any, before: Tensor, after: Tensor, known: Tensor | None) -> Tensor:
    """The most probable target of each pair, or the known one, (N,) long; -1 where there are several.

    Args:
        guide: with a ``target_encoder``.
        before: (N, d) noise encodings before.
        after: (N, d) noise encodings after.
        known: (N,) or (N, d) long, known targets, -1 for unknown; None if none is.
    """
    encoder, dim = guide.target_encoder, before.shape[1]
    redrawn = encoder.hypotheses()[encoder(after - before).argmax(-1)]
    target = single_target(redrawn.long(), dim)
    if known is None:
        return target
    return torch.where(as_hit(known, dim)[1], single_target(known, dim), target)
