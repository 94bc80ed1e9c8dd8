"""What the new values of targets tell of interventions and of solution functions, without any truth.

A perfect intervention redraws its target, z~_i ~ p(z~_i), whatever the noise encodings e were (Brehmer, de Haan, Lippe,
Cohen, NeurIPS 2022, arXiv 2203.16437). Over the pairs whose target is i:

- e~_i = s_i^-1(z~_i; e_-i) is independent of e_i. If it is not, the new value keeps a part of the old one; of a
  shift or noise that is added it keeps all of it, and the slope of e~_i in e_i is 1;
- z~_i = s_i(e~_i; e_-i) is independent of all e_-i. If it is not, the solution function s_i is not right;
- e~_i depends on the parents of i, each of them. If it depends on no other variable at all, there is no edge, or the
  intervention left every mechanism as it was and redrew its noise: nothing in the pairs can tell the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.evaluation.shown_edges import affine, as_claimed, features, shown, shown_together
from pyro_lcm.identify.explained import held_out_error

Array = NDArray[np.float64]

_RIDGE = 1e-3
_FOLDS = 2
_EXCHANGES = 16
"""Of old values between pairs, for what is by chance."""
FEWEST = 8
"""Pairs of a target below which nothing is said of its new values."""
JUDGED = 30
"""Pairs of a target below which too little can be seen to say that nothing is off: of 12 and of 20 of them and three
variables, an edge was missed unseen."""
CONSTANT = 0.05
"""Spread of new values, in units of that without an intervention, below which what they depend on is no matter."""
MAX_MEMORY = 0.15
"""Correlation of new and old values from which on a part of the old one is kept, where chance does not explain it:
perfect interventions had at most .11 in some hundred pairs, values half way .2 to .45, shifts 1."""
SHORTEST = 0.02
"""Share of a target's moves that are taken for shorter than those that can be seen."""
CERTAIN = 4.0
"""Standard errors beyond which chance does not explain a correlation."""
ALL_KEPT = 0.1
"""Distance from 1 of the slope of new in old values up to which the old one is kept whole, and something added."""
MAX_LEANING = 0.05
"""Share of the variance of what a solution function makes of new values that other variables may explain: about what
the disentanglement lacks."""
MIN_CAUSED = 0.03
"""Share of the variance of redrawn noise encodings that others explain, below which a graph is as good as empty."""
MOSTLY = 0.9
"""Share of a target's pairs that are different where pairs are not repeated."""
ENOUGH = 50
"""Pairs of a target that show whether anything is behind its redrawn noise encoding."""
ROTATED = (
    "soft_ilcm and soft_elcm are for it if x is z rotated, which is an assumption that no check can test, and if the"
    " interventions change what causes do or mechanisms are not linear"
)


Claim = Callable[[int, int, NDArray[np.int64]], Array | None]
"""From a parent, a child and rows (n,), to what the child's shift owes to that parent alone in these, (n,)."""


@dataclass(frozen=True, eq=False)
class NewValues:
    """What the pairs of each target tell; NaN of a variable with fewer than :data:`FEWEST` of them.

    Attributes:
        pairs: (d,) number of different pairs of each target.
        memory: (d,) correlation of e~_i with e_i, given the other noise encodings; of their distances from the middle
            where that is farther from what is expected.
        expected: (d,) the same of new values that owe nothing to old ones, among pairs whose moves are as long as those
            that are seen: short ones hide in noise, and long ones are towards the middle.
        slope: (d,) slope of e~_i in e_i given the others, as a perfect intervention has 0.
        slope_error: (d,) its standard error.
        leaning: (d,) share of the variance of z~_i that the other noise encodings explain in pairs held out.
        caused: (d,) the same of e~_i.
        doubtful: edges of the graph, (parent, child), which these pairs do not show though they should, or contradict.
    """

    pairs: NDArray[np.int64]
    memory: Array
    expected: Array
    slope: Array
    slope_error: Array
    leaning: Array
    caused: Array
    doubtful: tuple[tuple[int, int], ...]


