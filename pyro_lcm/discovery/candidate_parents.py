"""Candidate parents: which few variables may be parents of a variable, for graphs too large for all sets.

A table over all parent sets has ``2^(d - 1)`` entries; over K candidates, ``2^K``. The candidates come from
the score: first a screening of single edges and a greedy growth, then, from draws of graphs, every edge one
beyond the candidates is weighed and the best supported K are kept (the iterative expansion of Kuipers, Suter
and Moffa 2022, "Efficient sampling and structure learning of Bayesian networks", J. Comput. Graph. Stat. 31).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import LocalScore


def choose_candidates(score: LocalScore, prior: GraphPrior, most: int | None) -> list[list[int]]:
    """Candidate parents: all other variables where there are few, screened ones otherwise.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs.
        most: Most candidates of a variable; None: 12 up to 13 variables, else 10, 8 above 25.

    Raises:
        ValueError: If ``most`` is below 1.
    """
    d = score.num_variables
    if most is None:
        most = 12 if d <= 13 else 10 if d <= 25 else 8
    if most < 1:
        raise ValueError(f"max_candidates: got {most}, expected at least 1")
    return all_candidates(d) if d - 1 <= most else screen_candidates(score, prior, most)


def all_candidates(num_variables: int) -> list[list[int]]:
    """Every other variable, for each variable."""
    return [[i for i in range(num_variables) if i != j] for j in range(num_variables)]


def screen_candidates(score: LocalScore, prior: GraphPrior, size: int) -> list[list[int]]:
    """The ``size`` most promising parents of each variable, from the score alone.

    The required parents come first, then those of a greedy growth (add the best parent while that helps),
    then by turns the best additions to the grown set and the best single parents: a parent whose effect only
    shows beside others, and one that the greedy set already explains away.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs.
        size: Number of candidates K, 0 < K < d.

    Returns:
        d lists of K variables.
    """
    return [_screen(score, prior, child, size) for child in range(score.num_variables)]


def edge_support(
    score: LocalScore, prior: GraphPrior, graphs: NDArray[np.bool_], candidates: list[list[int]]
) -> tuple[NDArray[np.float64], float]:
    """How probable each edge is, those beyond the candidates weighed in closed form.

    For a variable e beyond j's candidates, a draw in which j has the parents P and e is no descendant of j
    estimates the probability of e -> j by r / (1 + r), r = w_j(P with e) / w_j(P without e).

    Args:
        score: Local score of d variables.
        prior: Prior over graphs.
        graphs: (draws, d, d) DAGs drawn under the candidates.
        candidates: The candidates, for each variable.

    Returns:
        (d, d) estimated edge probabilities, and how many edges the draws miss, on average, because a second
        parent beyond the candidates is not looked at (see `ParentSetTables`).
    """
    d = score.num_variables
    support = graphs.mean(axis=0, dtype=np.float64)
    allowed = prior.allowed_edges(d)
    reach = _reachable(graphs)
    missed = 0.0
    for child in range(d):
        parents, draw = np.unique(graphs[:, :, child], axis=0, return_inverse=True)
        outside = np.setdiff1d(np.flatnonzero(allowed[:, child]), candidates[child])
        for extra in outside.tolist():
            with_extra, without = parents.copy(), parents.copy()
            with_extra[:, extra], without[:, extra] = True, False
            log_odds = _log_weight(score, prior, child, with_extra)
            log_odds -= _log_weight(score, prior, child, without)
            probability = expit(log_odds)[draw.ravel()] * ~reach[:, child, extra]
            second = (without[:, outside].sum(axis=1) > 0)[draw.ravel()]
            support[extra, child] = probability.mean()
            missed += float((probability * second).mean())
    return support, missed


def _log_weight(score: LocalScore, prior: GraphPrior, child: int, sets: NDArray[np.bool_]) -> NDArray[np.float64]:
    return prior.log_local(child, sets) + score.local(child, sets)


def best_supported(
    support: NDArray[np.float64], prior: GraphPrior, candidates: list[list[int]], size: int | None = None
) -> list[list[int]]:
    """As many candidates as before, or ``size``, those with the largest support; ties keep the earlier candidate."""
    d = len(candidates)
    required = prior.required_edges(d)
    chosen = []
    for child, current in enumerate(candidates):
        rank = support[:, child] + 2.0 * required[:, child]
        rank[child] = -1.0
        is_current = np.isin(np.arange(d), current)
        order = np.lexsort((~is_current, -rank))
        chosen.append(sorted(order[: size or len(current)].tolist()))
    return chosen


def _screen(score: LocalScore, prior: GraphPrior, child: int, size: int) -> list[int]:
    d = score.num_variables
    allowed = prior.allowed_edges(d)[:, child]
    required = prior.required_edges(d)[:, child]
    if required.sum() > size:
        raise ValueError(
            f"max_candidates: got {size}, expected at least {required.sum()}, "
            f"the number of required parents of variable {child}"
        )

    def gains(base: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gain in score, and in score plus prior, from each variable; -inf where it may not be added."""
        free = np.flatnonzero(allowed & ~base)
        sets = np.vstack([base, base | (np.arange(d) == free[:, None])])
        value = score.local(child, sets)
        log_prior = prior.log_local(child, sets)
        by_score, by_both = np.full(d, -np.inf), np.full(d, -np.inf)
        by_score[free] = value[1:] - value[0]
        by_both[free] = by_score[free] + log_prior[1:] - log_prior[0]
        return by_score, by_both

    grown = required.copy()
    chosen = np.flatnonzero(required).tolist()
    alone, _ = gains(grown)
    beside, with_prior = gains(grown)
    while len(chosen) < size and with_prior.max() > 0:
        best = int(with_prior.argmax())
        grown[best] = True
        chosen.append(best)
        beside, with_prior = gains(grown)
    rankings = [np.argsort(-ranking, kind="stable").tolist() for ranking in (beside, alone)]
    for by_turns in zip(*rankings, strict=True):
        for variable in by_turns:
            if len(chosen) < size and variable != child and variable not in chosen:
                chosen.append(variable)
    return sorted(chosen)


def _reachable(graphs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    d = graphs.shape[-1]
    reach = graphs | np.eye(d, dtype=bool)
    length = 1
    while length < d - 1:
        reach = np.matmul(reach, reach)
        length *= 2
    return reach
