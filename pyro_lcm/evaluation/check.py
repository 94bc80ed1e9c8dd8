"""Did it work? What can be said without any truth.

A fitted latent causal model leaves traces of success in the pairs themselves: every component is some pairs' target,
differences of noise encodings are one-sparse, untouched components agree on both sides, x is reconstructed, the noise
encodings are independent standard normals, and a causal variable that was redrawn depends on none of the others. Each
is measured here, and what is off is named.

Of images reconstruction says little: sharp edges, texture and the noise of pixels are left out by codes that hold every
variable, and a variable that shows in few pixels may be missing from one that explains nearly all. What is looked at
instead is whether images differ between the sides of pairs in which nothing is said to have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.evaluation.new_values import (
    FEWEST,
    JUDGED,
    NewValues,
    hint_of_new_values,
    problems_of_new_values,
    problems_of_soft,
)
from pyro_lcm.frames import shown_in_notebook

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

MIN_USAGE = 0.2
"""Share of a target among the pairs that have one, as a fraction of an even share, below which its component is called
dead."""
MIN_MOVE = 0.5
"""Move of such a component when it is the target, as a fraction of a typical target's, below which it is none."""
MAX_LEAKAGE = 0.15
"""Move of untouched components, as a fraction of a typical target's, above which differences are not one-sparse: what
of it is there in pairs without a target too is noise, of sensors or of the system, and says nothing of the variables
(noise of 5 % with two degrees of freedom: .177 and .165, disentanglement .998)."""
TAIL = 0.99
"""Share of the moves of an untouched component that count in full: noise with two degrees of freedom moved some by 18 %
in the square mean of all, of models with disentanglement .998."""
NEW_EVERY_TIME = 0.5
"""Such a move from which on a component is new on the other side of every pair, as noise is and no variable."""
MIN_CERTAINTY = 0.95
"""Mean probability of the most probable target below which targets are called uncertain."""
LEAST_CERTAINTY = 0.8
"""The same, below which that is a problem though nothing else is off: right models of noisy sensors and of bent mixings
had .82 to .94, wrong ones .3 to .8."""
MIN_EXPLAINED = 0.95
"""Share of the variance of x that reconstruction should explain."""
MAX_UNSEEN = 0.05
"""Share of the pairs without a target whose images may differ plainly nevertheless."""
PLAINLY = 0.5
"""How far images have to differ for it, in units of the middle difference for the target that shows least."""
MAX_DEPENDENCE = 0.1
"""Largest absolute correlation between noise encodings that many pairs may have; few have more by chance."""
CHANCE = 4.0
"""Standard errors of a correlation that chance explains."""
MIN_AGREEMENT = 0.95
"""Mean correlation of matched noise encodings below which two fits found different things."""

ASSUMED = "that new values owe nothing to their causes; soft interventions may leave these a part of their effect"
"""What a check cannot test even where there are edges: they are then right, and the causal variables are not."""


