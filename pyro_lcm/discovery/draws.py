"""Draws of graphs: what every engine hands over, and how several sets of draws become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.scores import FloatArray


@dataclass(frozen=True, eq=False)
class GraphDraws:
    """Draws of graphs from one engine, before they become an ArviZ container.

    Attributes:
        adjacency: (chain, draw, d, d) int8, every draw a DAG, ``[..., parent, child]``.
        log_score: (chain, draw) log p(data | graph) of each draw, in nats.
        method: The engine: "exact", "vi" or "mcmc".
        names: The d names.
        edge_probability: (d, d) edge probabilities that are better than the mean of the draws (exact, or
            averaged in closed form), or None.
        ancestor_probability: (d, d) path probabilities [ancestor, descendant], likewise.
        log_evidence: log p(data), or a lower bound on it, or None.
        stats: Further (chain, draw) values of the sampler, for the group sample_stats.
        attrs: What else there is to say: settings, seconds, counts. Numbers and strings.

    Raises:
        ValueError: If shapes do not fit or an adjacency holds something else than 0 and 1.
    """

    adjacency: NDArray[np.int8]
    log_score: FloatArray
    method: str
    names: tuple[str, ...]
    edge_probability: FloatArray | None = None
    ancestor_probability: FloatArray | None = None
    log_evidence: float | None = None
    stats: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    attrs: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.names)
        adjacency = np.asarray(self.adjacency)
        if adjacency.ndim != 4 or adjacency.shape[2:] != (size, size):
            raise ValueError(f"adjacency: got shape {adjacency.shape}, expected (chain, draw, {size}, {size})")
        if not np.isin(adjacency, (0, 1)).all():
            raise ValueError("adjacency: holds other values than 0 and 1, expected zeros and ones")
        for name, value in {"log_score": self.log_score, **self.stats}.items():
            if np.shape(value) != adjacency.shape[:2]:
                raise ValueError(f"{name}: got shape {np.shape(value)}, expected {adjacency.shape[:2]}")
        for name in ("edge_probability", "ancestor_probability"):
            known = getattr(self, name)
            if known is not None and np.shape(known) != (size, size):
                raise ValueError(f"{name}: got shape {np.shape(known)}, expected ({size}, {size})")
        object.__setattr__(self, "adjacency", adjacency.astype(np.int8))


def combine_draws(parts: Sequence[GraphDraws], along: Literal["chain", "draw"]) -> GraphDraws:
    """Put sets of draws of the same variables together.

    Along chains, for models that were fitted independently: whether they agree then shows in r_hat. Along
    draws, for a mixture of posteriors such as those given several draws of uncertain targets.

    Args:
        parts: The sets, equal in the other dimension, from one engine.
        along: "chain" or "draw".

    Returns:
        All draws; edge probabilities are averaged where every part has them, each part weighing the same. An
        evidence belongs to one data set, so it is dropped unless there is one part. Of attributes that say how far
        draws can be trusted the worst is kept.

    Raises:
        ValueError: If there are no parts, or they differ in names, engine or shape.

    Example:
        >>> part = GraphDraws(np.zeros((1, 5, 2, 2)), np.zeros((1, 5)), "exact", ("a", "b"))
        >>> combine_draws([part, part], "chain").adjacency.shape
        (2, 5, 2, 2)
    """
    if along not in ("chain", "draw"):
        raise ValueError(f"along: got {along!r}, expected 'chain' or 'draw'")
    if not parts:
        raise ValueError("parts: got none, expected at least one")
    first, axis = parts[0], 0 if along == "chain" else 1
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        if part.names != first.names or part.method != first.method:
            raise ValueError(
                f"parts: got {part.method} of {part.names} beside {first.method} of {first.names}, "
                "expected the same engine and names"
            )
        if part.adjacency.shape[1 - axis] != first.adjacency.shape[1 - axis]:
            shapes = [p.adjacency.shape[:2] for p in parts]
            raise ValueError(f"parts: got (chain, draw) {shapes}, expected to differ only along {along}s")
    shared = set(first.stats).intersection(*(part.stats for part in parts))
    return GraphDraws(
        adjacency=np.concatenate([part.adjacency for part in parts], axis=axis),
        log_score=np.concatenate([part.log_score for part in parts], axis=axis),
        method=first.method,
        names=first.names,
        edge_probability=_average([part.edge_probability for part in parts]),
        ancestor_probability=_average([part.ancestor_probability for part in parts]),
        stats={name: np.concatenate([p.stats[name] for p in parts], axis=axis) for name in sorted(shared)},
        attrs={
            "parts": len(parts),
            "along": along,
            **{
                name: worst(float(part.attrs[name]) for part in parts)
                for name, worst in (("missed_edges", max), ("candidates", min), ("efficiency", min))
                if all(name in part.attrs for part in parts)
            },
        },
    )


def _average(probabilities: Sequence[FloatArray | None]) -> FloatArray | None:
    known = [p for p in probabilities if p is not None]
    return np.mean(known, axis=0) if len(known) == len(probabilities) else None
