"""The posterior of a fitted model's mechanisms, given pairs: what effects do not know beside the graph.

Only the pairs whose target is i say anything of the solution function s_i, and what they say is a regression of what
was redrawn on the causal variables of i's parents (:mod:`pyro_lcm.causal.solution`),

    e~_i = shift_i(z_pa(i)) + scale_i z~_i,     z~_i ~ N(0, 1).

Where all is linear the posterior holds the encoder's error and that of the map to x too, is exact without noise on x
and takes noise and uncertain targets into account with it (:mod:`pyro_lcm.reasoning.linear_posterior`). Of networks
there is none: draws of their last layers alone, with the encoder and the layers below held, held five of nine effects
in their 90 % intervals.

A draw's causal variables are a little other functions of x than the fitted ones. What one asks of them is in the
fitted ones' units, so each draw brings its own to these by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.causal.abilities import as_perfect, solution_of
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.reasoning.fitted import Fitted, FittedStructure
from pyro_lcm.reasoning.linear import LinearStructure
from pyro_lcm.reasoning.linear_posterior import LinearPosterior
from pyro_lcm.reasoning.structure import StructuralModel

Array = NDArray[np.float64]

SPARE_ROWS = 10
"""Fewest pairs with a variable as target beyond one for each of its parents."""


@dataclass(frozen=True, eq=False)
class DrawnStructure:
    """A draw of the mechanisms, and what brings its causal variables to the units of the fitted ones.

    Attributes:
        scm: the draw.
        frame: (d, d): noise encodings (N, d) of the encoder are ``noise @ frame`` in the draw.
        offset: (d,).
        slope: (d,): a fitted value v is ``offset + slope * v`` in the draw's own units.
    """

    scm: StructuralModel
    frame: Array
    offset: Array
    slope: Array


class ParameterPosterior:
    """Posterior of the parameters of a fitted model's linear solution functions.

    Args:
        lcm: a fitted model, linear throughout, of perfect interventions on one variable at a time.
        pairs: pairs before and after, those that the model was fitted to or others of the same system.

    Raises:
        ValueError: if the model has no such solution functions, or a variable is hardly ever a target.
    """

    def __init__(self, lcm: Fitted, pairs: InterventionPairs) -> None:
        self._scm = FittedStructure(lcm)
        fitted = lcm.fitted
        solution = solution_of(fitted.model)
        if solution is None or not fitted.linear or not fitted.perfect:
            raise ValueError(
                f"pairs: got some for {fitted.name}, of whose mechanisms there is no posterior, expected a fit in which"
                " all is linear, of perfect interventions"
            )
        self._context = solution.context
        with torch.no_grad():
            x, x_after = sides(pairs)
            noise, after = (torch.as_tensor(fitted.encode(side).noise).to(self._scm.zero) for side in (x, x_after))
            redrawn_noise = as_perfect(fitted.model, noise, after)
        target = fitted.infer_targets(x, x_after).argmax(1)
        self.rows = [np.flatnonzero(target == i + 1) for i in range(self._scm.dim)]
        for i, rows in enumerate(self.rows):
            least = SPARE_ROWS + int(self._scm.adjacency[:, i].sum())
            if len(rows) < least:
                raise ValueError(
                    f"pairs: {len(rows)} have {self._scm.names[i]} as their target, expected at least {least} of them"
                )
        seen = [self._scm.observations(side) for side in (x, x_after)]
        codes, redrawn = (part.double().cpu().numpy() for part in (noise, redrawn_noise))
        values = torch.cat(seen).double().cpu().numpy().reshape(2 * len(codes), -1)
        self.linear = LinearPosterior(codes, redrawn, self.rows, values)
        zero = torch.zeros(1, self._scm.dim).to(noise)
        ends = self._scm.solve(torch.cat([zero, torch.eye(self._scm.dim).to(noise)])).causal.double().cpu().numpy()
        self._affine = ends[0], ends[1:] - ends[0]

    @property
    def predecessors(self) -> NDArray[np.int8]:
        """(d, d) ``[predecessor, variable]``, the order found with the fit: an edge that was left out has no error."""
        found: NDArray[np.int8] = self._context.cpu().numpy().astype(np.int8)
        return found

    @torch.no_grad()
    def draw(self, rng: np.random.Generator | None, graph: NDArray[np.integer[Any]] | None = None) -> DrawnStructure:
        """Draw the mechanisms.

        Args:
            rng: source of randomness; None for the mean of the posterior.
            graph: (d, d) ``[parent, child]``, acyclic: the parents that linear mechanisms depend on; all predecessors
                if None, since a parent that was not found would have an effect of 0 without an error.

        Returns:
            The draw. Its z and the fitted v = v_0 + c V are both linear in e but for noise, so that the line of z on v
            is cov(z, v) / var(v) by the covariance of codes, what noise has in it left out of the first.
        """
        graph = self.predecessors if graph is None else np.asarray(graph, dtype=np.int8)
        drawn = self.linear.draw(graph, rng)
        constant, matrix = drawn.causal
        frame, codes = np.asarray(np.linalg.inv(drawn.axes)), self.linear.codes
        whole = np.atleast_2d(np.cov(codes.T, bias=True))
        of_noise = whole
        if self.linear.noisy:
            of_noise = drawn.axes.T @ drawn.axes
            whole = of_noise + drawn.noise
        offset, along = self._affine
        slope = ((frame @ matrix).T @ of_noise @ along).diagonal() / (along.T @ whole @ along).diagonal()
        middle = codes.mean(0)
        offset = constant + middle @ frame @ matrix - slope * (offset + middle @ along)
        loadings, center = self.linear.draw_loadings(drawn.axes, rng)
        # e_i = b + sum c z + s z_i, so z_i = (e_i - b - sum c z) / s
        inverse = 1 / drawn.scales
        scm = LinearStructure(
            -drawn.coefficients * inverse,
            -drawn.intercepts * inverse,
            inverse,
            loadings,
            center,
            graph,
            self._scm.names,
        )
        return DrawnStructure(scm, frame, offset, slope)
