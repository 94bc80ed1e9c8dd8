"""Posterior over graphs: what an engine hands over, and the one function that runs them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    log_evidence: float | None = None
    stats: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    attrs: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.names)
        adjacency = np.asarray(self.adjacency)
        if adjacency.ndim != 4 or adjacency.shape[2:] != (size, size):
            raise ValueError(
                f"adjacency: got shape {adjacency.shape}, expected (chain, draw, {size}, {size})"
            )
        if not np.isin(adjacency, (0, 1)).all():
            raise ValueError("adjacency: holds other values than 0 and 1, expected zeros and ones")
        for name, value in {"log_score": self.log_score, **self.stats}.items():
            if np.shape(value) != adjacency.shape[:2]:
                raise ValueError(f"{name}: got shape {np.shape(value)}, expected {adjacency.shape[:2]}")
        object.__setattr__(self, "adjacency", adjacency.astype(np.int8))
