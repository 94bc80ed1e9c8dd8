"""The recipe of interventions that keep a part of the old value: that of perfect ones, once the parts are known.

In noise encodings an intervention moves one component whatever it keeps, so encodings and targets are found as in
:mod:`pyro_lcm.recipes.implicit`. The part is the slope of e~_i in e_i over the pairs of i
(:mod:`pyro_lcm.models.partial_ilcm`), and what the hooks for order, mechanisms and graph see is what a perfect
intervention would have redrawn (:func:`~pyro_lcm.causal.abilities.as_perfect`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pyro_lcm.identify.causal_order import least_squares
from pyro_lcm.identify.parents import MIN_ROWS
from pyro_lcm.recipes.encodings import encode_pairs, sample_pairs
from pyro_lcm.recipes.initialize import Initialize
from pyro_lcm.recipes.structure import FindOrder, FindOrderAndReadouts
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.sources import DataSource


@dataclass(frozen=True)
class FindKept:
    """Set the parts that interventions keep, by least squares, then do what the phase begins with.

    Attributes:
        then: that hook.
        pairs: how many pairs to use at most.
    """

    then: Callable[[Any, DataSource, int], Any]
    pairs: int = 100_000

    def __call__(self, objective: Any, source: DataSource, seed: int) -> Any:
        """Set ``model.kept``; see the class."""
        model = objective.model
        before, after, target = encode_pairs(objective.guide, sample_pairs(source, self.pairs, seed))
        for i in range(model.dim_z):
            rows, others = target == i + 1, [j for j in range(model.dim_z) if j != i]
            if int(rows.sum()) >= MIN_ROWS + 2 * model.dim_z:
                own, *_ = least_squares(before[rows], [i, *others], after[rows, i], split=True)
                model.kept[i] = own
        return self.then(objective, source, seed)


def keeping_parts(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases of :func:`~pyro_lcm.recipes.implicit.identify`, with the parts found before each hook that uses them.

    Readouts of causal variables are left out: they are of the values after a perfect intervention.
    """
    changed = []
    for phase in phases:
        start = FindOrder() if isinstance(phase.start, FindOrderAndReadouts) else phase.start
        if start is not None and not isinstance(start, Initialize):
            start = FindKept(start)
        changed.append(replace(phase, start=start))
    return tuple(changed)
