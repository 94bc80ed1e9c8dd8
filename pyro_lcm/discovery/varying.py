"""What varies among draws of graphs, edge by edge, for ArviZ: one that every draw agrees on has no r_hat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from pyro_lcm.discovery.arviz_compat import Container, group, make_container
from pyro_lcm.discovery.summary import graph_summary

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["adjacency", "ancestors", "effect"]


def varying(container: Container, kind: Kind = "adjacency") -> Container:
    """Lay out edges, paths or effects one after the other, less those that are the same in every draw.

    The diagonal of an adjacency, and every edge that all draws have or that none has, make ``r_hat`` and ``ess`` not a
    number, with a warning each. What is left here goes into ``arviz.summary``, ``plot_trace``, ``plot_forest`` and
    the like as it stands; :func:`pyro_lcm.discovery.graph_summary` tells of all edges, with conventions for these.

    Args:
        container: What :func:`~pyro_lcm.discovery.graph_posterior` or
            :meth:`pyro_lcm.LatentCausalModel.average_effects` gave.
        kind: ``"adjacency"``, ``"ancestors"`` (directed paths) or ``"effect"``.

    Returns:
        ArviZ's native container with one variable of that name, (chain, draw, pair), the pairs called ``a -> b``.

    Raises:
        ValueError: If the posterior has no such variable, or nothing varies in it.

    >>> from pyro_lcm.discovery import GraphData, graph_posterior
    >>> x = np.random.default_rng(0).normal(size=(50, 3)) @ [[1, 0.3, 0], [0, 1, 0], [0, 0, 1]]
    >>> draws = varying(graph_posterior(GraphData(x, names=("a", "b", "c")), draws=100, chains=2))
    >>> draws["posterior"]["adjacency"].dims, "a -> b" in draws["posterior"]["pair"].values
    (('chain', 'draw', 'pair'), True)
    """
    posterior = group(container, "posterior")
    if kind not in posterior:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(map(str, posterior))}")
    first, second = (str(dim) for dim in posterior[kind].dims if dim not in ("chain", "draw"))
    values = posterior[kind].transpose("chain", "draw", first, second)
    flat = values.values.reshape(*values.shape[:2], -1).astype(np.float64)
    changes = np.flatnonzero(flat.min(axis=(0, 1)) < flat.max(axis=(0, 1)))
    if not len(changes):
        raise ValueError(f"container: {kind} is the same in every draw, expected some that varies")
    names = [f"{a} -> {b}" for a in posterior[first].values for b in posterior[second].values]
    coords: dict[str, Any] = {
        "chain": np.arange(flat.shape[0]),
        "draw": np.arange(flat.shape[1]),
        "pair": [names[k] for k in changes],
    }
    data = xr.Dataset({kind: (("chain", "draw", "pair"), flat[:, :, changes])}, coords=coords)
    return make_container({"posterior": data}, {str(key): value for key, value in container.attrs.items()})


def edge_statistics(container: Container) -> pd.DataFrame:
    """``arviz.summary`` of all edges, with what the engine knows better than draws do.

    Columns are ArviZ's: ``mean`` is the exact probability, or the one averaged in closed form, where there is one, and
    ``mcse_mean`` its error, 0 for the exact engine; ``ess_mean`` and ``r_hat`` have the conventions of
    :mod:`pyro_lcm.discovery.diagnostics` where an edge does not vary, so that nothing is nan.

    Args:
        container: What :func:`~pyro_lcm.discovery.graph_posterior` returned.

    Returns:
        A row for each edge, called ``adjacency[a -> b]``, the most probable first.

    >>> from pyro_lcm.discovery import GraphData, graph_posterior
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> edge_statistics(graph_posterior(GraphData(x, names=("a", "b")), draws=100)).round(2).to_dict("list")
    {'mean': [0.08, 0.08], 'sd': [0.28, 0.28], 'mcse_mean': [0.0, 0.0], 'ess_mean': [484.72, 374.96], 'r_hat': [0.99,
    1.01]}
    """
    table = graph_summary(container).to_dataframe()
    probability = table["probability"]
    found = table[["probability", "mcse", "ess", "r_hat"]].rename(
        columns={"probability": "mean", "mcse": "mcse_mean", "ess": "ess_mean"}
    )
    found.insert(1, "sd", (probability * (1 - probability)).clip(lower=0) ** 0.5)
    found.index = [f"adjacency[{a} -> {b}]" for a, b in zip(table["parent"], table["child"], strict=True)]
    return found
