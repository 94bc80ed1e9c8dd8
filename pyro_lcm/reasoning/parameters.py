"""The posterior of a fitted model's mechanisms, given pairs: what effects do not know beside the graph.

Only the pairs whose target is i say anything of the solution function s_i, and what they say is a regression of what
was redrawn on the causal variables of i's parents (:mod:`pyro_lcm.causal.solution`),

    e~_i = shift_i(z_pa(i)) + scale_i(z_pa(i)) z~_i,     z~_i ~ N(0, 1).

Where all is linear the posterior holds the encoder's error and that of the map to x too, is exact without noise on x
and takes noise and uncertain targets into account with it (:mod:`pyro_lcm.reasoning.linear_posterior`). Where shift_i
and scale_i are networks, their last layers have a Laplace posterior with the hidden layers held where they are (MacKay,
Neural Computation 4, 1992; Kristiadi, Hein and Hennig, ICML 2020), the prior variance of the weights by the evidence.
One variable is drawn after the other, each given the causal variables that those before it were drawn to have; an
encoder that is a flow is held.

A draw's causal variables are a little other functions of x than the fitted ones. What one asks of them is in the
fitted ones' units, so each draw brings its own to these by least squares.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_lcm.causal.abilities import as_perfect, solution_of
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.nn.activations import activate
from pyro_lcm.reasoning.fitted import Fitted, FittedStructure
from pyro_lcm.reasoning.linear import LinearStructure
from pyro_lcm.reasoning.linear_posterior import LinearPosterior
from pyro_lcm.reasoning.structure import StructuralModel

Array = NDArray[np.float64]

SPARE_ROWS = 10
"""Fewest pairs with a variable as target beyond one for each of its parents."""
_UNIT_ROWS = 2000
"""Observations from which the units of a draw are found."""
_WEAK = 1e-2
"""Prior precision of intercepts and of coefficients of what is fed in, in units of the noise encodings."""
_PRECISIONS = np.logspace(-3, 6, 19)
"""Prior precisions of the hidden layer's weights among which the evidence chooses."""


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
    """Posterior of the parameters of a fitted model's solution functions.

    Args:
        lcm: a fitted model with affine solution functions (``spline_bins`` 0) that follow an order, of perfect
            interventions on one variable at a time.
        pairs: pairs before and after, those that the model was fitted to or others of the same system.

    Raises:
        ValueError: if the model has no such solution functions, or a variable is hardly ever a target.
    """

    def __init__(self, lcm: Fitted, pairs: InterventionPairs) -> None:
        self._scm = FittedStructure(lcm)
        fitted = lcm.fitted
        solution = solution_of(fitted.model)
        if solution is None or solution.bins or not fitted.perfect:
            raise ValueError(
                f"pairs: got some for {fitted.name}, of whose mechanisms there is no posterior, expected a model with"
                " affine solution functions of perfect interventions"
            )
        self._solution = solution
        self._linear = fitted.linear
        if not self._linear and not bool(solution.resolved.any()) and bool(solution.context.any()):
            raise ValueError(
                "pairs: got some for solution functions that see noise encodings, expected those that see causal"
                " variables, as the default recipe leaves them"
            )
        with torch.no_grad():
            x, x_after = sides(pairs)
            noise, after = (torch.as_tensor(fitted.encode(side).noise).to(self._scm.zero) for side in (x, x_after))
            self.noise, self.redrawn = noise, as_perfect(fitted.model, noise, after)
            self.causal = self._scm.solve(noise[:_UNIT_ROWS]).causal.double().cpu().numpy()
        target = fitted.infer_targets(x, x_after).argmax(1)
        self.rows = [np.flatnonzero(target == i + 1) for i in range(self._scm.dim)]
        for i, rows in enumerate(self.rows):
            least = SPARE_ROWS + int(self._scm.adjacency[:, i].sum())
            if len(rows) < least:
                raise ValueError(
                    f"pairs: {len(rows)} have {self._scm.names[i]} as their target, expected at least {least} of them"
                )
        seen = [self._scm.observations(side) for side in (x, x_after)]
        if self._linear:
            codes, redrawn = (part.double().cpu().numpy() for part in (noise, self.redrawn))
            values = torch.cat(seen).double().cpu().numpy().reshape(2 * len(codes), -1)
            self.linear = LinearPosterior(codes, redrawn, self.rows, values)
            zero = torch.zeros(1, self._scm.dim).to(noise)
            ends = self._scm.solve(torch.cat([zero, torch.eye(self._scm.dim).to(noise)])).causal.double().cpu().numpy()
            self._affine = ends[0], ends[1:] - ends[0]
        # A decoder that is a flow may be anything where no pair has been, and a draw's mechanisms may lead there.
        self._seen = torch.cat(seen).min(0).values, torch.cat(seen).max(0).values
        self._precision: dict[tuple[int, int], float] = {}

    @property
    def follows_graphs(self) -> bool:
        """Whether draws take the parents of a graph that is given; networks do not."""
        return self._linear

    @property
    def predecessors(self) -> NDArray[np.int8]:
        """(d, d) ``[predecessor, variable]``, the order found with the fit: an edge that was left out has no error."""
        found: NDArray[np.int8] = self._solution.context.cpu().numpy().astype(np.int8)
        return found

    @torch.no_grad()
    def draw(self, rng: np.random.Generator | None, graph: NDArray[np.integer[Any]] | None = None) -> DrawnStructure:
        """Draw the mechanisms.

        Args:
            rng: source of randomness; None for the mean of the posterior.
            graph: (d, d) ``[parent, child]``, acyclic: the parents that linear mechanisms depend on; all predecessors
                if None, since a parent that was not found would have an effect of 0 without an error. Networks keep
                the parents that they were trained with.

        Returns:
            The draw.
        """
        if self._linear:
            return self._draw_linear(self.predecessors if graph is None else np.asarray(graph, dtype=np.int8), rng)
        solution = copy.deepcopy(self._solution)
        self._draw_last_layers(solution, self._scm.order, rng)
        scm = self._scm.with_solution(solution, self._seen)
        own = scm.solve(self.noise[:_UNIT_ROWS]).causal.double().cpu().numpy()
        return DrawnStructure(scm, np.eye(self._scm.dim), *self._units(own))

    def _units(self, own: Array) -> tuple[Array, Array]:
        """Offsets and slopes from the fitted causal variables to a draw's own ones of the same rows, (rows, d)."""
        slope = ((own - own.mean(0)) * (self.causal - self.causal.mean(0))).mean(0) / self.causal.var(0)
        return own.mean(0) - slope * self.causal.mean(0), slope

    def _draw_linear(self, graph: NDArray[np.int8], rng: np.random.Generator | None) -> DrawnStructure:
        """Linear mechanisms, encoder and decoder of a draw.

        A draw's z and the fitted v = v_0 + c V are both linear in e but for noise, so that the line of z on v is
        cov(z, v) / var(v) by the covariance of codes, what noise has in it left out of the first.
        """
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

    def _draw_last_layers(
        self, solution: SolutionFunctions, order: Sequence[int], rng: np.random.Generator | None
    ) -> None:
        """Set the last layers of the networks, one variable after the other.

        Of a log scale all but a factor of what was fitted, and what is linear beside it, is held: as far out as few
        pairs reach, the exponential of a free one is anything.
        """
        networks, least = solution.networks, solution.min_scale
        for variable in order:
            rows = self.rows[variable]
            causes = solution.context[:, variable].nonzero().squeeze(1)
            inputs = solution(self.noise[rows]) * solution.context[:, variable]
            features = _features(solution, inputs, variable)
            response = self.redrawn[rows, variable].double().cpu().numpy()
            index = torch.tensor([variable], device=inputs.device)
            inner = networks.one(inputs, index)[:, 1].double().cpu().numpy().clip(-6.0, 6.0)
            scale = least + (1 - least) * np.exp(inner)
            linear = len(causes) + 1
            mean = self._solve((variable, 0), features, linear, response, scale**-2.0, None)
            # Fisher's information of log scale is 2 a row; one step of scoring from where the network is.
            slope = (1 - least) * np.exp(inner) / scale
            moved = inner + (np.square((response - features @ mean) / scale) - 1) / (2 * slope)
            shape = features[:, :linear] if len(causes) == 0 else np.column_stack([features[:, :linear], inner])
            of_scale = self._solve((variable, 1), shape, shape.shape[1], moved, 2 * slope**2, rng)
            scale = least + (1 - least) * np.exp((shape @ of_scale).clip(-6.0, 6.0))
            of_shift = self._solve((variable, 0), features, linear, response, scale**-2.0, rng)
            factor = of_scale[linear] if len(causes) else 0.0
            networks.affine[variable, :, 1] *= factor
            networks.bias[variable, 0, 1] *= factor
            networks.affine[variable, causes, 1] += torch.as_tensor(of_scale[: len(causes)]).to(networks.affine)
            networks.bias[variable, 0, 1] += float(of_scale[len(causes)])
            networks.affine[variable, causes, 0] = torch.as_tensor(of_shift[: len(causes)]).to(networks.affine)
            networks.bias[variable, 0, 0] = float(of_shift[len(causes)])
            if len(networks.weights):
                networks.weights[-1][variable, :, 1] *= factor
                networks.biases[-1][variable, 0, 1] *= factor
                networks.biases[-1][variable, 0, 0] = 0.0
                networks.weights[-1][variable, :, 0] = torch.as_tensor(
                    of_shift[linear:] if len(causes) else np.zeros(1)
                ).to(networks.affine)

    def _solve(
        self,
        key: tuple[int, int],
        features: Array,
        first_hidden: int,
        response: Array,
        information: Array,
        rng: np.random.Generator | None,
    ) -> Array:
        """Weights (p,) of an output ``key``: their posterior mean, or a draw; the prior is by the evidence at first."""
        weighted = features * information[:, None]
        gram, moment = features.T @ weighted, weighted.T @ response

        def prior(precision: float) -> Array:
            return np.where(np.arange(len(moment)) < first_hidden, _WEAK, precision)

        if key not in self._precision:
            scores = [_log_evidence(gram, moment, prior(precision)) for precision in _PRECISIONS]
            self._precision[key] = float(_PRECISIONS[int(np.argmax(scores))])
        root = np.linalg.cholesky(gram + np.diag(prior(self._precision[key])))
        mean = np.linalg.solve(root.T, np.linalg.solve(root, moment))
        if rng is None:
            return np.asarray(mean)
        return np.asarray(mean + np.linalg.solve(root.T, rng.standard_normal(len(mean))))


def _features(solution: SolutionFunctions, inputs: torch.Tensor, variable: int) -> Array:
    """What the outputs of one network are linear in, (rows, p): parents, a constant, hidden units.

    Without parents a network is a constant, and has no hidden units to speak of.
    """
    networks = solution.networks
    causes = solution.context[:, variable].nonzero().squeeze(1)
    parts = [inputs[:, causes], torch.ones_like(inputs[:, :1])]
    if len(networks.weights) and len(causes):
        hidden = inputs
        for weight, bias in zip(networks.weights[:-1], networks.biases[:-1], strict=True):
            hidden = activate(networks.activation, hidden @ weight[variable] + bias[variable])
        parts.append(hidden)
    return np.asarray(torch.cat(parts, 1).double().cpu().numpy())


def _log_evidence(gram: Array, moment: Array, precision: Array) -> float:
    """Log evidence of a linear model of known noise, but for what does not depend on the prior precision (p,)."""
    root = np.linalg.cholesky(gram + np.diag(precision))
    half = np.linalg.solve(root, moment)
    return float(0.5 * np.log(precision).sum() - np.log(root.diagonal()).sum() + 0.5 * half @ half)
