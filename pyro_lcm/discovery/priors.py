"""The prior over graphs that all engines share, and what is known about the graph beforehand.

The default is uniform over DAGs, which expects many edges; :meth:`GraphPrior.suggested` expects about one a variable.
Everything here is modular, p(G) proportional to a product over variables of a factor of their parents, so that it adds
to a local score. An order-modular prior (Koivisto & Sood, JMLR 2004) multiplies this by the number of orders that agree
with the graph; it is another prior, not another algorithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from pyro_lcm.discovery.edge_counts import weight_of_edges
from pyro_lcm.discovery.scores import BoolArray, FloatArray, as_parent_sets

MAX_PARENT_SETS = 2_000_000
"""Most parent sets of one variable that are listed."""
MAX_LINEAR_EXTENSIONS = 16
"""Most variables for which orders are counted (2^d states a graph)."""
_COUNTS_AT_ONCE = 1 << 21
SUGGESTED_EDGES_PER_NODE = 1.0
"""Edges a variable that the suggested prior expects, about."""

Edge = tuple[int, int]


@dataclass(frozen=True)
class GraphPrior:
    """A prior over DAGs: uniform unless told otherwise.

    Attributes:
        edge_probability: Each edge multiplies the prior by p / (1 - p), 0 < p < 1; 0.5 is uniform.
        sparsity: Penalty for each edge in nats, the same factor said otherwise: exp(-sparsity).
        edges_per_node: Expected number of edges divided by the number of variables: the factor of an edge is the one
            under which DAGs have so many on average (:mod:`pyro_lcm.discovery.edge_counts`; limits on parents and what
            else is known are not counted in), but no more than half of all pairs of variables have edges.
        hierarchical: Whether how probable an edge is is unknown itself, for each variable on its own: p ~ Beta(1, b)
            with the mean p / (1 - p) odds of which the other settings give, so that k of K possible parents have the
            factor B(1 + k, b + K - k) / B(1, b) (Scott & Berger, Annals of Statistics 2010). Some variables with many
            parents cost less then, and 0 parents are likelier.
        max_parents: Most parents of any variable; None: no limit.
        required: Edges (parent, child), 0-based, that every graph has.
        forbidden: Edges (parent, child), 0-based, that no graph has.
        tiers: Groups of variables, earliest first: no edge leads from a later group to an earlier one. Edges
            within a group and edges of variables in no group are free.
        order_modular: Multiply by the number of linear extensions (orders of the variables that agree with
            the graph), the prior that an order with independent parent sets implies.

    Raises:
        ValueError: If the settings contradict each other: two of edge_probability, sparsity and edges_per_node, an
            edge required and forbidden, a required cycle, a variable in two tiers, more required parents than
            max_parents.

    Example:
        >>> prior = GraphPrior(max_parents=1, forbidden=((0, 1),))
        >>> prior.allowed_parent_sets(1, 3).astype(int).tolist()
        [[0, 0, 0], [0, 0, 1]]
    """

    edge_probability: float | None = None
    sparsity: float = 0.0
    max_parents: int | None = None
    required: tuple[Edge, ...] = ()
    forbidden: tuple[Edge, ...] = ()
    tiers: tuple[tuple[int, ...], ...] = ()
    order_modular: bool = False
    edges_per_node: float | None = None
    hierarchical: bool = False

    def __post_init__(self) -> None:
        if self.edge_probability is not None:
            if not 0.0 < self.edge_probability < 1.0:
                raise ValueError(f"edge_probability: got {self.edge_probability}, expected between 0 and 1")
            if self.sparsity:
                raise ValueError("sparsity: given along with edge_probability, expected one of the two")
        if self.edges_per_node is not None:
            if not 0.0 < self.edges_per_node < math.inf:
                raise ValueError(f"edges_per_node: got {self.edges_per_node}, expected a number above 0")
            if self.sparsity or self.edge_probability is not None:
                raise ValueError("edges_per_node: given along with another factor of an edge, expected one of the two")
        if not math.isfinite(self.sparsity):
            raise ValueError(f"sparsity: got {self.sparsity}, expected a finite number of nats")
        if self.max_parents is not None and self.max_parents < 0:
            raise ValueError(f"max_parents: got {self.max_parents}, expected 0 or more")
        for name in ("required", "forbidden"):
            edges = tuple((int(parent), int(child)) for parent, child in getattr(self, name))
            if any(parent == child for parent, child in edges):
                raise ValueError(f"{name}: got {edges}, expected edges between different variables")
            object.__setattr__(self, name, edges)
        object.__setattr__(self, "tiers", tuple(tuple(int(i) for i in tier) for tier in self.tiers))
        self._check_knowledge()

    @classmethod
    def suggested(cls, **options: Any) -> GraphPrior:
        """A prior of sparse graphs: about one edge a variable, how many being unknown itself.

        Under the uniform prior half of all pairs and more are expected to be adjacent: 100.8 edges of 20 variables.

        Args:
            **options: Further attributes.
        """
        return cls(edges_per_node=SUGGESTED_EDGES_PER_NODE, hierarchical=True, **options)

    def edge_weight(self, num_variables: int) -> float:
        """Log prior factor of one edge in graphs of d variables, in nats."""
        if self.edges_per_node is not None:
            most = num_variables * (num_variables - 1) / 4
            return weight_of_edges(num_variables, min(self.edges_per_node * num_variables, most)) if most else 0.0
        if self.edge_probability is None:
            return -self.sparsity
        return math.log(self.edge_probability) - math.log1p(-self.edge_probability)

    def size_weights(self, num_variables: int) -> FloatArray:
        """Log prior factor of 0 ... d - 1 parents of one variable, (d,), 0 for none."""
        count = np.arange(num_variables)
        weight = self.edge_weight(num_variables)
        if not self.hierarchical:
            return np.asarray(weight * count, dtype=np.float64)
        spread = math.exp(-weight)
        factor = betaln(1 + count, spread + num_variables - 1 - count)
        return np.asarray(factor - factor[0], dtype=np.float64)

    def check(self, num_variables: int) -> None:
        """Raise ValueError if the prior speaks of variables beyond ``num_variables``."""
        named = [i for edge in (*self.required, *self.forbidden, *self.tiers) for i in edge]
        beyond = sorted({i for i in named if not 0 <= i < num_variables})
        if beyond:
            raise ValueError(f"prior: speaks of variables {beyond}, expected 0 ... {num_variables - 1}")

    def required_edges(self, num_variables: int) -> BoolArray:
        """(d, d) booleans [parent, child], true where the edge must be."""
        return _edge_matrix(self.required, num_variables)

    def allowed_edges(self, num_variables: int) -> BoolArray:
        """(d, d) booleans [parent, child], true where the edge may be."""
        self.check(num_variables)
        allowed = ~np.eye(num_variables, dtype=bool) & ~_edge_matrix(self.forbidden, num_variables)
        for late, tier in enumerate(self.tiers):
            for early in self.tiers[:late]:
                allowed[np.ix_(tier, early)] = False
        return allowed

    def allowed_parent_sets(self, child: int, num_variables: int) -> BoolArray:
        """All parent sets of a variable that the prior allows, smaller ones first.

        Args:
            child: The variable, 0-based.
            num_variables: Number of variables d.

        Returns:
            (n, d) booleans.

        Raises:
            ValueError: If there are more than two million; a smaller max_parents helps.
        """
        need = np.flatnonzero(self.required_edges(num_variables)[:, child])
        free = np.flatnonzero(self.allowed_edges(num_variables)[:, child])
        free = free[~np.isin(free, need)]
        most = len(free) if self.max_parents is None else min(len(free), self.max_parents - len(need))
        count = sum(math.comb(len(free), size) for size in range(most + 1))
        if count > MAX_PARENT_SETS:
            raise ValueError(
                f"max_parents: {self.max_parents} leaves {count} parent sets for variable {child}, "
                f"expected at most {MAX_PARENT_SETS}, set a smaller max_parents"
            )
        sets = np.zeros((count, num_variables), dtype=bool)
        sets[:, need] = True
        start = 0
        for size in range(most + 1):
            chosen = np.array(list(combinations(free.tolist(), size)), dtype=np.int64)
            chosen = chosen.reshape(math.comb(len(free), size), size)
            rows = np.arange(start, start + len(chosen))
            sets[rows[:, None], chosen] = True
            start += len(chosen)
        return sets

    def log_local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Modular part of the log prior: the factor of one variable's parents.

        Args:
            child: The variable, 0-based.
            parent_sets: (n, d) booleans.

        Returns:
            (n,) log factors, -inf for a set that is not allowed.
        """
        width = np.shape(parent_sets)[-1]
        sets = as_parent_sets(child, parent_sets, width)
        counts = sets.sum(axis=1)
        allowed = ~(sets & ~self.allowed_edges(width)[:, child]).any(axis=1)
        allowed &= sets[:, self.required_edges(width)[:, child]].all(axis=1)
        if self.max_parents is not None:
            allowed &= counts <= self.max_parents
        return np.where(allowed, self.size_weights(width)[counts], -np.inf)

    def log_prob(self, adjacency: ArrayLike) -> FloatArray:
        """Log prior of graphs, up to a constant that depends only on d and the settings.

        Args:
            adjacency: (..., d, d) zeros and ones, ``adjacency[..., parent, child]``.

        Returns:
            (...) values, -inf for graphs with a cycle and graphs that are not allowed.

        Raises:
            ValueError: If the shape is not (..., d, d), or orders must be counted for more than 16 variables.
        """
        graphs = np.asarray(adjacency) != 0
        if graphs.ndim < 2 or graphs.shape[-1] != graphs.shape[-2]:
            raise ValueError(f"adjacency: got shape {graphs.shape}, expected (..., d, d)")
        size = graphs.shape[-1]
        flat = graphs.reshape(-1, size, size)
        result = np.where(_acyclic(flat), 0.0, -np.inf)
        for child in range(size):
            keep = np.isfinite(result)
            result[keep] += self.log_local(child, flat[keep][:, :, child])
        if self.order_modular:
            keep = np.isfinite(result)
            result[keep] += log_linear_extensions(flat[keep])
        return result.reshape(graphs.shape[:-2])

    def _check_knowledge(self) -> None:
        both = sorted(set(self.required) & set(self.forbidden))
        if both:
            raise ValueError(f"required: edges {both} are forbidden too, expected no contradiction")
        graph = nx.DiGraph(self.required)
        if not nx.is_directed_acyclic_graph(graph):
            cycle = [parent for parent, _ in nx.find_cycle(graph)]
            raise ValueError(f"required: edges form the cycle {cycle}, expected no cycle")
        tier_of: dict[int, int] = {}
        for number, tier in enumerate(self.tiers):
            for variable in tier:
                if variable in tier_of:
                    raise ValueError(f"tiers: variable {variable} appears twice, expected at most once")
                tier_of[variable] = number
        against = [(a, b) for a, b in self.required if tier_of.get(a, -1) > tier_of.get(b, len(self.tiers))]
        if against:
            raise ValueError(f"required: edges {against} lead to an earlier tier, expected no contradiction")
        if self.max_parents is not None:
            crowded = [int(node) for node, degree in graph.in_degree() if degree > self.max_parents]
            if crowded:
                raise ValueError(
                    f"required: variables {crowded} have more required parents than "
                    f"max_parents = {self.max_parents}, expected no contradiction"
                )


