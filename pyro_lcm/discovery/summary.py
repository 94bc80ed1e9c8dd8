"""What a posterior over graphs says, with the error of saying it from draws."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.discovery.arviz_compat import Container, group, group_names
from pyro_lcm.discovery.diagnostics import BinaryDiagnostics, binary_diagnostics
from pyro_lcm.discovery.equivalence import EquivalenceClass, equivalence_classes
from pyro_lcm.discovery.scores import FloatArray
from pyro_lcm.frames import shown_in_notebook

if TYPE_CHECKING:
    import pandas as pd

_LINE = 100
_NAMED_TARGET = 0.05
EDGE_COLUMNS = ("parent", "child", "probability", "mcse", "ess", "r_hat", "path_probability", "adjacent", "direction")
"""Columns of a table of edges."""


@dataclass(frozen=True, eq=False)
class RankedGraph:
    """One of the most probable graphs.

    Attributes:
        adjacency: (d, d) int8.
        probability: Its posterior mass.
    """

    adjacency: NDArray[np.int8]
    probability: float


@dataclass(frozen=True)
class TruthComparison:
    """A posterior over graphs against the true graph.

    Attributes:
        expected_shd: Mean structural Hamming distance of a draw to the truth; a reversed edge counts once.
        auroc: Area under the ROC curve of edge probabilities, off-diagonal entries; nan if the truth has
            no edge or all.
        auprc: Average precision of edge probabilities; nan likewise.
        expected_f1: Mean F1 of the edges of a draw, direction included.
        f1: F1 of the edges with probability above one half.
    """

    expected_shd: float
    auroc: float
    auprc: float
    expected_f1: float
    f1: float


@dataclass(frozen=True, eq=False, repr=False)
class GraphSummary:
    """Summary of a posterior over graphs.

    Attributes:
        names: The d names.
        method: The engine.
        edges: (d, d) diagnostics of edges [parent, child]. Where the engine knows the probabilities better
            than by counting draws, they are the engine's; the mcse is then that of counting, an upper bound,
            and 0 for the exact engine.
        paths: (d, d) diagnostics of directed paths [ancestor, descendant], likewise.
        top: Most probable graphs, first the most probable.
        entropy: Entropy of the posterior in nats: exact normaliser minus mean log weight for the exact
            engine, else that of the distinct draws with the correction of Miller and Madow, which is too low
            when most draws are distinct.
        distinct: Number of distinct graphs among the draws.
        expected_edges: Expected number of edges.
        truth: Comparison with the true graph, if it was given.
        classes: Most probable classes of graphs that rows with these targets cannot tell apart; from
            the draws, exact only where single graphs' masses are and all members were drawn.
        targets: Of each condition with unknown targets, the probability that a variable was one, the most probable
            first, down to .05.
    """

    names: tuple[str, ...]
    method: str
    edges: BinaryDiagnostics
    paths: BinaryDiagnostics
    top: tuple[RankedGraph, ...]
    entropy: float
    distinct: int
    expected_edges: float
    truth: TruthComparison | None = None
    classes: tuple[EquivalenceClass, ...] = ()
    targets: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)

    @property
    def adjacent(self) -> FloatArray:
        """(d, d) probability that two variables are adjacent, one way or the other; symmetric."""
        return np.asarray(np.minimum(1.0, self.edges.probability + self.edges.probability.T))

    @property
    def direction(self) -> FloatArray:
        """(d, d) probability of an edge from the first to the second, given that they are adjacent; nan if never."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.edges.probability / (self.edges.probability + self.edges.probability.T))

    @property
    def is_spread_out(self) -> bool:
        """Whether no graph was drawn twice, so that masses of single graphs say nothing; never where they are exact."""
        return self.method != "exact" and self.distinct > 1 and self.top[0].probability * self.distinct < 1 + 1e-9

    @property
    def _classes_say_nothing(self) -> bool:
        return not self.classes or (self.is_spread_out and self.classes[0].graphs == 1)

    def __repr__(self) -> str:
        best = self.top[0]
        return (
            f"GraphSummary(variables={list(self.names)}, method={self.method!r},"
            f" {self.expected_edges:.2f} edges expected, most probable graph {best.probability:.3f})"
        )

    def _repr_html_(self) -> str:
        notes = (f"expected edges {self.expected_edges:.2f}, entropy {self.entropy:.2f} nats",)
        return shown_in_notebook(f"Posterior over graphs ({self.method})", self.to_dataframe(), notes)

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each possible edge, the most probable first.

        Columns ``parent``, ``child``, ``probability``, ``mcse``, ``ess``, ``r_hat``, ``path_probability``, ``adjacent``
        (of an edge one way or the other) and ``direction`` (this way, given that there is one).
        """
        import pandas as pd

        edges = self.edges
        known = (edges.probability, edges.mcse, edges.ess, edges.r_hat, self.paths.probability)
        tables = (*known, self.adjacent, self.direction)
        cells = np.argwhere(~np.eye(len(self.names), dtype=bool)).tolist()
        rows = [(self.names[i], self.names[j], *(float(numbers[i, j]) for numbers in tables)) for i, j in cells]
        frame = pd.DataFrame(rows, columns=list(EDGE_COLUMNS))
        return frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)

    def to_text(self, *, most: int = 20) -> str:
        """Render as a plain-text table.

        Args:
            most: Most edges that are listed, the most probable first, and most edges of a listed graph.

        Returns:
            Several lines.
        """
        order = np.argsort(-self.edges.probability, axis=None, kind="stable")
        width = max(len("edge"), *(len(a) + len(b) + 4 for a in self.names for b in self.names))
        lines = [f"{'edge':<{width}}  prob   mcse   ess     r_hat  path   adj    dir"]
        adjacent, direction = self.adjacent, self.direction
        shown = 0
        for flat in order:
            parent, child = np.unravel_index(flat, self.edges.probability.shape)
            if parent == child or shown == most:
                continue
            shown += 1
            cell = (parent, child)
            lines.append(
                f"{f'{self.names[parent]} -> {self.names[child]}':<{width}}  "
                f"{self.edges.probability[cell]:.3f}  {self.edges.mcse[cell]:.3f}  "
                f"{self.edges.ess[cell]:<6.0f}  {self.edges.r_hat[cell]:.3f}  "
                f"{self.paths.probability[cell]:.3f}  {adjacent[cell]:.3f}  {direction[cell]:.2f}"
            )
        lines.append("prob: of the edge; path: of a directed path; adj: of an edge one way or the other; dir: that")
        lines.append("it is this way; mcse, ess, r_hat: error, effective number and agreement of the draws")
        bound = "at least " if self.is_spread_out else ""
        lines.append(f"expected edges {self.expected_edges:.2f}, entropy {bound}{self.entropy:.2f} nats")
        if self.is_spread_out:
            lines.append(f"no graph was drawn twice in {self.distinct} draws: none has a mass worth naming")
        for rank, graph in enumerate(() if self.is_spread_out else self.top, start=1):
            edges = [f"{self.names[a]} -> {self.names[b]}" for a, b in zip(*np.nonzero(graph.adjacency), strict=True)]
            named = edges if len(edges) <= most else [*edges[:most], f"and {len(edges) - most} more"]
            text = f"graph {rank} has mass {graph.probability:.3f}: {', '.join(named) or 'no edges'}"
            lines += textwrap.wrap(text, _LINE, subsequent_indent="    ", break_long_words=False)
        for rank, found in enumerate(() if self._classes_say_nothing else self.classes[:3], start=1):
            edges = _edge_texts(found.completed, self.names)
            named = edges if len(edges) <= most else [*edges[:most], f"and {len(edges) - most} more"]
            text = f"class {rank} has mass {found.probability:.3f}: {', '.join(named) or 'no edges'}"
            lines += textwrap.wrap(text, _LINE, subsequent_indent="    ", break_long_words=False)
        for condition, chances in self.targets.items():
            said = ", ".join(f"{name} {chance:.2f}" for name, chance in chances[:most]) or "none"
            text = f"changed in condition {condition}: {said}"
            lines += textwrap.wrap(text, _LINE, subsequent_indent="    ", break_long_words=False)
        if self.truth is not None:
            known = self.truth
            lines.append(
                f"against the truth: expected SHD {known.expected_shd:.2f}, AUROC {known.auroc:.3f}, "
                f"AUPRC {known.auprc:.3f}, expected F1 {known.expected_f1:.3f}, F1 {known.f1:.3f}"
            )
        return "\n".join(lines)


def graph_summary(container: Container, *, truth: ArrayLike | None = None, top: int = 5) -> GraphSummary:
    """Summarise a posterior over graphs.

    Args:
        container: What `graph_posterior` returned.
        truth: (d, d) true adjacency [parent, child], if known.
        top: Number of most probable graphs.

    Returns:
        The summary.

    Raises:
        ValueError: If the container has no adjacency, or truth is not an adjacency matrix of its size.

    Example:
        >>> from pyro_lcm.discovery.posterior import graph_posterior
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> summary = graph_summary(graph_posterior(x, draws=100))
        >>> summary.edges.probability.round(2).tolist()
        [[0.0, 0.07], [0.07, 0.0]]
        >>> summary.top[0].adjacency.tolist(), round(summary.top[0].probability, 2)
        ([[0, 0], [0, 0]], 0.85)
    """
    posterior = group(container, "posterior")
    if "adjacency" not in posterior:
        raise ValueError(f"container: posterior has {list(posterior)}, expected 'adjacency' among them")
    adjacency = posterior["adjacency"].transpose("chain", "draw", "parent", "child").values.astype(np.int8)
    names = tuple(str(name) for name in posterior["parent"].values)
    exact = str(container.attrs.get("method", "")) == "exact"
    walker = _walkers(container)
    edges, paths = _pairs(adjacency, walker), _pairs(posterior["ancestors"].values, walker)
    if "constant_data" in group_names(container):
        known = group(container, "constant_data")
        edges = _with_known(edges, known.get("edge_probability"), exact)
        paths = _with_known(paths, known.get("ancestor_probability"), exact)
    flat = adjacency.reshape(-1, *adjacency.shape[2:])
    log_probability = _exact_log_probability(container)
    graphs, first, counts = np.unique(flat.reshape(len(flat), -1), axis=0, return_index=True, return_counts=True)
    if log_probability is None:
        mass = counts / len(flat)
        entropy = -float(mass @ np.log(mass)) + (len(graphs) - 1) / (2 * len(flat))
    else:
        mass = np.exp(log_probability[first])
        entropy = -float(log_probability.mean())
    best = np.argsort(-mass, kind="stable")[:top]
    return GraphSummary(
        names=names,
        method=str(container.attrs.get("method", "")),
        edges=edges,
        paths=paths,
        top=tuple(RankedGraph(graphs[i].reshape(adjacency.shape[2:]), float(mass[i])) for i in best),
        entropy=entropy,
        distinct=len(graphs),
        expected_edges=float(edges.probability.sum()),
        truth=None if truth is None else compare_with_truth(flat, edges.probability, truth),
        classes=equivalence_classes(graphs.reshape(-1, *adjacency.shape[2:]), mass, _targets(container), top=top),
        targets=_unknown_targets(container),
    )


def _targets(container: Container) -> NDArray[np.bool_] | None:
    """Sets of targets of interventions in the rows, (m, d) booleans, if they are known."""
    if "observed_data" not in group_names(container):
        return None
    observed = group(container, "observed_data")
    if "targets" not in observed:
        return None
    sets = np.unique(observed["targets"].values != 0, axis=0)
    return np.asarray(sets[sets.any(axis=1)])


def _unknown_targets(container: Container) -> dict[str, tuple[tuple[str, float], ...]]:
    """Probable targets of each condition in which they are unknown."""
    known = group(container, "constant_data") if "constant_data" in group_names(container) else xr.Dataset()
    if "target_probability" not in known:
        return {}
    table = known["target_probability"].transpose("regime", "variable")
    found = {}
    for condition, chances in zip(table["regime"].values, table.values, strict=True):
        order = np.argsort(-chances, kind="stable")
        named = [(str(table["variable"].values[j]), float(chances[j])) for j in order if chances[j] >= _NAMED_TARGET]
        found[str(condition)] = tuple(named)
    return found


def _edge_texts(completed: NDArray[np.int8], names: tuple[str, ...]) -> list[str]:
    """Arrows as a -> b, open directions as a - b."""
    arrows = [(a, b, "->") for a, b in np.argwhere((completed == 1) & (completed.T == 0)).tolist()]
    lines = [(a, b, "-") for a, b in np.argwhere(np.triu((completed == 1) & (completed.T == 1))).tolist()]
    return [f"{names[a]} {mark} {names[b]}" for a, b, mark in sorted(arrows + lines)]


def compare_with_truth(graphs: ArrayLike, edge_probability: ArrayLike, truth: ArrayLike) -> TruthComparison:
    """Compare draws and edge probabilities with the true graph.

    Args:
        graphs: (n, d, d) draws.
        edge_probability: (d, d) edge probabilities.
        truth: (d, d) true adjacency.

    Returns:
        The comparison.

    Raises:
        ValueError: If truth is not an adjacency matrix of d variables.
    """
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    drawn, probability = np.asarray(graphs) != 0, np.asarray(edge_probability)
    true = as_adjacency(truth, name="truth") != 0
    if true.shape != probability.shape:
        raise ValueError(f"truth: got shape {true.shape}, expected {probability.shape}")
    differs = drawn != true
    shd = np.triu(differs | differs.swapaxes(1, 2)).sum(axis=(1, 2))
    right, sizes = (drawn & true).sum(axis=(1, 2)), drawn.sum(axis=(1, 2)) + true.sum()
    apart = ~np.eye(len(true), dtype=bool)
    label, rank = true[apart], probability[apart]
    both = label.any() and not label.all()
    return TruthComparison(
        expected_shd=float(shd.mean()),
        auroc=float(roc_auc_score(label, rank)) if both else float("nan"),
        auprc=float(average_precision_score(label, rank)) if both else float("nan"),
        expected_f1=float(np.where(sizes > 0, 2 * right / np.maximum(sizes, 1), 1.0).mean()),
        f1=float(f1_score(label, rank > 0.5, zero_division=1.0)),
    )


def _walkers(container: Container) -> NDArray[np.int64] | None:
    """Which Markov chain of a chain each draw is from, (chain, draw); None if that is not told."""
    if "sample_stats" not in group_names(container) or "walker" not in group(container, "sample_stats"):
        return None
    return np.asarray(group(container, "sample_stats")["walker"].transpose("chain", "draw").values, dtype=np.int64)


def _pairs(draws: NDArray[np.int8], walker: NDArray[np.int64] | None) -> BinaryDiagnostics:
    """Diagnostics of pairs of variables; a variable with itself is 0 by definition, without error."""
    found = binary_diagnostics(draws, walker)
    np.fill_diagonal(found.mcse, 0.0)
    return found


def _with_known(found: BinaryDiagnostics, known: xr.DataArray | None, exact: bool) -> BinaryDiagnostics:
    if known is None:
        return found
    mcse = np.zeros_like(found.mcse) if exact else found.mcse
    return replace(found, probability=np.asarray(known.values), mcse=mcse)


def _exact_log_probability(container: Container) -> FloatArray | None:
    """Log posterior mass of each draw, where the engine knows the normaliser."""
    if "log_normalizer" not in container.attrs or "sample_stats" not in group_names(container):
        return None
    stats = group(container, "sample_stats")
    if "lp" not in stats:
        return None
    weights = stats["lp"].transpose("chain", "draw").values.astype(np.float64).ravel()
    return np.asarray(weights - float(container.attrs["log_normalizer"]))
