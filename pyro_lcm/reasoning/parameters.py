"""The posterior of a fitted model's mechanisms, given pairs: what effects do not know beside the graph.

Only the pairs whose target is i say anything of the solution function s_i, and what they say is a regression of what
was redrawn on the causal variables of i's parents (:mod:`pyro_lcm.causal.solution`),

    e~_i = shift_i(z_pa(i)) + scale_i(z_pa(i)) z~_i,     z~_i ~ N(0, 1).

Where shift_i is linear and scale_i constant, its posterior under the prior p(c, log scale) ~ 1 is exact (Gelman et al.,
Bayesian Data Analysis, 3rd ed., section 14.2): scale^2 is an inverse chi-squared number, c given it is normal. Where
they are networks, their last layers have a Laplace posterior with the hidden layers held where they are (MacKay, Neural
Computation 4, 1992; Kristiadi, Hein and Hennig, ICML 2020), the prior variance of the weights by the evidence. One
variable is drawn after the other, each given the causal variables that those before it were drawn to have.

A draw's causal variables are a little other functions of x than the fitted ones. What one asks of them is in the
fitted ones' units, so each draw brings its own to these by least squares.

Where the encoder is linear too, how far it is off is drawn as well, and x is the least squares of what it gives; an
encoder that is a flow is held.
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
from pyro_lcm.causal.dag import topological_order
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.nn.activations import activate
from pyro_lcm.reasoning.fitted import Fitted, FittedStructure
from pyro_lcm.reasoning.linear import LinearStructure
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
            self._codes = codes
            table = np.hstack([codes, redrawn, np.ones((len(codes), 1))])
            self._sums = [table[rows].T @ table[rows] for rows in self.rows]
            values = torch.cat(seen).double().cpu().numpy()
            self._loadings = _least_squares(torch.cat([noise, after]).double().cpu().numpy(), values)
        # A decoder that is a flow may be anything where no pair has been, and a draw's mechanisms may lead there.
        self._seen = torch.cat(seen).min(0).values, torch.cat(seen).max(0).values
        self._precision: dict[tuple[int, int], float] = {}

    @property
    def follows_graphs(self) -> bool:
        """Whether draws take the parents of a graph that is given; networks do not."""
        return self._linear

    @property
    def graph(self) -> NDArray[np.int8]:
        """(d, d) ``[parent, child]``, the graph found with the fit."""
        found: NDArray[np.int8] = self._solution.adjacency.cpu().numpy().astype(np.int8)
        return found

    @torch.no_grad()
    def draw(self, rng: np.random.Generator | None, graph: NDArray[np.integer[Any]] | None = None) -> DrawnStructure:
        """Draw the mechanisms.

        Args:
            rng: source of randomness; None for the mean of the posterior.
            graph: (d, d) ``[parent, child]``, acyclic: the parents that linear mechanisms depend on; those found with
                the fit if None. Networks keep the parents that they were trained with.

        Returns:
            The draw.
        """
        if self._linear:
            return self._draw_linear(self.graph if graph is None else np.asarray(graph, dtype=np.int8), rng)
        solution = copy.deepcopy(self._solution)
        self._draw_last_layers(solution, self._scm.order, rng)
        scm = self._scm.with_solution(solution, self._seen)
        own = scm.solve(self.noise[:_UNIT_ROWS]).causal.double().cpu().numpy()
        return DrawnStructure(scm, np.eye(self._scm.dim), *self._units(own))

    def _units(self, own: Array) -> tuple[Array, Array]:
        """Offsets and slopes from the fitted causal variables to a draw's own ones of the same rows, (rows, d)."""
        slope = ((own - own.mean(0)) * (self.causal - self.causal.mean(0))).mean(0) / self.causal.var(0)
        return own.mean(0) - slope * self.causal.mean(0), slope

    def _draw_linear(self, parents: NDArray[np.int8], rng: np.random.Generator | None) -> DrawnStructure:
        """Regressions all the way: the directions in which noise encodings move, then mechanisms, causes first.

        Where the target is i, differences of the encoder's codes are on a line, which is the axis of i but for the
        error of the encoder: e~ - e = (e'~_i - e'_i) a_i. The regression on their own component says how far off it is.
        All of them need sums over pairs alone, of codes before and after and 1.
        """
        dim = self._scm.dim
        axes = np.eye(dim)
        difference = np.vstack([-np.eye(dim), np.eye(dim), np.zeros((1, dim))])
        for variable, sums in enumerate(self._sums):
            scatter = difference.T @ sums @ difference
            axes[variable] = draw_direction(scatter, len(self.rows[variable]), variable, rng)
        frame: Array = np.asarray(np.linalg.inv(axes), dtype=np.float64)
        coefficients, intercepts, scales = np.zeros((dim, dim)), np.zeros(dim), np.ones(dim)
        weights = np.zeros((2 * dim + 1, dim))  # causal variables before, as sums of codes before, codes after, and 1
        one = np.eye(2 * dim + 1)[:, -1:]
        for variable in topological_order(parents).tolist():
            causes, own = np.flatnonzero(parents[:, variable]), frame[:, variable]
            design = np.hstack([weights[:, causes], one])
            response = np.concatenate([np.zeros(dim), own, [0.0]])
            moments = np.column_stack([design, response]).T @ self._sums[variable] @ np.column_stack([design, response])
            found, scale = draw_regression(moments, len(self.rows[variable]), rng)
            weights[:, variable] = (np.concatenate([own, np.zeros(dim), [0.0]]) - design @ found) / scale
            # e_i = shift + scale z_i, so z_i = -shift / scale + e_i / scale
            coefficients[causes, variable], intercepts[variable] = -found[:-1] / scale, -found[-1] / scale
            scales[variable] = 1 / scale
        loadings, center = axes @ self._loadings[0], self._loadings[1]
        scm = LinearStructure(coefficients, intercepts, scales, loadings, center, parents, self._scm.names)
        own = self._codes[:_UNIT_ROWS] @ weights[:dim] + weights[-1]
        return DrawnStructure(scm, frame, *self._units(own))

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


