"""How many causal variables? A choice by held-out evidence lower bound.

All candidates are fitted to the same training pairs and scored on the same held-out ones, in the same units of x, with
all targets summed out, so their ELBOs can be compared. One variable too few leaves part of x unexplained; one too many
has no use for its target, which costs log((d + 2) / (d + 1)) nats a pair, or takes noise for a variable. Of numbers
that the held-out pairs do not tell apart the smallest is chosen. Truth is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyro_lcm.data.holdout import HELD_OUT, MIN_PAIRS, hold_out
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import some_pairs
from pyro_lcm.fitting.design import check_dim_of_images, fit_standardizer
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.identify.shared_subspace import shared_directions
from pyro_lcm.lcm import LatentCausalModel
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.training.driver import check_seed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Candidate", "DimChoice", "candidate_dims", "choose_dim_z", "chosen_dim", "compare_dims"]

_BLOCKS = 20
"""Parts of the held-out pairs from whose ELBOs the error of a difference is estimated."""
_ERRORS = 2.0
"""Standard errors by which a candidate has to be behind the best to be ruled out."""
_ROWS = 100_000


@dataclass(frozen=True)
class Candidate:
    """How one number of variables did.

    Attributes:
        dim_z: the number.
        elbo: held-out ELBO per pair, in nats.
        behind: by how much it is behind the best candidate.
        error: standard error of that difference, over parts of the held-out pairs.
        problems: what its check names.
    """

    dim_z: int
    elbo: float
    behind: float
    error: float
    problems: tuple[str, ...]

    def to_text(self) -> str:
        """One line."""
        number = len(self.problems)
        verdict = "no problem" if not number else f"{number} problem{'s' if number > 1 else ''}, {self.problems[0]}"
        gap = f"behind by {self.behind:.3f} +- {self.error:.3f}"
        return f"{self.dim_z} variables: ELBO {self.elbo:.3f}, {gap}; {verdict}"


@dataclass(frozen=True, repr=False)
class DimChoice:
    """The number of variables that was chosen.

    Attributes:
        dim_z: the number.
        model: the fit with it.
        candidates: how each number did.
    """

    dim_z: int
    model: LatentCausalModel
    candidates: tuple[Candidate, ...]

    def __repr__(self) -> str:
        return f"DimChoice(dim_z={self.dim_z}, of {[row.dim_z for row in self.candidates]})"

    def _repr_html_(self) -> str:
        return shown_in_notebook(f"{self.dim_z} causal variables", self.to_dataframe())

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each candidate: ``dim_z``, ``elbo``, ``behind``, ``error``, ``problems`` (their number)."""
        import pandas as pd

        rows = [(row.dim_z, row.elbo, row.behind, row.error, len(row.problems)) for row in self.candidates]
        return pd.DataFrame(rows, columns=["dim_z", "elbo", "behind", "error", "problems"])

    def to_text(self) -> str:
        """A line for each candidate, for a terminal."""
        return "\n".join(row.to_text() for row in self.candidates) + f"\nchosen: {self.dim_z}"


