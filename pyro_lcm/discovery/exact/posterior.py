"""Exact posterior over graphs: all DAGs one by one, or dynamic programming over sets of variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.causal.dag import MAX_ENUMERATED_DIM, all_dags
from pyro_lcm.discovery.draws import GraphDraws
from pyro_lcm.discovery.effects import ancestor_matrices
from pyro_lcm.discovery.exact.ancestors import path_probabilities
from pyro_lcm.discovery.exact.layers import LayerSums
from pyro_lcm.discovery.exact.orders import OrderSums
from pyro_lcm.discovery.exact.subsets import code_sets, draw_index, log_sum, parent_set_weights, set_codes
from pyro_lcm.discovery.priors import GraphPrior, log_linear_extensions
from pyro_lcm.discovery.scores import FloatArray, LocalScore

MAX_LAYERS = 14
"""Most variables for the sum over layers (4^d steps, minutes at 14)."""
MAX_ORDERS = 20
"""Most variables for the sum over orders."""
MAX_ANCESTORS = 11
"""Most variables for exact path probabilities beyond enumeration; draws give them for more."""

ExactMethod = Literal["auto", "enumeration", "layers", "orders"]
Adjacency = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ExactPosterior:
    """Posterior over graphs without approximation.

    Attributes:
        names: The d names.
        method: "enumeration", "layers" or "orders".
        edge_probability: (d, d) posterior probability of each edge [parent, child].
        ancestor_probability: (d, d) posterior probability of a directed path [ancestor, descendant]; None
            beyond 11 variables, where draws give it.
        log_evidence: log p(data), the prior normalised.
        log_prior_normalizer: Log of the sum of exp(`GraphPrior.log_prob`) over all DAGs.
        graphs: (n, d, d) all DAGs, after enumeration only.
        probability: (n,) their probabilities, after enumeration only.
        sampler: Draws n graphs with a random generator; `sample` is the friendly way.
    """

    names: tuple[str, ...]
    method: str
    edge_probability: FloatArray
    log_evidence: float
    log_prior_normalizer: float
    sampler: Callable[[int, np.random.Generator], Adjacency] = field(repr=False)
    ancestor_probability: FloatArray | None = None
    graphs: Adjacency | None = field(default=None, repr=False)
    probability: FloatArray | None = field(default=None, repr=False)

    def sample(self, draws: int, *, seed: int = 0) -> Adjacency:
        """Draw graphs, independent and exact.

        Args:
            draws: Number of graphs n.
            seed: Seed of the draws.

        Returns:
            (n, d, d) DAGs, int8.
        """
        if draws < 1:
            raise ValueError(f"draws: got {draws}, expected at least 1")
        return self.sampler(draws, np.random.default_rng(seed))


def exact_posterior(
    score: LocalScore, prior: GraphPrior | None = None, *, method: ExactMethod = "auto"
) -> ExactPosterior:
    """Compute the posterior over graphs exactly.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs, uniform when None.
        method: "enumeration" (d <= 5); "layers", a sum over layers of roots for a modular prior (d <= 14, where it
            takes 190 MB); "orders", a sum over orders for an order-modular one (d <= 20, 0.7 GB there); "auto" takes
            the one that fits.

    Returns:
        The posterior.

    Raises:
        ValueError: If d is too large, the method does not suit the prior, or no DAG has a finite weight.

    Example:
        >>> from pyro_lcm.discovery.scores.bge import BGeScore
        >>> from pyro_lcm.discovery.scores import GraphData
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> x[:, 2] += x[:, 0] + x[:, 1]
        >>> exact_posterior(BGeScore(GraphData(x))).edge_probability.round(1).tolist()
        [[0.0, 0.1, 0.9], [0.1, 0.0, 0.9], [0.1, 0.1, 0.0]]
    """
    prior = GraphPrior() if prior is None else prior
    size = score.num_variables
    prior.check(size)
    if method == "auto":
        method = "orders" if prior.order_modular else "layers"
        if size <= MAX_ENUMERATED_DIM:
            method = "enumeration"
    limits = {"enumeration": MAX_ENUMERATED_DIM, "layers": MAX_LAYERS, "orders": MAX_ORDERS}
    if method not in limits:
        raise ValueError(f"method: got {method!r}, expected auto or one of {list(limits)}")
    if size > limits[method]:
        sums = "" if method == "enumeration" else f" (by {method}, under this prior)"
        raise ValueError(
            f"method: exact{sums} with {size} variables, expected at most {limits[method]}; use mcmc, as auto does"
        )
    if method != "enumeration" and (method == "orders") != prior.order_modular:
        raise ValueError(f"method: {method} with order_modular={prior.order_modular}, expected the other one")
    if method == "enumeration":
        return _enumerate(score, prior)
    return _dynamic(score, prior, method)


def exact_draws(
    score: LocalScore,
    prior: GraphPrior,
    *,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    method: ExactMethod = "auto",
) -> GraphDraws:
    """Draw independently from the exact posterior.

    Args:
        score: Local score.
        prior: Prior over graphs.
        draws: Draws of each chain.
        chains: Number of chains.
        seed: Seed.
        method: As in `exact_posterior`.

    Returns:
        Draws with exact edge probabilities and evidence; ``attrs["log_normalizer"]`` is the log of the sum
        over all DAGs of exp(lp), lp the unnormalised log posterior.

    Raises:
        ValueError: As `exact_posterior`.
    """
    posterior = exact_posterior(score, prior, method=method)
    size = score.num_variables
    adjacency = posterior.sample(draws * chains, seed=seed).reshape(chains, draws, size, size)
    return GraphDraws(
        adjacency=adjacency,
        log_score=score.total(adjacency),
        method="exact",
        names=tuple(score.names),
        edge_probability=posterior.edge_probability,
        ancestor_probability=posterior.ancestor_probability,
        log_evidence=posterior.log_evidence,
        attrs={
            "exact_method": posterior.method,
            "log_normalizer": posterior.log_evidence + posterior.log_prior_normalizer,
        },
    )


def log_prior_normalizer(prior: GraphPrior, num_variables: int) -> float:
    """Log of the sum of exp(prior.log_prob) over all DAGs of d variables, by the exact method that fits."""
    if prior == GraphPrior():
        return math.log(count_dags(num_variables))
    if num_variables <= MAX_ENUMERATED_DIM:
        return float(log_sum(prior.log_prob(all_dags(num_variables))))
    weights = parent_set_weights(_NoData(num_variables), prior)
    return (OrderSums if prior.order_modular else LayerSums)(weights).log_total


def count_dags(num_variables: int) -> int:
    """Number of labelled DAGs (Robinson 1973).

    Example:
        >>> [count_dags(d) for d in range(6)]
        [1, 1, 3, 25, 543, 29281]
    """
    counts = [1]
    for n in range(1, num_variables + 1):
        counts.append(
            sum((-1) ** (k + 1) * math.comb(n, k) * 2 ** (k * (n - k)) * counts[n - k] for k in range(1, n + 1))
        )
    return counts[num_variables]


@dataclass(frozen=True)
class _NoData:
    """The score of no rows: every graph is as likely as before."""

    num_variables: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"x{j + 1}" for j in range(self.num_variables))

    def local(self, child: int, parent_sets: object) -> FloatArray:
        del child
        return np.zeros(len(np.asarray(parent_sets)))

    def total(self, adjacency: object) -> FloatArray:
        return np.zeros(np.shape(np.asarray(adjacency))[:-2])


def _enumerate(score: LocalScore, prior: GraphPrior) -> ExactPosterior:
    size = score.num_variables
    graphs = all_dags(size)
    log_prior = _sum_parent_sets(parent_set_weights(_NoData(size), prior), graphs)
    graphs, log_prior = graphs[np.isfinite(log_prior)], log_prior[np.isfinite(log_prior)]
    log_weight = _sum_parent_sets(parent_set_weights(score, prior), graphs)
    if prior.order_modular:
        orders = log_linear_extensions(graphs)
        log_prior, log_weight = log_prior + orders, log_weight + orders
    total = log_sum(log_weight)
    _check_total(total)
    probability = np.exp(log_weight - total)

    def draw(count: int, rng: np.random.Generator) -> Adjacency:
        return graphs[draw_index(log_weight, rng.random(count))]

    return ExactPosterior(
        names=score.names,
        method="enumeration",
        edge_probability=_average(probability, graphs),
        ancestor_probability=_average(probability, ancestor_matrices(graphs)),
        log_evidence=float(total - log_sum(log_prior)),
        log_prior_normalizer=float(log_sum(log_prior)),
        graphs=graphs,
        probability=probability,
        sampler=draw,
    )


def _sum_parent_sets(weights: FloatArray, graphs: Adjacency) -> FloatArray:
    """Sum the (d, 2^d) log weights of the parent sets of each of (n, d, d) graphs."""
    codes = set_codes(graphs.swapaxes(1, 2) == 1)
    return np.asarray(weights[np.arange(len(weights)), codes].sum(axis=1))


def _average(probability: FloatArray, values: Adjacency) -> FloatArray:
    return np.asarray(np.tensordot(probability, values.astype(np.float64), axes=1))


def _dynamic(score: LocalScore, prior: GraphPrior, method: str) -> ExactPosterior:
    weights = parent_set_weights(score, prior)
    sums = OrderSums(weights) if method == "orders" else LayerSums(weights)
    _check_total(sums.log_total)
    size = score.num_variables
    prior_total = log_prior_normalizer(prior, size)
    probability = sums.parent_set_probabilities()
    paths = None
    if size <= MAX_ANCESTORS:
        paths = path_probabilities(weights, order_modular=prior.order_modular)
    member = code_sets(np.arange(1 << size), size).astype(np.float64)

    def draw(count: int, rng: np.random.Generator) -> Adjacency:
        parents = code_sets(sums.sample_parents(count, rng), size)
        return parents.transpose(0, 2, 1).astype(np.int8)

    return ExactPosterior(
        names=score.names,
        method=method,
        edge_probability=(probability @ member).T,
        ancestor_probability=paths,
        log_evidence=sums.log_total - prior_total,
        log_prior_normalizer=prior_total,
        sampler=draw,
    )


def _check_total(total: FloatArray | float) -> None:
    if not np.isfinite(total):
        raise ValueError(f"score: the posterior weights of all DAGs sum to exp({total}), expected a finite sum")