def draw_regression(moments: Array, rows: int, rng: np.random.Generator | None) -> tuple[Array, float]:
    """Draw from the posterior of a linear regression under the prior p(coefficients, log sd) ~ 1.

    Args:
        moments: (p + 1, p + 1) sums over rows of the products of p features and, last, the response.
        rows: how many there are, more than p.
        rng: source of randomness; None for least squares and the usual estimate of the standard deviation.

    Returns:
        Coefficients (p,) and the standard deviation of what is left.

    Example:
        >>> table = np.column_stack([[0.0, 1.0, 2.0, 3.0], np.ones(4), [1.0, 3.0, 5.0, 7.0]])
        >>> draw_regression(table.T @ table, 4, None)[0].round(6).tolist()
        [2.0, 1.0]
    """
    root = np.linalg.cholesky(moments[:-1, :-1])
    half = np.linalg.solve(root, moments[:-1, -1])
    squares = max(float(moments[-1, -1] - half @ half), 0.0)
    freedom = rows - len(half)
    if rng is None:
        return np.asarray(np.linalg.solve(root.T, half)), float(np.sqrt(squares / freedom))
    sd = float(np.sqrt(squares / rng.chisquare(freedom)))
    return np.asarray(np.linalg.solve(root.T, half + sd * rng.standard_normal(len(half)))), sd


def draw_direction(scatter: Array, rows: int, variable: int, rng: np.random.Generator | None) -> Array:
    """Draw the line through 0 on which differences lie, (d,), of component 1 for the given variable.

    Args:
        scatter: (d, d) sums over rows of products of the differences' components.
        rows: how many there are.
        variable: 0..d-1.
        rng: source of randomness; None for least squares.

    Example:
        >>> differences = np.array([[1.0, 0.5], [-2.0, -1.0]])
        >>> draw_direction(differences.T @ differences, 2, 0, None).tolist()
        [1.0, 0.5]
    """
    squares = scatter[variable, variable]
    line = scatter[variable] / squares
    if rng is None:
        return np.asarray(line)
    rest = (scatter - squares * np.outer(line, line)) / (rows - 1) / squares
    values, vectors = np.linalg.eigh((rest + rest.T) / 2)
    return np.asarray(line + vectors @ (np.sqrt(values.clip(min=0)) * rng.standard_normal(len(values))))


def _least_squares(features: Array, responses: Array) -> tuple[Array, Array]:
    """Slopes (p, q) and intercepts (q,) of responses (N, q) on features (N, p)."""
    center = features.mean(0)
    slopes = np.linalg.lstsq(features - center, responses - responses.mean(0), rcond=None)[0]
    return np.asarray(slopes), np.asarray(responses.mean(0) - center @ slopes)


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