def choose_dim_z(
    pairs: InterventionPairs,
    candidates: Sequence[int] | None = None,
    *,
    model: str = "ilcm",
    validation: InterventionPairs | float = HELD_OUT,
    seed: int = 0,
    budget: Budget | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> DimChoice:
    """Fit several numbers of causal variables and choose one by held-out ELBO.

    Args:
        pairs: training pairs; truth in them is not used.
        candidates: numbers to try, each from 1 to the number of directions in which x varies; by default the number
            of directions that both sides of a pair share, and its neighbours.
        model: a name in :data:`pyro_lcm.registry.SPECS`.
        validation: held-out pairs, or the fraction of the pairs to hold out.
        seed: of everything random.
        budget: steps of each fit.
        options: as :class:`~pyro_lcm.LatentCausalModel` takes them.
        device: as :meth:`~pyro_lcm.LatentCausalModel.fit` takes it.
        progress: whether to show progress bars.

    Returns:
        The choice, with its fitted model.

    Raises:
        ValueError: if a candidate is out of range or data or options do not fit.

    Example:
        >>> from pyro_lcm import Budget, ScalingSystem
        >>> pairs = ScalingSystem(2, seed=0, dim_x=4, observation_noise=0.01).sample(2000)
        >>> choose_dim_z(pairs, [1, 2, 3], budget=Budget(refine=40), progress=False).dim_z
        2
    """
    seed = check_seed(seed)
    training, held_out = hold_out(pairs, validation, seed=seed)
    models = [
        # One kind of decoder for all, so that their ELBOs are of the same kind of density.
        LatentCausalModel(model, dim_z=dim, options={"invertible": False, **(options or {})}).fit(
            training, validation=held_out, seed=seed, budget=budget, device=device, progress=progress
        )
        for dim in candidate_dims(training, candidates, seed=seed)
    ]
    rows = compare_dims(models, held_out, seed=seed)
    best = chosen_dim(rows)
    return DimChoice(best.dim_z, models[rows.index(best)], rows)


def candidate_dims(pairs: InterventionPairs, given: Sequence[int] | None = None, *, seed: int = 0) -> tuple[int, ...]:
    """The numbers of variables to try, ascending; see :func:`choose_dim_z`.

    Raises:
        ValueError: if a given one is out of range; the message names ``candidates``.
    """
    check_dim_of_images(pairs, "auto")
    standardizer = fit_standardizer(pairs, units="whiten")
    most = int(standardizer.output_shape[0])
    if given is not None:
        numbers = tuple(sorted(given))
        if not numbers or numbers[0] < 1 or numbers[-1] > most or len(set(numbers)) < len(numbers):
            raise ValueError(
                f"candidates: got {list(given)}, expected different numbers from 1 to {most}, the number of"
                " directions in which x varies"
            )
        return numbers
    some = some_pairs(pairs, seed=seed, most=_ROWS)
    sides = (standardizer.transform(side).astype(np.float64) for side in (some.x, some.x_after))
    middle = shared_directions(*sides).number or most
    return tuple(range(max(1, middle - 1), min(most, middle + 1) + 1))


def compare_dims(
    models: Sequence[LatentCausalModel], held_out: InterventionPairs, *, seed: int = 0
) -> tuple[Candidate, ...]:
    """Score fits of different numbers of variables on the same held-out pairs, in the order given.

    Args:
        models: fits of the same training pairs.
        held_out: pairs that none of them has seen.
        seed: of the draws of the guides.
    """
    blocks = np.array_split(np.arange(len(held_out)), min(_BLOCKS, len(held_out)))
    sizes = np.array([len(block) for block in blocks])
    elbos = np.array(
        [[model.elbo(held_out[block], hypotheses=model.dim_z + 1, seed=seed) for block in blocks] for model in models]
    )
    # The ELBO that is told is the one of `model.elbo`; the blocks, with draws of their own, are for the error.
    told = [model.elbo(held_out, seed=seed) for model in models]
    means = elbos @ sizes / sizes.sum()
    behind = elbos[int(np.nanargmax(means))] - elbos if np.isfinite(means).any() else np.zeros_like(elbos)
    errors = behind.std(1, ddof=1) / math.sqrt(len(blocks)) if len(blocks) > 1 else np.zeros(len(models))
    return tuple(
        Candidate(model.dim_z, float(mean), float(gap), float(error), _problems(model, held_out))
        for model, mean, gap, error in zip(models, told, behind @ sizes / sizes.sum(), errors, strict=True)
    )


def _problems(model: LatentCausalModel, held_out: InterventionPairs) -> tuple[str, ...]:
    """What the check names; nothing where there are too few pairs to judge by."""
    return model.check(held_out).problems if len(held_out) >= MIN_PAIRS else ()


def chosen_dim(candidates: Sequence[Candidate]) -> Candidate:
    """The smallest number of variables that is not behind the best by more than two standard errors."""
    possible = [row for row in candidates if row.behind <= _ERRORS * row.error]
    return min(possible or candidates, key=lambda row: row.dim_z)