@dataclass(frozen=True, repr=False)
class CheckReport:
    """What a check found.

    Attributes:
        names: of the causal variables.
        usage: (d + 1,) share of pairs for each target, none first.
        moves: (d,) root mean square move of each component when it is the target.
        leakage: (d,) root mean square move of each component when it is not, as a fraction of a typical target's move.
        certainty: mean probability of the most probable target: the share of targets that should be right.
        explained: share of the variance of x that the decoded encodings explain.
        dependence: largest absolute correlation between two noise encodings.
        elbo: evidence lower bound per pair, in nats, of standardised x.
        agreement: (fits, fits) mean correlation of matched noise encodings between fits; None for a single one.
        problems: what is off, a line each; empty if all is well.
        hints: what the pairs leave open though nothing is off, a line each.
        new_values: what the new values of targets tell; None for models without a graph.
        assumes_perfect: whether the model takes new values to owe nothing to their causes.
        unseen: share of the pairs without a target whose images differ plainly; None where x are no images.
    """

    names: tuple[str, ...]
    usage: Array
    moves: Array
    leakage: Array
    certainty: float
    explained: float
    dependence: float
    elbo: float
    agreement: Array | None
    problems: tuple[str, ...]
    hints: tuple[str, ...] = ()
    new_values: NewValues | None = None
    assumes_perfect: bool = False
    unseen: float | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is off."""
        return not self.problems

    def __repr__(self) -> str:
        verdict = "no problem found" if self.ok else f"{len(self.problems)} problems: {'; '.join(self.problems)}"
        return f"CheckReport({verdict})"

    def _repr_html_(self) -> str:
        notes = (*(self.problems or ("no problem found",)), *self.hints)
        return shown_in_notebook("Check without truth", self.to_dataframe(), [*self._lines(), *notes])

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each variable: ``target_of``, ``moves_by`` and ``leakage``."""
        import pandas as pd

        columns = {"target_of": self.usage[1:], "moves_by": self.moves, "leakage": self.leakage}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="variable"))

    def _lines(self) -> list[str]:
        """What is measured of all variables together."""
        explained = f"reconstruction explains {self.explained:.4f} of the variance of "
        lines = [f"targets are certain to {self.certainty:.3f} (good: > {MIN_CERTAINTY})"]
        if self.unseen is None:
            lines.append(f"{explained}x (good: > {MIN_EXPLAINED})")
        else:
            lines.append(f"{explained}all pixels")
            lines.append(f"images differ in {self.unseen:.3f} of the pairs without a target (good: < {MAX_UNSEEN})")
        lines.append(f"largest correlation of noise encodings {self.dependence:.3f} (good: < {MAX_DEPENDENCE})")
        lines.append(f"ELBO per pair {self.elbo:.3f} nats")
        if self.agreement is not None:
            off = self.agreement[~np.eye(len(self.agreement), dtype=bool)]
            lines.append(f"agreement of fits {off.min():.3f} to {off.max():.3f} (good: > {MIN_AGREEMENT})")
        return lines

    def to_text(self) -> str:
        """A table and the verdict, for a terminal."""
        lines = [f"{'variable':<12}{'target of':>10}{'moves by':>10}{'leakage':>10}"]
        lines.append(f"{'(none)':<12}{self.usage[0]:>10.3f}")
        for name, use, move, leak in zip(self.names, self.usage[1:], self.moves, self.leakage, strict=True):
            lines.append(f"{name:<12}{use:>10.3f}{move:>10.2f}{leak:>10.3f}")
        lines += self._lines()
        lines += [f"PROBLEM: {problem}" for problem in self.problems] or ["No problem found."]
        lines += [f"NOTE: {hint}" for hint in self.hints]
        if self.assumes_perfect:
            lines.append(f"Assumed, and seen in no pair: {ASSUMED}.")
        return "\n".join(lines)


