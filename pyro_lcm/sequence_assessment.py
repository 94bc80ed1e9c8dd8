"""Scores of a model of sequences against the truth."""

from __future__ import annotations

import numpy as np

from pyro_lcm.causal.abilities import graph_of
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.evaluation.graphs import compare_graphs
from pyro_lcm.evaluation.groups import GroupScores, group_scores, temporal_shd
from pyro_lcm.fitted import FittedModel

__all__ = ["evaluate_sequences", "sequence_scores"]


def evaluate_sequences(
    fitted: FittedModel, sequences: InterventionSequences, *, rows: int = 10_000, seed: int = 0
) -> dict[str, float | None]:
    """Scores against the truth in sequences; None where it is missing.

    Args:
        fitted: of a model of sequences.
        sequences: with ``z``, at best of frames in which variables are independent of each other
            (:meth:`pyro_lcm.data.voronoi.VoronoiSystem.independent`), and ``temporal_adjacency``.
        rows: frames used at most.
        seed: of the frames that are predicted.

    Returns:
        ``r2_diag``, ``r2_sep``, ``spearman_diag``, ``spearman_sep`` (:mod:`pyro_lcm.evaluation.groups`);
        ``temporal_shd``, edges that are in one of the two graphs from one frame to the next; ``shd``, the structural
        Hamming distance of the graphs within a frame, of models that have one; and ``elbo``, of a step given the frame
        before.

    Raises:
        ValueError: if the model is of pairs, or has another number of variables.
    """
    return sequence_scores(fitted, sequences, rows=rows, seed=seed)[0]


def sequence_scores(
    fitted: FittedModel, sequences: InterventionSequences, *, rows: int = 10_000, seed: int = 0
) -> tuple[dict[str, float | None], GroupScores | None]:
    """The scores of :func:`evaluate_sequences`, and the matrices they are of, None without truth; same arguments."""
    if not fitted.temporal:
        raise ValueError(f"sequences: got sequences for {fitted.name}, expected pairs")
    if sequences.dim != fitted.model.variables:
        raise ValueError(f"targets: got {sequences.dim} variables, expected {fitted.model.variables} as in the fit")
    names = ("r2_diag", "r2_sep", "spearman_diag", "spearman_sep")
    scores: dict[str, float | None] = dict.fromkeys((*names, "temporal_shd", "shd"))
    groups = None
    if sequences.z is not None:
        groups = _scores_of_groups(fitted, sequences, rows=rows, seed=seed)
        scores |= {name: float(getattr(groups, name)) for name in names}
    if sequences.temporal_adjacency is not None:
        found = fitted.model.temporal_adjacency.cpu().numpy()
        scores["temporal_shd"] = float(temporal_shd(found, sequences.temporal_adjacency))
    within = graph_of(fitted.model)
    if sequences.adjacency is not None and within is not None:
        scores["shd"] = float(compare_graphs(within.cpu().numpy(), sequences.adjacency).shd)
    return scores | {"elbo": fitted.elbo(sequences.transitions(), hypotheses=1)}, groups


def _scores_of_groups(fitted: FittedModel, sequences: InterventionSequences, *, rows: int, seed: int) -> GroupScores:
    """R2 and Spearman matrices of the latents of each variable; ``z`` has to be there."""
    assert sequences.z is not None
    assert sequences.variables is not None
    chosen = np.sort(np.random.default_rng(seed).permutation(len(sequences.x))[:rows])
    codes = fitted.encode(sequences.x[chosen]).causal
    assignment = fitted.model.assignment.cpu().numpy()
    return group_scores(codes, assignment, sequences.z[chosen], sequences.variables, seed=seed)
