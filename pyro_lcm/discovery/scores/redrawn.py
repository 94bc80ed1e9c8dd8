"""The evidence that pairs hold about a graph when the causal variables themselves were learned.

In a pair with target i only the noise encoding of i is redrawn, so that s_i(e~_i; e) has the distribution after an
intervention (Brehmer et al. 2022, arXiv 2203.16437). Given the encoder, all a pair says about i's mechanism is
therefore p(e~_i | parents of i before): an intervention makes z~_i independent of the parents, and the encoding that
would have produced it has to make up for them. Pairs in which i was no target say nothing. Their causal variable
z_i = s_i(e_i; e) is an output of the learned s_i; a regression of it on its parents finds again, with as many rows as
one likes, whatever s_i was, estimation error included, and is sure of edges that are nothing but that error.

The parents' values are those before: a descendant of i was moved by z~_i, but before it knew nothing of e~_i.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.effects import LinearMechanisms
from pyro_lcm.discovery.graph_data import BoolArray, FloatArray, GraphData
from pyro_lcm.discovery.scores.base import LocalScore, total_score
from pyro_lcm.discovery.scores.linear_gaussian import Mechanism
from pyro_lcm.discovery.scores.redrawn_system import fit_system


class RedrawnScore:
    """Evidence of p(redrawn noise encoding of the target | its parents before), a local score.

    Args:
        build: Makes a score of rows; one is made for each variable, from the pairs whose target it was.
        causal: (N, d) causal variables before the intervention.
        noise_after: (N, d) noise encodings after it.
        targets: (N,) targets, 0 none.
        names: The d names.

    Raises:
        ValueError: If shapes do not fit.
    """

    def __init__(
        self,
        build: Callable[[GraphData], LocalScore],
        causal: FloatArray,
        noise_after: FloatArray,
        targets: NDArray[np.integer],
        names: tuple[str, ...],
    ) -> None:
        if noise_after.shape != causal.shape:
            raise ValueError(f"noise_after: got shape {noise_after.shape}, expected {causal.shape} as causal has")
        if targets.shape != causal.shape[:1]:
            raise ValueError(f"targets: got shape {targets.shape}, expected {causal.shape[:1]}")
        self._names = names
        self._build = build
        self._noise_after, self._targets = noise_after, targets
        self._parts = [self._part(child, causal) for child in range(causal.shape[1])]

    def _part(self, child: int, causal: FloatArray) -> LocalScore:
        hit = self._targets == child + 1
        # A variable that was never a target keeps one row that counts nothing.
        rows = np.flatnonzero(hit) if hit.any() else np.zeros(1, dtype=np.int64)
        values = causal[rows].astype(np.float64)
        values[:, child] = self._noise_after[rows, child]
        return self._build(GraphData(values, weights=hit[rows].astype(np.float64), names=self._names))

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return len(self._parts)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the d variables."""
        return self._names

    def local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Log evidence (n,) of a variable's redrawn noise encodings for (n, d) parent sets."""
        return self._parts[child].local(child, parent_sets)

    def total(self, adjacency: ArrayLike) -> FloatArray:
        """Log evidence (...) of graphs (..., d, d)."""
        return total_score(self, adjacency)


class RedrawnMechanisms(RedrawnScore):
    """The same, with the posterior of linear mechanisms: built from a score that has it.

    After an intervention e~_i = (z~_i - sum of b_j z_j) / a with z~_i of unit variance, and z_i = a e_i + sum of
    b_j z_j: the coefficients of the regression are -b / a, and its residual variance is 1 / a^2.
    """

    def mechanism_posterior(self, child: int, parents: BoolArray) -> Mechanism:
        """Posterior of the coefficients b of a variable given its (d,) parents."""
        part = self._parts[child]
        if not isinstance(part, LinearMechanisms):
            raise ValueError(f"build: got a {type(part).__name__}, expected a score with mechanism_posterior")
        found = part.mechanism_posterior(child, parents)
        variance = found.rate / found.shape
        mean, rate = -found.mean / np.sqrt(variance), found.rate / variance
        return Mechanism(mean, found.precision, found.shape, rate)

    def causal_given(self, graph: NDArray[np.int8], noise: FloatArray) -> FloatArray:
        """Causal variables of a graph: its mechanisms, fitted to the pairs, applied to the noise encodings.

        A learned solution function may lean on any variable a little. Given a graph that error has no place: it
        would enter where the variable is a parent, as an edge from the parent's ancestors.

        Args:
            graph: (d, d) DAG.
            noise: (N, d) noise encodings of the same pairs before the intervention.

        Returns:
            (N, d) causal variables before, up to a shift of each.
        """
        return noise @ fit_system(graph, noise, self._noise_after, self._targets).T