def check_latents(
    noise: Array,
    noise_after: Array,
    targets: Array,
    *,
    explained: float,
    elbo: float,
    names: Sequence[str],
    image_change: Array | None = None,
    agreement: Array | None = None,
    told: NewValues | None = None,
    adjacency: NDArray[np.int8] | None = None,
    exact: bool = True,
    soft_model: bool = False,
) -> CheckReport:
    """Judge noise encodings and inferred targets of held-out pairs.

    Args:
        noise: (N, d) noise encodings before.
        noise_after: (N, d) noise encodings after.
        targets: (N, d + 1) probabilities of the targets, column 0 none.
        explained: share of the variance of x that reconstruction explains.
        elbo: evidence lower bound per pair.
        names: of the d variables.
        image_change: (N,) squared distances of the images of a pair; None where x are no images.
        agreement: (fits, fits) mean correlation of matched noise encodings between fits.
        told: what the new values of targets tell, if they were looked at.
        adjacency: (d, d) the graph found, if they were.
        exact: see :func:`~pyro_lcm.evaluation.new_values.problems_of_new_values`.
        soft_model: whether the model is one of soft interventions, of which new values may depend on causes.

    Returns:
        The report.
    """
    move = noise_after - noise
    hit = targets[:, 1:]
    usage = targets.mean(0)
    total = np.maximum(hit.sum(0), 1e-9)
    moves = np.sqrt((hit * move**2).sum(0) / total)
    rest = np.maximum((1 - hit).sum(0), 1e-9)
    typical = np.sqrt((hit * move**2).sum() / total.sum()) if hit.sum() > 1 else float(np.std(noise))
    # Another offset of the side after moves all alike, and is no leakage.
    common = ((1 - hit) * move).sum(0) / rest
    common = np.where(np.abs(common) > MAX_LEAKAGE * typical, common, 0.0)
    square = np.square(move - common)
    # Heavy tails of sensors' noise are no leakage: what is further out than nearly all counts as these do.
    square = np.minimum(square, _tails(square, hit))
    leakage = np.sqrt(((1 - hit) * square).sum(0) / rest) / max(typical, 1e-9)
    spilled = np.sqrt(_spilled(square, targets)) / max(typical, 1e-9)
    constant = noise.std(0) < 1e-9
    standard = (noise - noise.mean(0)) / np.where(constant, 1.0, noise.std(0))
    correlation = standard.T @ standard / len(noise)
    np.fill_diagonal(correlation, 0.0)
    dependence = float(np.abs(correlation).max(initial=0.0))
    certainty = float(targets.max(1).mean())
    unseen = None if image_change is None else _unseen(image_change, targets.argmax(1), len(names))
    noisy = leakage > NEW_EVERY_TIME
    rare = usage[1:] < MIN_USAGE / noise.shape[1] * (1 - usage[0])
    # One that is seldom a target, and then moves as far as others, is a variable.
    idle = (usage[1:] * len(noise) < FEWEST) | (rare & (moves < MIN_MOVE * typical))
    problems = [
        f"{name} is hardly ever a target ({use:.1%} of pairs): a dead component, or a variable that is never"
        " intervened on, whose causes then stay unknown"
        for name, use, never, noise_alone in zip(names, usage[1:], idle, noisy, strict=True)
        if never and not noise_alone
    ]
    problems += [
        f"{name} is new on the other side of every pair ({leak:.0%} of a typical target's move when others are the"
        " target): noise, not a variable; too many variables (--dim-z)"
        for name, leak, noise_alone in zip(names, leakage, noisy, strict=True)
        if noise_alone
    ]
    problems += [
        f"{name} moves when others are the target ({leak:.0%} of a typical target's move): differences are not"
        " one-sparse"
        for name, leak, noise_alone in zip(names, spilled, noisy, strict=True)
        if leak > MAX_LEAKAGE and not noise_alone
    ]
    problems += [f"{name} is constant: a dead component" for name, dead in zip(names, constant, strict=True) if dead]
    if usage[0] > 0.9 and not _none_keeps_still(move, targets[:, 0], typical):
        problems.append(f"{usage[0]:.0%} of pairs are taken as without intervention: the targets have collapsed")
    if unseen is not None and unseen > MAX_UNSEEN:
        problems.append(
            f"images differ in {unseen:.0%} of the pairs without a target: too few variables (--dim-z), or a component"
            " has the same value for different images"
        )
    if unseen is None and explained < MIN_EXPLAINED:
        problems.append(
            f"reconstruction explains only {explained:.1%} of the variance of x: too few variables (--dim-z),"
            " too little training, or noise"
        )
    if agreement is not None and len(agreement) > 1:
        lowest = agreement[~np.eye(len(agreement), dtype=bool)].min()
        if lowest < MIN_AGREEMENT:
            problems.append(f"independent fits disagree (mean correlation of matched noise encodings {lowest:.2f})")
    soft = None
    if told is not None and adjacency is not None:
        # Too few pairs of a target that is hardly ever one are said already.
        said = {problem.split()[0] for problem in problems}
        off = (
            problems_of_soft(told, adjacency, names) if soft_model else problems_of_new_values(told, names, exact=exact)
        )
        problems += [problem for problem in off if not (problem.startswith("only") and said & set(problem.split()))]
        soft = None if soft_model else hint_of_new_values(told, adjacency)
    hints = [soft] if soft else []
    restless = (leakage > MAX_LEAKAGE) & (spilled <= MAX_LEAKAGE) & ~noisy
    if restless.any():
        which = ", ".join(name for name, moves_alone in zip(names, restless, strict=True) if moves_alone)
        hints.append(
            f"{which} {'moves' if restless.sum() == 1 else 'move'} though nothing is changed (by"
            f" {leakage[restless].max():.0%} of a typical target's move): noise of the sensors, or of the system"
        )
    if certainty < MIN_CERTAINTY:
        line = f"targets are uncertain: about {certainty:.0%} of them should be right; noise on x hides short moves"
        (problems if problems or certainty < LEAST_CERTAINTY else hints).append(f"{line}, or the fit is off")
    if common.any():
        line = "the side after has another offset: untouched components move, all alike"
        (problems if problems else hints).append(f"{line}; take it off x_after, or new values are off by it")
    if dependence > np.hypot(MAX_DEPENDENCE, CHANCE / np.sqrt(len(noise))):
        i, j = divmod(int(np.abs(correlation).argmax()), len(correlation))
        line = f"noise encodings of {names[i]} and {names[j]} are correlated ({dependence:.2f})"
        if told is None or problems or soft:
            problems.append(line)
        else:
            hints.append(
                f"{line}: a cause of both is not among the variables. Variables and graph rest on interventions, which"
                " show nothing wrong; what is sampled, and effects of what is only observed, do not"
            )
    return CheckReport(
        tuple(names),
        usage,
        moves,
        leakage,
        certainty,
        explained,
        dependence,
        elbo,
        agreement,
        tuple(problems),
        tuple(hints),
        told,
        told is not None and not soft_model,
        unseen,
    )