def log_linear_extensions(adjacency: ArrayLike) -> FloatArray:
    """Log number of orders of the variables in which every parent comes before its children.

    Counted by dynamic programming over sets of variables that can come first, 2^d states for each graph.

    Args:
        adjacency: (n, d, d) DAGs.

    Returns:
        (n,) logs of the counts.

    Raises:
        ValueError: If d is above 16.

    Example:
        >>> np.exp(log_linear_extensions([[[0, 0, 0], [0, 0, 1], [0, 0, 0]]])).round(6).tolist()
        [3.0]
    """
    graphs = np.asarray(adjacency) != 0
    size = graphs.shape[-1]
    if size > MAX_LINEAR_EXTENSIONS:
        raise ValueError(f"adjacency: {size} variables, expected at most {MAX_LINEAR_EXTENSIONS} to count orders")
    counts = np.empty(len(graphs))
    step = max(1, _COUNTS_AT_ONCE >> size)
    for start in range(0, len(graphs), step):
        counts[start : start + step] = _count_orders(graphs[start : start + step])
    return np.log(counts)


def _count_orders(graphs: BoolArray) -> FloatArray:
    """Number of orders of each of (n, d, d) DAGs, by the size of the set of variables that come first."""
    size = graphs.shape[-1]
    parents = graphs.swapaxes(1, 2) @ (1 << np.arange(size))
    codes = np.arange(1 << size)
    sizes = ((codes[:, None] >> np.arange(size)) & 1).sum(axis=1)
    counts = np.zeros((len(graphs), len(codes)))
    counts[:, 0] = 1.0
    for placed in range(size):
        for child in range(size):
            before = codes[(sizes == placed) & ((codes >> child) & 1 == 0)]
            ready = parents[:, child, None] & ~before == 0
            counts[:, before | 1 << child] += counts[:, before] * ready
    return counts[:, -1]


def _edge_matrix(edges: tuple[Edge, ...], num_variables: int) -> BoolArray:
    matrix = np.zeros((num_variables, num_variables), dtype=bool)
    for parent, child in edges:
        matrix[parent, child] = True
    return matrix


def _acyclic(graphs: BoolArray) -> BoolArray:
    """Peel roots off (n, d, d) graphs until nothing is left."""
    left = np.ones(graphs.shape[:2], dtype=bool)
    for _ in range(graphs.shape[-1]):
        left &= (graphs & left[:, :, None]).any(axis=1)
    return np.asarray(~left.any(axis=1))
