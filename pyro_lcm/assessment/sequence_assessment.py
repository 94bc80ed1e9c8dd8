"""Scores of a model of sequences against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.causal.abilities import graph_of, interactions_of
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.evaluation.graphs import compare_graphs
from pyro_lcm.evaluation.groups import GroupScores, group_scores, temporal_shd
from pyro_lcm.evaluation.triplets import triplet_scores
from pyro_lcm.fitting.fitted import FittedModel

__all__ = ["evaluate_sequences", "sequence_scores"]

_TRIPLETS = 1000
"""Fewest frames that are put together."""


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
        Hamming distance of the graphs within a frame, of models that have one; ``interaction_accuracy``, the share of
        actions and variables of which it is right whether the one acts on the other, of models that find that;
        ``triplet_r2`` (:mod:`pyro_lcm.evaluation.triplets`), of frames that are vectors; and ``elbo``, of a step given
        the frame before. Where targets do not name the latents, each goes with the variable that it tells best.

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
    if sequences.dim != fitted.model.recorded:
        raise ValueError(f"targets: got {sequences.dim} columns, expected {fitted.model.recorded} as in the fit")
    names = ("r2_diag", "r2_sep", "spearman_diag", "spearman_sep")
    scores: dict[str, float | None] = dict.fromkeys(
        (*names, "temporal_shd", "shd", "interaction_accuracy", "triplet_r2")
    )
    groups = None
    acts = interactions_of(fitted.model)
    place = np.arange(fitted.model.variables)
    if sequences.z is not None:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(sequences.x))[:rows])
        codes, z = fitted.encode(sequences.x[chosen]).causal, sequences.z[chosen]
        assignment = fitted.model.assignment.cpu().numpy()
        if acts is not None:
            place = _places(codes, z)
            assignment = np.argsort(place) + 1
        assert sequences.variables is not None
        groups = group_scores(codes, assignment, z, sequences.variables, seed=seed)
        scores |= {name: float(getattr(groups, name)) for name in names}
        if sequences.x.ndim == 2 and len(chosen) >= _TRIPLETS:
            made = triplet_scores(
                sequences.x[chosen], codes, assignment, z, sequences.variables, fitted.decode, seed=seed
            )
            scores["triplet_r2"] = made.r2
    if sequences.temporal_adjacency is not None:
        found = fitted.model.temporal_adjacency.cpu().numpy()[np.ix_(place, place)]
        scores["temporal_shd"] = float(temporal_shd(found, sequences.temporal_adjacency))
    if sequences.interactions is not None and acts is not None:
        right = (acts.cpu().numpy()[:, place] > 0.5) == sequences.interactions
        scores["interaction_accuracy"] = float(right.mean())
    within = graph_of(fitted.model)
    if sequences.adjacency is not None and within is not None:
        scores["shd"] = float(compare_graphs(within.cpu().numpy(), sequences.adjacency).shd)
    return scores | {"elbo": fitted.elbo(sequences.transitions(), hypotheses=1)}, groups


def _places(codes: NDArray[np.floating[Any]], z: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The latent of each true variable, (K,), each of them once.

    Raises:
        ValueError: if there is not one latent for each column of ``z``.
    """
    if codes.shape[1] != z.shape[1]:
        raise ValueError(f"z: got {z.shape[1]} columns, expected one for each of {codes.shape[1]} latents")
    return align(codes, z, "spearman").permutation
