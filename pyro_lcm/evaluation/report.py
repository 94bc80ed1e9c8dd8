"""All metrics of a learned latent causal model against the truth, under one matching of variables."""

from __future__ import annotations

from dataclasses import asdict

from numpy.typing import ArrayLike

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.evaluation.alignment import Alignment, align_latents
from pyro_lcm.evaluation.dci import DEFAULT_ROWS, dci
from pyro_lcm.evaluation.graphs import compare_graphs
from pyro_lcm.evaluation.mcc import mean_correlation
from pyro_lcm.evaluation.targets import intervention_accuracy, set_accuracy

METRICS = (
    "disentanglement",
    "completeness",
    "informativeness",
    "mcc",
    "mcc_spearman",
    "mcc_noise",
    "intervention_accuracy",
    "shd",
    "edge_precision",
    "edge_recall",
    "edge_f1",
)
"""Keys of what :func:`evaluate_latents` returns."""


def align_to_truth(
    pairs: InterventionPairs, *, causal: ArrayLike | None = None, noise: ArrayLike | None = None
) -> Alignment | None:
    """Find the matching of learned to true variables that :func:`evaluate_latents` uses.

    Args:
        pairs: The N pairs that were encoded, with what is known of the truth.
        causal: Learned causal variables before, shape (N, d').
        noise: Learned noise encodings before, shape (N, d').

    Returns:
        The matching (see :func:`pyro_lcm.evaluation.align_latents`), or None if no truth is known.

    Raises:
        ValueError: If an array has the wrong shape or values that are not finite.
    """
    return align_latents(
        causal=None if causal is None or pairs.z is None else (causal, pairs.z),
        noise=None if noise is None or pairs.noise is None else (noise, pairs.noise),
    )


def evaluate_latents(
    pairs: InterventionPairs,
    *,
    causal: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    adjacency: ArrayLike | None = None,
    dci_rows: int = DEFAULT_ROWS,
    n_jobs: int = 1,
    seed: int = 0,
) -> dict[str, float | None]:
    """Score what was learned from pairs against the truth they carry.

    Latents are those of the observations before the intervention, as in the published evaluation.

    Args:
        pairs: The N pairs that were encoded, with what is known of the truth.
        causal: Learned causal variables before, shape (N, d').
        noise: Learned noise encodings before, shape (N, d').
        targets: Inferred targets: probabilities, shape (N, d' + 1), or integers, shape (N,), 0 = none.
        adjacency: Learned graph, ``[parent, child]``, shape (d', d').
        dci_rows: Rows used for DCI at most.
        n_jobs: Number of factors that DCI works on at a time.
        seed: Seed of DCI.

    Returns:
        The metrics named in :data:`METRICS`; None where the truth or the estimate is missing, or where
        neither causal variables nor noise encodings can be compared, so that there is no matching.

    Raises:
        ValueError: If an array has the wrong shape or values that are not finite.
    """
    scores: dict[str, float | None] = dict.fromkeys(METRICS)
    alignment = align_to_truth(pairs, causal=causal, noise=noise)
    if alignment is None:
        return scores
    if causal is not None and pairs.z is not None:
        result = dci(causal, pairs.z, rows=dci_rows, n_jobs=n_jobs, seed=seed)
        scores["disentanglement"] = result.disentanglement
        scores["completeness"] = result.completeness
        scores["informativeness"] = result.informativeness
        scores["mcc"] = mean_correlation(causal, pairs.z, alignment)
        scores["mcc_spearman"] = mean_correlation(causal, pairs.z, alignment, method="spearman")
    if noise is not None and pairs.noise is not None:
        scores["mcc_noise"] = mean_correlation(noise, pairs.noise, alignment)
    if targets is not None and pairs.targets is not None:
        accuracy = intervention_accuracy if pairs.targets.ndim == 1 else set_accuracy
        scores["intervention_accuracy"] = accuracy(targets, pairs.targets, alignment)
    if adjacency is not None and pairs.adjacency is not None:
        scores |= asdict(compare_graphs(alignment.relabel_adjacency(adjacency), pairs.adjacency))
    return scores