def _spilled(square: Array, targets: Array) -> Array:
    """Mean squared move (d,) of untouched components where others are the target, beyond that where nothing is."""
    none = targets[:, :1]
    others = np.maximum(1 - targets[:, 1:] - none, 0.0)
    with_others = (others * square).sum(0) / np.maximum(others.sum(0), 1e-9)
    if none.sum() < JUDGED:
        return with_others
    return np.asarray(np.maximum(with_others - (none * square).sum(0) / none.sum(), 0.0))


def _tails(square: Array, hit: Array) -> Array:
    """Squared moves (d,) beyond which those of untouched components count as these; infinite of one always touched."""
    untouched = np.where(hit < 0.5, square, np.nan)
    seen = (hit < 0.5).any(0)
    tails = np.full(square.shape[1], np.inf)
    tails[seen] = np.nanquantile(untouched[:, seen], TAIL, axis=0, method="higher")
    return tails


def _none_keeps_still(move: Array, none: Array, typical: float) -> bool:
    """Whether pairs that are taken as without intervention move less than untouched components may."""
    square = (none @ np.square(move)) / max(float(none.sum()), 1e-9)
    return bool(np.sqrt(square.max()) <= MAX_LEAKAGE * typical)


def _unseen(change: Array, target: NDArray[np.int64], dim: int) -> float:
    """Share of the pairs without a target whose images differ plainly; 0 where it cannot be said.

    The noise of pixels is a part of every difference: what counts is by how much one is above the middle one of pairs
    without a target.
    """
    of_target = [change[target == i] for i in range(dim + 1)]
    middles = [float(np.median(part)) for part in of_target[1:] if len(part)]
    if not len(of_target[0]) or not middles:
        return 0.0
    still = float(np.median(of_target[0]))
    return float((of_target[0] > still + PLAINLY * (min(middles) - still)).mean())


def agreement_of_fits(encodings: Sequence[NDArray[np.floating]]) -> Array:
    """Mean |correlation| of noise encodings, matched between each two fits, (fits, fits), ones on the diagonal.

    Args:
        encodings: for each fit the (N, d) noise encodings of the same observations.
    """
    from pyro_lcm.evaluation.alignment import align
    from pyro_lcm.evaluation.mcc import mean_correlation

    result = np.eye(len(encodings))
    for i, first in enumerate(encodings):
        for j, second in enumerate(encodings[:i]):
            result[i, j] = result[j, i] = mean_correlation(first, second, align(first, second))
    return result
