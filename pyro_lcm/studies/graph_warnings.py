"""The study of warnings: are edge probabilities calibrated, and do notes tell the tables where they may not be?

Each problem is a simulated table (:mod:`pyro_lcm.studies.simulated_tables`) of 4 to 8 variables and 200 or 1,000 rows,
Erdos-Renyi or scale-free, an edge or one and a half a variable. Edge probabilities of a kind of tables are pooled into
one calibration error, once of all, once of tables without a note. Truth scores the answers and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pyro_lcm.discovery import GraphPrior, graph_posterior, graph_summary
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.discovery.calibration import edge_calibration
from pyro_lcm.discovery.problems import posterior_problems
from pyro_lcm.studies.simulated_tables import Shape, simulate_table

ROWS = (200, 1000)
SIZES = (4, 5, 6, 7, 8)
EDGES = (1.0, 1.5)
SHAPES: tuple[Shape, ...] = ("er", "scale_free")


@dataclass(frozen=True)
class Warnings:
    """What came of tables of one kind.

    Attributes:
        kind: Of the tables.
        tables: Their number.
        noted: How many of them have a note.
        error: Calibration error of edge probabilities.
        error_unnoted: The same of the tables without a note; nan if there is none.
        nonlinear: How many had the score nonlinear chosen.
    """

    kind: str
    tables: int
    noted: int
    error: float
    error_unnoted: float
    nonlinear: int


def graph_warnings(
    kind: str,
    seeds: Sequence[int],
    *,
    score: Literal["auto", "bge", "linear", "nonlinear"] = "auto",
    prior: GraphPrior | None = None,
    draws: int = 250,
) -> Warnings:
    """Infer the graphs of tables of one kind.

    Args:
        kind: Of the tables.
        seeds: Of the tables, one each.
        score: As in :func:`~pyro_lcm.discovery.graph_posterior`.
        prior: Prior over graphs, the suggested one when None.
        draws: Draws of each of four chains.

    Returns:
        The result.
    """
    stated: list[np.ndarray] = []
    true: list[np.ndarray] = []
    noted: list[bool] = []
    nonlinear = 0
    for seed in seeds:
        size = SIZES[seed % len(SIZES)]
        table = simulate_table(
            kind,
            size,
            ROWS[seed % 2],
            seed,
            edges_per_node=EDGES[seed // 2 % 2],
            shape=SHAPES[seed // 4 % 2],
        )
        container = graph_posterior(
            table.data, score=score, prior=prior or GraphPrior.suggested(), draws=draws, effects=False, method="exact"
        )
        probability = group(container, "constant_data")["edge_probability"].values
        apart = ~np.eye(size, dtype=bool)
        stated.append(probability[apart])
        true.append(table.adjacency[apart] == 1)
        noted.append(bool(posterior_problems(container, graph_summary(container))))
        nonlinear += container.attrs["score"] == "nonlinear"
    quiet = [k for k, said in enumerate(noted) if not said]
    return Warnings(
        kind,
        len(seeds),
        sum(noted),
        edge_calibration(np.concatenate(stated), np.concatenate(true)).error,
        edge_calibration(np.concatenate([stated[k] for k in quiet]), np.concatenate([true[k] for k in quiet])).error
        if quiet
        else float("nan"),
        int(nonlinear),
    )
