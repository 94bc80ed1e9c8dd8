"""Graphs under interventions, and across the border to other tools.

Adjacency is always ``[parent, child]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.causal.dag import as_adjacency
from pyro_lcm.discovery.arviz_compat import Container, group
from pyro_lcm.fitting.fitted import FittedModel

if TYPE_CHECKING:
    import pandas as pd


def mutilated(adjacency: ArrayLike, targets: Iterable[int]) -> NDArray[np.int8]:
    """The graph under do: edges into the targets are cut (Pearl, Causality, 2009, section 3.2).

    Args:
        adjacency: (d, d) ``[parent, child]``.
        targets: intervention targets, 1..d; 0 (none) cuts nothing.

    Returns:
        (d, d) ``[parent, child]``.

    Raises:
        ValueError: if it is no adjacency matrix or a target is out of range.

    >>> mutilated([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [2])
    array([[0, 0, 1],
           [0, 0, 1],
           [0, 0, 0]], dtype=int8)
    """
    graph = as_adjacency(adjacency).copy()
    for target in targets:
        if not 0 <= target <= len(graph):
            raise ValueError(f"targets: got {target}, expected 0 (none) to {len(graph)}")
        if target:
            graph[:, target - 1] = 0
    return graph


def edge_probabilities(posterior: Container) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Probability of each edge, (d, d) ``[parent, child]``, in a posterior over graphs, and the variables' names.

    Args:
        posterior: ArviZ container of :func:`pyro_lcm.discovery.graph_posterior`.

    Raises:
        ValueError: if the container has no draws of graphs.
    """
    draws = group(posterior, "posterior")
    if "adjacency" not in draws:
        raise ValueError(f"posterior: has the variables {sorted(map(str, draws))}, expected 'adjacency' among them")
    probability = draws["adjacency"].transpose("chain", "draw", "parent", "child").values.mean(axis=(0, 1))
    return probability, tuple(str(name) for name in draws["parent"].values)


def causal_graph(
    adjacency: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    *,
    posterior: Container | None = None,
    threshold: float = 0.5,
) -> Any:
    """A networkx graph, with the probability of each edge where a posterior tells it.

    Args:
        adjacency: (d, d) ``[parent, child]``; may be left out if there is a posterior.
        names: of the variables; those of the posterior, or z1, z2, ..., by default.
        posterior: ArviZ container of a posterior over graphs.
        threshold: without an adjacency, the probability from which an edge is in the graph.

    Returns:
        A ``networkx.DiGraph``; with a posterior its edges have the attribute ``probability``. With a low threshold it
        may have cycles, which no single draw has.

    Raises:
        ValueError: if neither graph nor posterior is given, or they do not fit each other.

    >>> causal_graph([[0, 1], [0, 0]], ["rain", "wet"]).edges
    OutEdgeView([('rain', 'wet')])
    """
    probability = None
    if posterior is not None:
        probability, known = edge_probabilities(posterior)
        names = known if names is None else names
    if adjacency is None:
        if probability is None:
            raise ValueError("adjacency: got neither a graph nor a posterior, expected one of them")
        adjacency = (probability >= threshold) & ~np.eye(len(probability), dtype=bool)
    matrix = as_adjacency(adjacency)
    labels = [f"z{i}" for i in range(1, len(matrix) + 1)] if names is None else list(names)
    if len(labels) != len(matrix) or len(set(labels)) != len(labels):
        raise ValueError(f"names: got {labels}, expected {len(matrix)} different ones")
    if probability is not None and probability.shape != matrix.shape:
        raise ValueError(f"posterior: is over {len(probability)} variables, expected {len(matrix)}")
    graph = nx.DiGraph()
    graph.add_nodes_from(labels)
    for parent, child in np.argwhere(matrix):
        known_probability = {} if probability is None else {"probability": float(probability[parent, child])}
        graph.add_edge(labels[parent], labels[child], **known_probability)
    return graph


def fitted_graph(
    fitted: FittedModel, *, posterior: Container | None = None, threshold: float = 0.5, do: Sequence[str] = ()
) -> Any:
    """The graph of a fitted model, or of a posterior over its variables, as a networkx graph; with edges cut.

    Args:
        fitted: the fitted model.
        posterior: ArviZ container of a posterior over its graphs; None for the graph found with the fit.
        threshold: least probability of an edge.
        do: names of variables that are set: the edges into them are cut.

    Returns:
        A ``networkx.DiGraph``, as :func:`causal_graph` makes.

    Raises:
        ValueError: if the posterior is of other variables or a name is not a variable's.
    """
    names = fitted.names
    if posterior is not None and sorted(edge_probabilities(posterior)[1]) != sorted(names):
        known = ", ".join(edge_probabilities(posterior)[1])
        raise ValueError(f"posterior: got one over {known}, expected one over {', '.join(names)}")
    if posterior is None:
        found = causal_graph(fitted.adjacency(), names)
    else:
        found = causal_graph(posterior=posterior, threshold=threshold)
    for name in do:
        if name not in names:
            raise ValueError(f"do: got {name!r}, expected some of {', '.join(names)}")
        found.remove_edges_from(list(found.in_edges(name)))
    return found


def edge_list(graph: Any) -> list[tuple[str, str]]:
    """(parent, child) of each edge: what ``pgmpy.models.DiscreteBayesianNetwork`` and others are made from."""
    return [(str(parent), str(child)) for parent, child in graph.edges]


def to_dot(graph: Any) -> str:
    """The text of a graph in GraphViz's DOT language, probabilities as labels.

    Args:
        graph: a ``networkx.DiGraph``, as :func:`causal_graph` makes.

    >>> print(to_dot(causal_graph([[0, 1], [0, 0]], ["rain", "wet"])))
    digraph {
      "rain";
      "wet";
      "rain" -> "wet";
    }
    """
    lines = [f"  {_quoted(node)};" for node in graph.nodes]
    for parent, child, data in graph.edges(data=True):
        label = f' [label="{data["probability"]:.2f}"]' if "probability" in data else ""
        lines.append(f"  {_quoted(parent)} -> {_quoted(child)}{label};")
    return "\n".join(["digraph {", *lines, "}"])


def _quoted(name: object) -> str:
    return '"' + str(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def variables_frame(fitted: FittedModel) -> pd.DataFrame:
    """A row for each causal variable, with its ``parents`` and ``children``, empty texts where there is no graph."""
    import pandas as pd

    names = fitted.names
    graph = fitted.adjacency() if fitted.has_graph else np.zeros((len(names), len(names)), dtype=np.int8)
    columns = {
        key: [", ".join(names[i] for i in np.flatnonzero(row)) for row in rows]
        for key, rows in (("parents", graph.T), ("children", graph))
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="variable"))
