"""Tables of observed variables with a known graph, sound ones and ones that break what a score assumes.

Rows of a structural causal model on a random graph, Erdos-Renyi or scale-free (Barabasi & Albert, Science 1999), with
weights of either sign from U(.5, 2); half the rows under interventions where they are asked for. A *kind* says what
else holds; :data:`SOUND` kinds keep to what a score of linear Gaussian (or nonlinear Gaussian) mechanisms assumes, each
of the others breaks one assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery import GraphData
from pyro_lcm.discovery.scores import BoolArray, FloatArray

Shape = Literal["er", "scale_free"]

SOUND = ("gaussian", "unequal", "sines", "do_gaussian", "do_soft_declared")
MISFITS = (
    "heavy",
    "skewed",
    "bent",
    "squares",
    "scaled_noise",
    "confounded",
    "do_soft",
    "do_elsewhere",
    "do_confounded",
)
KINDS = (*SOUND, *MISFITS)
"""gaussian: noise N(0, 1). unequal: standard deviations from .3 to 3. sines: mechanisms bend, for the nonlinear score.
do_gaussian: half the rows under perfect interventions on one variable each. do_soft_declared: weakened mechanisms, and
declared so. Misfits: heavy, noise t(3); skewed, exponential noise; bent and squares, nonlinear mechanisms under a
linear score; scaled_noise, noise whose scale depends on the parents; confounded, a hidden common cause of three
variables; do_soft, interventions that weaken a mechanism, declared perfect; do_elsewhere, those that change another
variable, too; do_confounded, perfect interventions on variables with a hidden common cause.
"""


@dataclass(frozen=True, eq=False)
class SimulatedTable:
    """A table and its truth.

    Attributes:
        data: The rows.
        adjacency: (d, d) true graph [parent, child] of the observed variables.
        kind: Which of :data:`KINDS`.
    """

    data: GraphData
    adjacency: NDArray[np.int8]
    kind: str

    @property
    def sound(self) -> bool:
        """Whether a score keeps its assumptions."""
        return self.kind in SOUND

    @property
    def score(self) -> str:
        """The score that the kind is about: nonlinear for sines, else bge."""
        return "nonlinear" if self.kind == "sines" else "bge"


def random_graph(size: int, edges_per_node: float, shape: Shape, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw a DAG [parent, child] with about ``edges_per_node * size`` edges, variables in random order."""
    graph = np.zeros((size, size), dtype=np.int8)
    if shape == "er":
        graph[np.triu(rng.random((size, size)) < min(1.0, 2 * edges_per_node / max(1, size - 1)), 1)] = 1
    else:
        each = max(1, round(edges_per_node))
        for child in range(1, size):
            degree = graph[:child].sum(axis=1) + graph[:, :child].sum(axis=0) + 1.0
            number = min(child, each)
            graph[rng.choice(child, number, replace=False, p=degree / degree.sum()), child] = 1
        graph = graph if rng.random() < 0.5 else graph[::-1, ::-1].T  # hubs that are causes, hubs that are effects
    order = rng.permutation(size)
    return graph[np.ix_(order, order)]


def simulate_table(
    kind: str,
    size: int,
    rows: int,
    seed: int,
    *,
    edges_per_node: float = 1.0,
    shape: Shape = "er",
) -> SimulatedTable:
    """Draw a system and a table of it.

    Args:
        kind: Which of :data:`KINDS`.
        size: Number of observed variables d, at least 4.
        rows: Number of rows N.
        seed: Of everything.
        edges_per_node: Expected number of edges divided by d.
        shape: "er" or "scale_free".

    Returns:
        The table.

    Raises:
        ValueError: If the kind is unknown.

    Example:
        >>> table = simulate_table("do_gaussian", 5, 100, seed=0)
        >>> table.data.values.shape, table.sound, int(table.data.targets.sum())
        ((100, 5), True, 50)
    """
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng(seed)
    graph = random_graph(size, edges_per_node, shape, rng)
    weights = graph * rng.uniform(0.5, 2.0, (size, size)) * rng.choice((-1.0, 1.0), (size, size))
    scale = np.exp(rng.uniform(np.log(0.3), np.log(3.0), size)) if kind == "unequal" else np.ones(size)
    hidden = np.zeros(size)
    if kind in ("confounded", "do_confounded"):
        chosen = rng.choice(size, 3, replace=False)
        hidden[chosen] = rng.uniform(0.5, 2.0, 3) * rng.choice((-1.0, 1.0), 3)
    target = np.zeros(rows, dtype=np.int64)
    if kind.startswith("do_"):
        target[rows // 2 :] = 1 + np.arange(rows - rows // 2) % size
    noise = _noise(kind, rows, size, rng) * scale + rng.normal(size=(rows, 1)) * hidden
    values = _rows(kind, graph, weights, noise, target, rng)
    shuffled = rng.permutation(rows)
    settings: dict[str, Any] = {"targets": target[shuffled]} if target.any() else {}
    if kind == "do_soft_declared":
        settings |= {"imperfect": True, "regimes": target[shuffled]}
    return SimulatedTable(GraphData(values[shuffled], **settings), graph, kind)


def _noise(kind: str, rows: int, size: int, rng: np.random.Generator) -> FloatArray:
    if kind == "heavy":
        return np.asarray(rng.standard_t(3, (rows, size)) / np.sqrt(3.0))
    if kind == "skewed":
        return rng.exponential(size=(rows, size)) - 1.0
    return rng.normal(size=(rows, size))


def _rows(
    kind: str,
    graph: NDArray[np.int8],
    weights: FloatArray,
    noise: FloatArray,
    target: NDArray[np.int64],
    rng: np.random.Generator,
) -> FloatArray:
    """Values, parents before children; what an intervention does to its target, and elsewhere."""
    rows, size = noise.shape
    values = np.zeros((rows, size))
    order = rng.permutation(size)
    beside = np.empty(size, dtype=np.int64)  # the other variable that an intervention changes, for do_elsewhere
    beside[order] = np.roll(order, 1)
    left, placed = list(range(size)), np.zeros(size, dtype=bool)
    while left:
        child = next(j for j in left if not (graph[:, j] == 1)[~placed].any())
        left.remove(child)
        placed[child] = True
        parents = np.flatnonzero(graph[:, child])
        hit: BoolArray = target == child + 1
        mean = _mean(kind, values[:, parents], weights[parents, child])
        own = noise[:, child]
        if kind == "scaled_noise" and len(parents):
            own = own * np.exp(0.8 * np.clip(_standard(values[:, parents[0]]), -2, 2))
        if kind in ("do_soft", "do_soft_declared"):
            values[:, child] = np.where(hit, 0.4 * mean + 2.0, mean) + own
            continue
        values[:, child] = np.where(hit, 2.0 * rng.normal(size=rows), mean + own)
        if kind == "do_elsewhere":
            also = (target > 0) & (beside[target - 1] == child) & ~hit
            values[also, child] += 2.0
    return values


def _mean(kind: str, parents: FloatArray, weights: FloatArray) -> FloatArray:
    if kind in ("sines", "bent"):
        return np.asarray(2.0 * np.sin(1.5 * _standard(parents)) @ np.sign(weights))
    if kind == "squares":
        return np.asarray((_standard(parents) ** 2 - 1.0) @ weights)
    return np.asarray(parents @ weights)


def _standard(values: FloatArray) -> FloatArray:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
