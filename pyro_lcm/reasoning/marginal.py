"""The likelihood of pairs of a linear latent causal model with noise on x, targets and noise encodings summed out.

Where sensors have noise a code c of x is no function of the noise encodings, and which variable a pair's target is
nobody knows for sure: regressions on codes lean towards zero (errors in variables; Carroll, Ruppert, Stefanski and
Crainiceanu, Measurement Error in Nonlinear Models, 2006), and pairs that are taken for another target's turn them. In
the model itself both are summed out in closed form. With e ~ N(mu, 1) before, e~ after, and eta, eta~ ~ N(0, S),

    c = e B + eta,    c~ = e~ B + eta~,    e~_i = b_i + sum_k c_ki z_k + s_i z~_i,   e~_j = e_j for every other j,
    z_i = (e_i - b_i - sum_k c_ki z_k) / s_i,    z~_i ~ N(0, 1),    k over the parents of i,    p(I = i) = pi_i,

so a pair (c, c~) has the density of a mixture of d + 1 Gaussians of 2 d dimensions. Its maximum and the curvature there
give a posterior of all parameters together, the encoder's error in it (Laplace); its covariance is the sandwich
H^-1 G H^-1 of Hessian H and squared scores G, which holds if noise is not Gaussian too (White, Econometrica 1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.causal.dag import topological_order

Array = NDArray[np.float64]

_STEPS = 200
"""Of L-BFGS, at most."""
_NUMBERS = 2_000_000
"""Numbers in an array of what is computed at a time, of scores and of the Hessian, which bounds memory."""
_CURVED = 6144
"""Pairs of which scores and Hessian are computed, at most; more would not make intervals better."""
_NEAR = 3.0
"""Standard deviations from 0, for each coefficient, within which a Gaussian is believed."""
_RIDGE = 1e-3
"""Added to squared scores, where pairs say nothing of a parameter."""


@dataclass(frozen=True, eq=False)
class LinearParameters:
    """Parameters of the model; see the module.

    Attributes:
        mean: (d,) mu.
        axes: (d, d) B: what one unit of each noise encoding adds to the code.
        noise: (d, d) S.
        intercepts: (d,) b.
        scales: (d,) s, positive.
        coefficients: (d, d) ``[parent, child]`` c, those of absent edges 0.
        shares: (d + 1,) pi of the targets none, 1, ..., d.
    """

    mean: Array
    axes: Array
    noise: Array
    intercepts: Array
    scales: Array
    coefficients: Array
    shares: Array

    @cached_property
    def causal(self) -> tuple[Array, Array]:
        """Constant (d,) and matrix (d, d) of causal variables, ``constant + e @ matrix``."""
        dim = len(self.mean)
        inverse = np.linalg.inv(np.diag(self.scales) + self.coefficients)
        return np.asarray(-self.intercepts @ inverse), np.asarray(np.eye(dim) @ inverse)


class LinearMarginal:
    """The likelihood for a given graph, as a function of one vector of numbers.

    Args:
        graph: (d, d) ``[parent, child]``, acyclic.
    """

    def __init__(self, graph: NDArray[np.integer]) -> None:
        self.graph = np.asarray(graph) != 0
        self.dim = dim = len(self.graph)
        self._order: list[int] = topological_order(self.graph.astype(np.int8)).tolist()
        self._edges = [(int(k), int(i)) for k, i in np.argwhere(self.graph)]
        self._lower = torch.tril_indices(dim, dim, -1)
        self._sizes = [dim, dim * dim, dim, self._lower.shape[1], dim, dim, len(self._edges), dim]

    def pack(self, parameters: LinearParameters) -> Tensor:
        """The vector of parameters (p,)."""
        p = parameters
        root = np.linalg.cholesky(p.noise)
        below = root[tuple(self._lower.numpy())]
        edges = np.array([p.coefficients[edge] for edge in self._edges])
        parts = [p.mean, p.axes.ravel(), np.log(root.diagonal()), below, p.intercepts, np.log(p.scales), edges]
        shares = np.maximum(p.shares, 1e-6)
        return torch.as_tensor(np.concatenate([*parts, np.log(shares[1:] / shares[0])]), dtype=torch.float64)

    def unpack(self, theta: Array) -> LinearParameters:
        """The parameters of a vector (p,)."""
        mean, axes, root, b, s, edges, log_shares = (part.numpy() for part in self._parts(torch.as_tensor(theta)))
        coefficients = np.zeros((self.dim, self.dim))
        for edge, value in zip(self._edges, edges, strict=True):
            coefficients[edge] = value
        return LinearParameters(mean, axes, root @ root.T, b, s, coefficients, np.exp(log_shares))

    def log_density(self, theta: Tensor, pairs: Tensor) -> Tensor:
        """Log density (N,) of codes before and after, (N, 2 d)."""
        log_shares, means, covariances = self._mixture(theta)
        root = torch.linalg.cholesky(covariances)
        white = torch.linalg.solve_triangular(root, (pairs - means.unsqueeze(1)).mT, upper=False)
        logs = log_shares - root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return torch.logsumexp(logs.unsqueeze(-1) - white.square().sum(1) / 2, 0) - self.dim * np.log(2 * np.pi)

    def fit(self, pairs: Tensor, start: LinearParameters) -> tuple[Array, Array]:
        """The maximum of the likelihood, and a square root of the covariance of its error.

        Args:
            pairs: (N, 2 d) codes before and after.
            start: where to begin.

        Returns:
            The vector (p,) and (p, p) a matrix R whose R R' is the covariance.

        Raises:
            ValueError: if the likelihood has no maximum near the start.
        """
        begin = self.pack(start)
        # What noise hides least would take steps of L-BFGS a thousand times smaller than the rest.
        scaling = torch.linalg.inv(
            torch.linalg.cholesky(self._scores(begin, pairs) + _RIDGE * torch.eye(len(begin), dtype=begin.dtype))
        ).T
        steps = torch.zeros_like(begin, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [steps], max_iter=_STEPS, history_size=50, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = -self.log_density(begin + scaling @ steps, pairs).sum() / len(pairs) ** 0.5
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        with torch.enable_grad():
            optimizer.step(closure)  # type: ignore[no-untyped-call]
        found = begin + scaling @ steps.detach()
        scores, hessian = self._scores(found, pairs), self._hessian(found, pairs)
        if not bool(torch.isfinite(hessian).all()):
            raise ValueError("pairs: their likelihood has no maximum, expected pairs of a linear model")
        values, vectors = torch.linalg.eigh(scores)
        curved, along = torch.linalg.eigh(hessian)
        curved = curved.clamp(min=1e-9 * float(curved[-1]))
        root = along / curved @ along.T @ (vectors * values.clamp(min=0).sqrt())
        return found.numpy(), root.numpy()

    def without(self, theta: Array, root: Array, graph: NDArray[np.integer]) -> tuple[Array, Array] | None:
        """The posterior of a graph with fewer edges: this one's, given that the coefficients of the others are 0.

        Args:
            theta: (p,) the mean, as :meth:`fit` gives it.
            root: (p, p) a square root of its covariance.
            graph: (d, d) ``[parent, child]``.

        Returns:
            Mean and root, of this graph's parameters; None where it has edges that this one has not, or where the
            likelihood, which is a Gaussian near its maximum, would have to be one far away.
        """
        kept = np.asarray(graph) != 0
        if (kept & ~self.graph).any():
            return None
        first = sum(self._sizes[:6])
        gone = [first + at for at, edge in enumerate(self._edges) if not kept[edge]]
        if not gone:
            return theta, root
        gain = np.linalg.solve(root[gone] @ root[gone].T, root[gone] @ root.T).T
        if theta[gone] @ np.linalg.solve(root[gone] @ root[gone].T, theta[gone]) > _NEAR**2 * len(gone):
            return None
        return theta - gain @ theta[gone], root - gain @ root[gone]

    def _scores(self, theta: Tensor, pairs: Tensor) -> Tensor:
        """Sum over pairs of the squared scores, (p, p)."""
        each = torch.func.grad(self._total)
        total = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
        for part in self._portions(theta, pairs):
            score = torch.func.vmap(each, (None, 0))(theta, part.unsqueeze(1))
            total += score.T @ score
        return total * max(len(pairs) / _CURVED, 1.0)

    def _hessian(self, theta: Tensor, pairs: Tensor) -> Tensor:
        """Minus the Hessian of the log likelihood, (p, p)."""
        total = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
        for part in self._portions(theta, pairs):
            total -= torch.func.jacrev(torch.func.grad(self._total))(theta, part)
        return (total + total.T) / 2 * max(len(pairs) / _CURVED, 1.0)

    def _total(self, theta: Tensor, pairs: Tensor) -> Tensor:
        return self.log_density(theta, pairs).sum()

    def _portions(self, theta: Tensor, pairs: Tensor) -> tuple[Tensor, ...]:
        """At most so many pairs, evenly spaced, some at a time."""
        if len(pairs) > _CURVED:
            pairs = pairs[torch.linspace(0, len(pairs) - 1, _CURVED).round().long()]
        return pairs.split(max(16, _NUMBERS // (len(theta) * (self.dim + 1) * 2 * self.dim)))

    def _parts(self, theta: Tensor) -> tuple[Tensor, ...]:
        mean, axes, diagonal, below, b, s, edges, logits = theta.split(self._sizes)
        root = torch.diag(diagonal.exp()) + torch.zeros_like(axes).view(self.dim, self.dim).index_put(
            tuple(self._lower), below
        )
        log_shares = torch.cat([torch.zeros_like(logits[:1]), logits]).log_softmax(0)
        return mean, axes.view(self.dim, self.dim), root, b, s.exp(), edges, log_shares

    def _mixture(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log shares (d + 1,), means (d + 1, 2 d) and covariances (d + 1, 2 d, 2 d) of codes before and after."""
        mean, axes, root, b, s, edges, log_shares = self._parts(theta)
        dim, one = self.dim, torch.eye(self.dim, dtype=theta.dtype)
        coefficient = dict(zip(self._edges, edges, strict=True))
        constant: dict[int, Tensor] = {}
        slopes: dict[int, Tensor] = {}
        means, crosses, afters = [mean], [one], [one]
        of_target: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        for i in self._order:
            causes = [k for k in range(dim) if self.graph[k, i]]
            shift = b[i] + sum((coefficient[k, i] * constant[k] for k in causes), torch.zeros_like(b[i]))
            along = sum((coefficient[k, i] * slopes[k] for k in causes), torch.zeros_like(mean))
            constant[i], slopes[i] = -shift / s[i], (one[i] - along) / s[i]
            # e~ = e turn + (shift + s z~) in component i
            turn = one + torch.outer(along - one[i], one[i])
            of_target[i] = (
                mean @ turn + shift * one[i],
                turn,
                turn.T @ turn + s[i].square() * torch.outer(one[i], one[i]),
            )
        for i in range(dim):
            for into, part in zip((means, crosses, afters), of_target[i], strict=True):
                into.append(part)
        noise = root @ root.T
        # (e, e~) has the covariance [[1, cross], [cross', after]]
        before = (axes.T @ axes + noise).expand(dim + 1, dim, dim)
        cross, after = axes.T @ torch.stack(crosses) @ axes, axes.T @ torch.stack(afters) @ axes + noise
        covariance = torch.cat([torch.cat([before, cross], 2), torch.cat([cross.mT, after], 2)], 1)
        first = (mean @ axes).expand(dim + 1, dim)
        return log_shares, torch.cat([first, torch.stack(means) @ axes], 1), covariance
