"""Posterior over the graphs of sequences: from one frame to the next, and within a frame.

Rows are steps; variables are latents of the frame before, ``z1_before``, ..., and of the frame after, ``z1``, ....
Given the frame before, steps are independent of each other, so a row counts once. No edge leads to the frame before,
which is given; within the frame after there are edges in models that have them (iCITRIS: Lippe et al., ICLR 2023, arXiv
2206.06169). A latent whose variable is set in a row tells nothing of its causes there.

Latents are taken for what the encoder makes of frames: the posterior is uncertain of the graph, not of the latents, and
other latents tell the errors of these. So by default an edge costs what recipes ask of one
(:data:`~pyro_lcm.identify.parents.MIN_GAIN` nats for each row, a fiftieth of the variance that is left), more than any
prior does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from pyro_lcm.causal.abilities import graph_of, interactions_of
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.graph_data import GraphData
from pyro_lcm.discovery.posterior import Method, ScoreName, graph_posterior
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.identify.parents import MIN_GAIN

__all__ = ["BEFORE", "graph_names", "sequence_graph_posterior", "step_prior"]

BEFORE = "_before"
"""Suffix of a latent of the frame before."""


def graph_names(fitted: FittedModel) -> tuple[str, ...]:
    """Names of the variables of the graph: latents of the frame before, then those of the frame after."""
    return (*(f"{name}{BEFORE}" for name in fitted.names), *fitted.names)


def step_prior(prior: GraphPrior, latents: int, *, within: bool) -> GraphPrior:
    """A prior in which no edge leads to the frame before, nor, unless ``within``, within the frame after.

    Args:
        prior: over graphs of 2 * latents variables.
        latents: number of latents M; the first M variables are those of the frame before.
        within: whether latents of a frame may depend on each other.

    Example:
        >>> len(step_prior(GraphPrior(), 2, within=False).forbidden)
        8
    """
    everything = range(2 * latents)
    closed = [(i, j) for j in range(latents) for i in everything if i != j]
    if not within:
        closed += [(i, j) for j in range(latents, 2 * latents) for i in range(latents, 2 * latents) if i != j]
    return replace(prior, forbidden=tuple(dict.fromkeys((*prior.forbidden, *closed))))


def step_rows(fitted: FittedModel, sequences: InterventionSequences, rows: int) -> GraphData:
    """Latents of the first steps, and which of them are of a variable that was set."""
    pairs = sequences.transitions()[:rows]
    before, after = (fitted.encode(x).causal for x in (pairs.x, pairs.x_after))
    targets, interactions = np.asarray(pairs.targets), interactions_of(fitted.model)
    if interactions is None:
        hit = np.column_stack([np.zeros(len(pairs), dtype=bool), targets > 0])[:, fitted.model.assignment.cpu().numpy()]
    else:
        hit = targets @ (interactions.cpu().numpy() > 0.5) > 0
    values = np.concatenate([before, after], 1).astype(np.float64)
    return GraphData(values, np.concatenate([np.zeros_like(hit), hit], 1), graph_names(fitted))


def sequence_graph_posterior(
    fitted: FittedModel,
    sequences: InterventionSequences,
    *,
    method: Method = "auto",
    score: ScoreName | Literal["auto"] = "auto",
    prior: GraphPrior | None = None,
    rows: int = 2_000,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
) -> Container:
    """Infer the posterior over graphs of a fitted model of sequences.

    Args:
        fitted: the model.
        sequences: held-out or training sequences.
        method: as in :func:`pyro_lcm.discovery.graph_posterior`.
        score: "bge", "linear", "nonlinear", or "auto", which is "nonlinear".
        prior: over graphs of the latents of both frames; by default an edge costs :data:`MIN_GAIN` nats for each row.
            Edges to the frame before are forbidden beside what it forbids. One that is given has its own ``sparsity``.
        rows: steps used at most, the first ones.
        draws: of each chain.
        chains: number of chains.
        seed: of everything random.

    Returns:
        As :func:`pyro_lcm.discovery.graph_posterior`, of :func:`graph_names`.

    Raises:
        ValueError: if the model is of pairs, has another number of variables, or an argument is out of range.
    """
    if not fitted.temporal:
        raise ValueError(f"sequences: got sequences for {fitted.name}, expected pairs")
    if sequences.dim != fitted.model.recorded:
        raise ValueError(f"targets: got {sequences.dim} columns, expected {fitted.model.recorded} as in the fit")
    if rows < 1:
        raise ValueError(f"rows: got {rows}, expected at least 1")
    data = step_rows(fitted, sequences, rows)
    knowledge = GraphPrior(sparsity=MIN_GAIN * len(data.values)) if prior is None else prior
    return graph_posterior(
        data,
        score="nonlinear" if score == "auto" else score,
        prior=step_prior(knowledge, fitted.dim_z, within=graph_of(fitted.model) is not None),
        method=method,
        draws=draws,
        chains=chains,
        seed=seed,
        checks=False,
    )