def new_values(
    noise: Array,
    redrawn: Array,
    values: Array,
    target: NDArray[np.int64],
    *,
    kept: Array | None = None,
    causal: Array | None = None,
    adjacency: NDArray[np.int8] | None = None,
    linear: bool = False,
    claim: Claim | None = None,
    fitted_to: int | None = None,
) -> NewValues:
    """Look at the new values of each target.

    Args:
        noise: (N, d) noise encodings before.
        redrawn: (N, d) what perfect interventions would have redrawn; of column i the rows with target i count.
        values: (N, d) the new values s_i(e~_i; e_-i) that the model makes of these, likewise.
        target: (N,) 0 none, i variable i.
        kept: (d,) parts of the old values that the model knows of, which were taken off ``redrawn``; none if None.
        causal: (N, d) causal variables before; without them, or without a graph, nothing is said of edges.
        adjacency: (d, d) the graph found, ``[parent, child]``.
        linear: whether mechanisms are, so that edges are looked for as slopes alone.
        claim: tells what solution functions make of parents, if they are not linear; None if they do not tell.
        fitted_to: number of pairs of the fit, which are to be other ones; None if it is not known.

    Returns:
        What they tell.
    """
    dim = noise.shape[1]
    known = np.zeros(dim) if kept is None else kept
    standard = (noise - noise.mean(0)) / np.maximum(noise.std(0), 1e-12)
    found, expected = np.full((5, dim), np.nan), np.full(dim, np.nan)
    pairs = np.zeros(dim, dtype=np.int64)
    doubtful: list[tuple[int, int]] = []
    different = np.zeros(len(target), dtype=bool)
    for i in range(dim):
        rows = _different(noise, redrawn, np.flatnonzero(target == i + 1))
        pairs[i] = len(rows)
        different[rows] = True
        if len(rows) < max(FEWEST, dim + 4):
            continue
        others = np.delete(standard[rows], i, axis=1)
        new = redrawn[rows, i]
        memory, expected[i], slope, error = _memory(others, standard[rows, i], new, new - noise[rows, i])
        scale = max(float(noise[:, i].std()), 1e-12)
        spread = CONSTANT * (1.0 if causal is None else float(causal[:, i].std()))
        share = 1 - known[i]
        found[:, i] = (
            memory,
            known[i] + share * slope / scale,
            abs(share) * error / scale,
            _explained(features(others), values[rows, i], spread),
            _explained(features(others), new, CONSTANT * scale),
        )
        if causal is not None and adjacency is not None:
            parents = np.flatnonzero(adjacency[:, i])
            as_affine = affine(noise[rows, i], new, causal[rows, i], values[rows, i])
            known_to = (causal[rows], new, as_affine[0], parents)
            doubtful += [
                (int(p), i)
                for p in parents
                if not shown(*known_to, int(p), linear)
                and (claim is None or not as_claimed(new, *as_affine, claim(int(p), i, rows)))
            ]
    if doubtful and linear and causal is not None and adjacency is not None:
        more = 1.0 if fitted_to is None else fitted_to / len(target)
        if different.sum() < MOSTLY * (target > 0).sum():
            more = 1.0  # repeated pairs, and who knows how many of those of the fit
        together = shown_together(noise, redrawn, np.where(different, target, 0), causal, adjacency, more)
        doubtful = [edge for edge in doubtful if edge not in together]
    return NewValues(pairs, found[0], expected, found[1], found[2], found[3], found[4], tuple(doubtful))


