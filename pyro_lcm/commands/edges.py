"""Edges as users write them, on the command line and in tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.priors import Edge
from pyro_lcm.discovery.tables import read_table


def read_edges(path: str, names: Sequence[str]) -> NDArray[np.int8]:
    """Read a graph from a CSV file of edges: a header, then cause and effect in the first two columns.

    Raises:
        ValueError: If the file is not such a table or names another variable.
    """
    table = read_table(path)
    if len(table.header) < 2:
        raise ValueError(f"{path}: got {len(table.header)} column, expected cause and effect")
    graph = np.zeros((len(names), len(names)), dtype=np.int8)
    for row in table.rows:
        graph[edge_of((row[0], row[1]), names, path)] = 1
    return graph


def parse_edges(texts: Sequence[str], names: Sequence[str], option: str) -> tuple[Edge, ...]:
    """Read edges such as ``a:b``, from a to b.

    >>> parse_edges(("a:b",), ("a", "b"), "--required")
    ((0, 1),)
    """
    found = []
    for text in texts:
        cause, colon, effect = text.partition(":")
        if not colon:
            raise ValueError(f"{option}: got {text!r}, expected cause:effect")
        found.append(edge_of((cause, effect), names, option))
    return tuple(found)


def edge_of(edge: tuple[str, str], names: Sequence[str], where: str) -> Edge:
    """Indices of the two ends of an edge."""
    for end in edge:
        if end not in names:
            raise ValueError(f"{where}: got the variable {end!r}, expected one of {', '.join(names)}")
    return names.index(edge[0]), names.index(edge[1])
