"""Algebra of directed acyclic graphs as adjacency matrices: orders, ancestors, random DAGs, all DAGs.

An adjacency matrix is always indexed ``adjacency[parent, child]`` and holds 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_ENUMERATED_DIM = 5
"""Largest number of variables :func:`all_dags` enumerates (29,281 DAGs; there are 3,781,503 of 6)."""


def as_adjacency(adjacency: ArrayLike, *, name: str = "adjacency") -> NDArray[np.int8]:
    """Check that an array is an adjacency matrix and return it as int8.

    Args:
        adjacency: Square matrix of zeros and ones, ``[parent, child]``, zero diagonal. It may be cyclic.
        name: What to call the argument in an error.

    Returns:
        The matrix, int8, shape (d, d).

    Raises:
        ValueError: If the array is not square, holds anything but 0 and 1, or has ones on its diagonal.
    """
    matrix = np.asarray(adjacency)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: got shape {matrix.shape}, expected a square matrix (d, d)")
    if matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        raise ValueError(f"{name}: got dtype {matrix.dtype} with values other than 0 and 1, expected only 0 and 1")
    if matrix.diagonal().any():
        raise ValueError(f"{name}: got ones on the diagonal, expected that no variable is its own parent")
    return matrix.astype(np.int8)


def is_dag(adjacency: ArrayLike) -> bool:
    """Tell whether a graph has no directed cycle.

    Args:
        adjacency: Adjacency matrix ``[parent, child]``, shape (d, d).

    Returns:
        True if the graph is acyclic.

    Raises:
        ValueError: If the argument is not an adjacency matrix (see :func:`as_adjacency`).

    >>> is_dag([[0, 1], [0, 0]]), is_dag([[0, 1], [1, 0]])
    (True, False)
    """
    return nx.is_directed_acyclic_graph(to_networkx(adjacency))  # type: ignore[no-any-return]


def topological_order(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Order the variables so that parents come before their children.

    Of all such orders this is the lexicographically first: an upper triangular matrix gives 0, 1, ..., d - 1.

    Args:
        adjacency: Adjacency matrix ``[parent, child]`` of a DAG, shape (d, d).

    Returns:
        The indices (0-based) of the variables in order, shape (d,).

    Raises:
        ValueError: If the graph has a cycle or the argument is not an adjacency matrix.

    >>> topological_order([[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    array([2, 1, 0])
    """
    graph = to_networkx(adjacency)
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"adjacency: got a graph with the cycle {nx.find_cycle(graph)}, expected a DAG")
    return np.fromiter(nx.lexicographical_topological_sort(graph), dtype=np.int64, count=len(graph))


def ancestors(adjacency: ArrayLike) -> NDArray[np.bool_]:
    """Compute who is an ancestor of whom: the transitive closure.

    Args:
        adjacency: Adjacency matrix ``[parent, child]``, shape (d, d).

    Returns:
        Boolean matrix ``[ancestor, descendant]``, shape (d, d): is there a directed path of one edge or more?
        In a DAG its diagonal is False.

    Raises:
        ValueError: If the argument is not an adjacency matrix.

    >>> ancestors([[0, 1, 0], [0, 0, 1], [0, 0, 0]]).astype(int)
    array([[0, 1, 1],
           [0, 0, 1],
           [0, 0, 0]])
    """
    reach = as_adjacency(adjacency).astype(bool)
    for middle in range(len(reach)):  # Warshall's algorithm
        reach |= np.outer(reach[:, middle], reach[middle])
    return reach


def random_dag(
    dim: int, edge_probability: float, rng: np.random.Generator, *, random_order: bool = True
) -> NDArray[np.int8]:
    """Draw a DAG: an order, then each edge that agrees with it independently.

    Args:
        dim: Number of variables, at least 1.
        edge_probability: Probability of each of the d (d - 1) / 2 possible edges, in [0, 1].
        rng: Source of randomness.
        random_order: Whether the order is a uniform permutation; otherwise it is 1, ..., d and the matrix is
            upper triangular.

    Returns:
        Adjacency matrix ``[parent, child]``, int8, shape (d, d).

    Raises:
        ValueError: If an argument is out of range.

    >>> random_dag(3, 1.0, np.random.default_rng(0), random_order=False)
    array([[0, 1, 1],
           [0, 0, 1],
           [0, 0, 0]], dtype=int8)
    """
    if dim < 1:
        raise ValueError(f"dim: got {dim}, expected at least 1")
    if not 0 <= edge_probability <= 1:
        raise ValueError(f"edge_probability: got {edge_probability}, expected a number in [0, 1]")
    ordered = np.triu(rng.random((dim, dim)) < edge_probability, k=1).astype(np.int8)
    if not random_order:
        return ordered
    position = rng.permutation(dim)
    return ordered[np.ix_(position, position)]


def all_dags(dim: int) -> NDArray[np.int8]:
    """List every labelled DAG.

    A DAG on d variables restricted to the first d - 1 is a DAG, so each is made from a smaller one by
    choosing the parents and the children of the last variable; those that close a cycle are dropped.

    Args:
        dim: Number of variables, 1 to 5; there are 1, 3, 25, 543 and 29,281 DAGs (OEIS A003024).

    Returns:
        Adjacency matrices ``[parent, child]``, int8, shape (n, d, d); the first is the empty graph.

    Raises:
        ValueError: If ``dim`` is out of range.

    >>> [len(all_dags(dim)) for dim in (1, 2, 3, 4)]
    [1, 3, 25, 543]
    """
    if not 1 <= dim <= MAX_ENUMERATED_DIM:
        raise ValueError(f"dim: got {dim}, expected 1 to {MAX_ENUMERATED_DIM}")
    graphs = np.zeros((1, 1, 1), dtype=np.int8)
    for size in range(1, dim):
        subsets = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
        grown = np.zeros((len(graphs), len(subsets), len(subsets), size + 1, size + 1), dtype=np.int8)
        grown[..., :size, :size] = graphs[:, None, None]
        grown[..., :size, size] = subsets[None, :, None]
        grown[..., size, :size] = subsets[None, None, :]
        candidates = grown.reshape(-1, size + 1, size + 1)
        graphs = candidates[_acyclic(candidates)]
    return graphs


def _acyclic(adjacency: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Tell for a batch of small graphs which are acyclic: those whose d-th power vanishes."""
    power = adjacency.astype(np.float32)
    reached = 1
    while reached < adjacency.shape[-1]:
        power = power @ power
        reached *= 2
    return np.asarray(~power.any(axis=(-2, -1)))


def to_networkx(adjacency: ArrayLike, names: Sequence[str] | None = None) -> Any:
    """Turn an adjacency matrix into a networkx graph.

    Args:
        adjacency: Adjacency matrix ``[parent, child]``, shape (d, d).
        names: Names of the variables; without them the nodes are 0, ..., d - 1.

    Returns:
        A ``networkx.DiGraph`` with the nodes in the order of the matrix.

    Raises:
        ValueError: If the argument is not an adjacency matrix or the names do not fit it.

    >>> list(to_networkx([[0, 1], [0, 0]], names=["z1", "z2"]).edges)
    [('z1', 'z2')]
    """
    matrix = as_adjacency(adjacency)
    nodes: Sequence[Any] = range(len(matrix)) if names is None else list(names)
    if len(nodes) != len(matrix) or len(set(nodes)) != len(nodes):
        raise ValueError(f"names: got {list(nodes)}, expected {len(matrix)} different names")
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((nodes[parent], nodes[child]) for parent, child in np.argwhere(matrix))
    return graph