def _different(noise: Array, redrawn: Array, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows (n,) of pairs that are not the same."""
    both = np.concatenate([noise[rows], redrawn[rows]], 1)
    return rows[np.sort(np.unique(both, axis=0, return_index=True)[1])]


def _memory(others: Array, old: Array, new: Array, move: Array) -> tuple[float, float, float, float]:
    """Correlation of new and old given the others, what it would be by chance, and the slope with its error."""
    design = np.column_stack([others, np.ones(len(old))])
    left_old, left_new = (y - design @ np.linalg.lstsq(design, y, rcond=None)[0] for y in (old, new))
    square = max(float(left_old @ left_old), 1e-300)
    slope = float(left_old @ left_new) / square
    rest = left_new - slope * left_old
    error = float(np.sqrt(rest @ rest / max(len(old) - design.shape[1] - 1, 1) / square))

    def correlations(old: Array, new: Array) -> Array:
        return np.array([_correlation(old, new), _correlation(np.abs(old), np.abs(new - np.median(new)))])

    seen, rng = np.quantile(np.abs(move), SHORTEST), np.random.default_rng(0)
    by_chance = np.zeros(2)
    for _ in range(_EXCHANGES):
        places = rng.permutation(len(new))
        kept = np.abs(move + left_new[places] - left_new) >= seen
        by_chance += correlations(left_old[kept], left_new[places][kept]) / _EXCHANGES
    found = correlations(left_old, left_new)
    which = int(np.abs(found - by_chance).argmax())
    return float(found[which]), float(by_chance[which]), slope, error


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or min(first.std(), second.std()) < CONSTANT:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _explained(columns: Array, response: Array, least: float) -> float:
    """Share of a response's variance, ``least`` squared at least, that ridge regression explains in pairs held out."""
    if columns.shape[1] == 0:
        return 0.0
    design = np.column_stack([columns, np.ones(len(response))])
    penalty = np.array([*np.full(columns.shape[1], _RIDGE), 0.0])
    fold = np.arange(len(response)) % _FOLDS
    errors = (held_out_error(design, response, fold == k, penalty=penalty) for k in range(_FOLDS))
    squares = sum(float(np.square(error).sum()) for error in errors)
    variance = float(response.var())
    return (variance - squares / len(response)) / max(variance, least**2, 1e-300)


def problems_of_new_values(told: NewValues, names: Sequence[str], *, exact: bool = True) -> list[str]:
    """What is off about the new values, a line each.

    Args:
        told: what they tell.
        names: of the d variables.
        exact: whether the solution functions and the graph are looked at, too.
    """
    chance = CERTAIN / np.sqrt(np.maximum(told.pairs, 1))
    with np.errstate(invalid="ignore"):
        remembers = np.abs(told.memory - told.expected) > np.maximum(MAX_MEMORY, chance)
        near = np.abs(told.slope - 1) <= np.where(remembers, np.maximum(ALL_KEPT, 2 * told.slope_error), ALL_KEPT)
        whole = near & (told.slope > CERTAIN * told.slope_error)
        kept = remembers | whole
    problems = []
    for name, memory, slope, part, added in zip(names, told.memory, told.slope, kept, whole, strict=True):
        if added:
            problems.append(
                f"{name} keeps its old value whole and something is added (slope of new in old {slope:.2f}): a shift,"
                " or added noise. Its noise encoding holds, but no pair tells how it depends on its causes: do"
                f" not use its causal variable or the graph ({ROTATED})"
            )
        elif part:
            problems.append(
                f"{name} keeps a part of its old value (correlation {memory:.2f}, slope {slope:.2f}): causal variables"
                " and graph are wrong; partial_ilcm is for it (--model)"
            )
    if not exact:
        return problems
    problems += [
        f"the new values of {name} depend on other variables, which explain {share:.0%} of what its solution function"
        " makes of them: too short a fit, too few pairs, or no perfect interventions"
        for name, share, also in zip(names, told.leaning, kept, strict=True)
        if share > MAX_LEANING and not also
    ]
    problems += [
        f"only {number} different pairs of these have {name} as target: too few to judge by; look at more if possible"
        for name, number in zip(names, told.pairs, strict=True)
        if number < max(JUDGED, len(names) + 4)
    ]
    if told.doubtful:
        edges = ", ".join(f"{names[parent]} -> {names[child]}" for parent, child in told.doubtful)
        problems.append(f"the graph is in doubt: these pairs do not show {edges} (graph_posterior has probabilities)")
    return problems


def problems_of_soft(told: NewValues, adjacency: NDArray[np.int8], names: Sequence[str]) -> list[str]:
    """What is off about soft interventions in a linear system, a line at most.

    With x = Q z, Q a rotation, z = T e and noise encodings e, every order of the variables has a triangular T. What
    tells the right one is that redrawn noise encodings depend on those of causes, unless these keep their whole effect.

    Args:
        told: what new values tell.
        adjacency: (d, d) the graph found, ``[parent, child]``.
        names: of the d variables.
    """
    whole = adjacency.any(0) & (told.caused <= MIN_CAUSED) & (told.pairs >= ENOUGH)
    if not whole.any():
        return []
    which = ", ".join(name for name, kept in zip(names, whole, strict=True) if kept)
    return [
        f"interventions leave causes their whole effect on {which}: then nothing tells the order of the variables, even"
        " if x is z rotated; causal variables and graph are a guess"
    ]


def hint_of_new_values(told: NewValues, adjacency: NDArray[np.int8]) -> str | None:
    """What a nearly empty graph may hide; None where there are edges.

    Args:
        told: what new values tell.
        adjacency: (d, d) the graph found, ``[parent, child]``.
    """
    if len(told.pairs) < 2:
        return None
    edges = int(adjacency.sum())
    # Of few pairs it cannot be said that their variable has no causes.
    seen = (told.caused > MIN_CAUSED) | (told.pairs < ENOUGH)
    if seen[adjacency.any(0)].any():
        return None
    number = "no edge" if not edges else f"{edges} weak edge{'s' if edges > 1 else ''}"
    return (
        f"{number} found. Soft interventions, which change a variable's noise and leave its causes their effect, give"
        " the same pairs: a model without edges explains them as well, and nothing in the pairs can tell. If"
        f" interventions may be soft, noise encodings hold, causal variables and graph do not ({ROTATED})"
    )
