"""Posterior over graphs: one function for all engines, one container for all results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.discovery.arviz_compat import Container, make_container
from pyro_lcm.discovery.checks import choose_score, data_notes
from pyro_lcm.discovery.draws import GraphDraws, combine_draws
from pyro_lcm.discovery.effects import LinearMechanisms, ancestor_matrices, causal_effects
from pyro_lcm.discovery.exact import exact_draws
from pyro_lcm.discovery.pointwise import row_log_likelihood
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData, LocalScore
from pyro_lcm.discovery.scores.base import CachedScore
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore
from pyro_lcm.discovery.scores.unknown_targets import UnknownTargetsScore

__all__ = ["GraphDraws", "combine_draws", "draw_graphs", "graph_posterior", "graph_score", "to_container"]

AUTO_LAYERS = 12
"""Most variables for which "auto" sums over layers: about five seconds and 100 MB."""
AUTO_ORDERS = 16
"""Most variables for which "auto" sums over orders."""

ScoreName = Literal["bge", "linear", "nonlinear"]
TableScore = Literal["auto", "bge", "linear", "nonlinear"]
Method = Literal["auto", "exact", "vi", "mcmc"]
Progress = Callable[[int, int], None]

_SCORES: dict[str, Callable[[GraphData], CachedScore]] = {
    "bge": BGeScore,
    "linear": LinearGaussianScore,
    "nonlinear": NonlinearScore,
}


def graph_posterior(
    data: GraphData | ArrayLike,
    *,
    score: TableScore | LocalScore = "bge",
    prior: GraphPrior | None = None,
    method: Method = "auto",
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    effects: bool = True,
    standardize: bool = True,
    checks: bool = True,
    log_likelihood: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Container:
    """Infer the posterior over graphs of observed (or decoded) variables.

    The prior of a score by name is one of standardised variables: each has mean 0 and standard deviation 1 in the rows
    without an intervention (:meth:`~pyro_lcm.discovery.GraphData.in_own_units`), so that units do not matter.
    Effects are in the units of the data all the same; ``log_score`` and ``log_evidence`` are of standardised rows.

    Peak memory is that of the engine (see `exact_posterior`, `mcmc_posterior`, `variational_posterior`) plus 16
    bytes for each of chains * draws * d^2 entries. On top of the libraries' own 300 MB that is 0.1 GB for 3
    variables, 0.2 GB for 20 and 0.6 GB for 50 at the defaults. Scores keep at most 400 MB of values (and, nonlinear
    ones, 256 MB of sums over rows); tables above 2 GiB are refused.

    Args:
        data: The rows and which variable was the target in which; a plain (N, d) array or pandas DataFrame is
            observational.
        score: "bge", "linear", "nonlinear", or a score of one's own; "auto" is "bge" unless "nonlinear" explains the
            rows clearly better.
        prior: Prior over graphs, uniform over DAGs when None; :meth:`GraphPrior.suggested` expects fewer edges.
        method: "exact" (d <= 14, or 20 with an order-modular prior), "vi" (d <= 25), "mcmc", or "auto": exact up
            to 12 variables (16 with an order-modular prior), MCMC beyond.
        draws: Draws of each chain.
        chains: Number of chains; exact draws are independent, so theirs are a formality.
        seed: Seed of everything random.
        effects: Whether to draw average causal effects too. They are those of linear-Gaussian mechanisms, by
            the score's own parameter posterior if it has one, else by BGe's on the same rows.
        standardize: Whether the score sees standardised variables; False leaves the units to the prior, for variables
            that are comparable as they stand. A score of one's own has the units of its own data.
        checks: Whether to look for what in the rows speaks against the score (by name), the prior, and interventions as
            declared; it is in ``attrs["notes"]``, a line each, and told by
            :func:`~pyro_lcm.discovery.problems.posterior_problems`.
        log_likelihood: Whether to add the group log_likelihood, ``rows`` (chain, draw, row), of drawn graphs and drawn
            parameters (:mod:`pyro_lcm.discovery.pointwise`), for ``arviz.loo`` and ``arviz.compare`` of scores.
        progress: Called with the steps done and the steps in all, by "vi" and "mcmc".
        **options: Passed to the engine.

    Returns:
        ArviZ's native container. Group posterior: ``adjacency`` (chain, draw, parent, child), ``ancestors``
        (chain, draw, ancestor, descendant), ``effect`` (chain, draw, cause, outcome), ``log_score`` (chain,
        draw). Group sample_stats: ``lp``, the unnormalised log posterior (not with an order-modular prior),
        and what the engine adds. Group observed_data: ``values``, ``targets``. Group constant_data:
        ``edge_probability`` and ``ancestor_probability`` where they are known better than by the mean of the
        draws, and ``target_probability`` (regime, variable) where targets are unknown.

    Raises:
        ValueError: If an argument is out of range, or the engine cannot do what is asked; the message says
            why in one line.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> x[:, 1] += 2 * x[:, 0]
        >>> posterior = graph_posterior(GraphData(x, names=("a", "b", "c")), draws=500)
        >>> edges = posterior["posterior"]["adjacency"].mean(("chain", "draw"))
        >>> round(float(edges.sel(parent="a", child="b") + edges.sel(parent="b", child="a")), 2)
        1.0
    """
    rows = data if isinstance(data, GraphData) else GraphData(data)
    scored, unit = (
        rows.in_own_units() if standardize and isinstance(score, str) else (rows, np.ones(rows.num_variables))
    )
    knowledge = GraphPrior() if prior is None else prior
    name = choose_score(scored, _SCORES, knowledge) if score == "auto" else score
    scorer: LocalScore = graph_score(name, scored)  # type: ignore[arg-type]
    if isinstance(name, str) and scored.unknown is not None:
        scorer = UnknownTargetsScore(_SCORES[name], scored)
    result = draw_graphs(
        scorer, knowledge, method=method, draws=draws, chains=chains, seed=seed, progress=progress, **options
    )
    if isinstance(name, str):
        looked = checks and scored.unknown is None
        said = _notes(scored, scorer, name, knowledge, result) if looked else ()
        result = replace(result, attrs={**result.attrs, "score": name, "notes": "\n".join(said)})
    effect = None
    if effects:
        known = scored if scored.unknown is None else scored.rows_where(~scored.unknown)
        mechanisms = scorer if isinstance(scorer, LinearMechanisms) else BGeScore(known)
        effect = causal_effects(mechanisms, result.adjacency, np.random.default_rng(seed))
        effect = effect * (unit / unit[:, None]).astype(np.float32)
    likelihood = None
    if log_likelihood:
        if not isinstance(scorer, CachedScore):
            raise ValueError("log_likelihood: got True, expected False with a score of one's own or unknown targets")
        flat = result.adjacency.reshape(-1, rows.num_variables, rows.num_variables)
        likelihood = row_log_likelihood(scorer, flat, np.random.default_rng([seed, 1]))
        likelihood = likelihood.reshape(*result.adjacency.shape[:2], -1)
    changes = _changes(scorer, result)
    return to_container(result, data=rows, prior=knowledge, effect=effect, changes=changes, log_likelihood=likelihood)


def _changes(scorer: LocalScore, result: GraphDraws) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Regimes of unknown targets, and the probability that each variable was one, if there are such rows."""
    if not isinstance(scorer, UnknownTargetsScore):
        return None
    graphs = result.adjacency.reshape(-1, scorer.num_variables, scorer.num_variables)
    return scorer.regimes, scorer.change_probabilities(graphs)


def _notes(data: GraphData, scorer: LocalScore, name: str, prior: GraphPrior, result: GraphDraws) -> tuple[str, ...]:
    """What the rows say against score, prior and interventions."""
    size = data.num_variables
    graphs = result.adjacency.reshape(-1, size, size)
    known = result.edge_probability
    return data_notes(data, scorer, name, _SCORES, prior, graphs, graphs.mean(axis=0) if known is None else known)


def graph_score(score: ScoreName | LocalScore, data: GraphData) -> LocalScore:
    """Build a score by name, or check that a given one fits the data.

    Raises:
        ValueError: If the name is unknown or the score is about other variables.
    """
    if isinstance(score, str):
        if score not in _SCORES:
            raise ValueError(f"score: got {score!r}, expected one of {list(_SCORES)} or a LocalScore")
        return _SCORES[score](data)
    if not isinstance(score, LocalScore):
        raise ValueError(f"score: got {type(score).__name__}, expected a name or a LocalScore")
    if tuple(score.names) != data.names:
        raise ValueError(f"score: is about {score.names}, expected {data.names}")
    return score


def draw_graphs(
    score: LocalScore,
    prior: GraphPrior,
    *,
    method: Method = "auto",
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> GraphDraws:
    """Run one engine.

    Args:
        score: Local score.
        prior: Prior over graphs.
        method: As in `graph_posterior`.
        draws: Draws of each chain.
        chains: Number of chains.
        seed: Seed.
        progress: As in `graph_posterior`.
        **options: Passed to the engine.

    Returns:
        The draws; ``attrs["seconds"]`` is the engine's wall time.

    Raises:
        ValueError: As `graph_posterior`.
    """
    for name, value in (("draws", draws), ("chains", chains)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, expected at least 1")
    size = score.num_variables
    prior.check(size)
    if method == "auto":
        limit = AUTO_ORDERS if prior.order_modular else AUTO_LAYERS
        method = "exact" if size <= limit else "mcmc"
    if progress is not None and method != "exact":
        options["progress"] = progress
    if method in ("exact", "vi"):  # their draws are independent of each other as they are
        options = {name: value for name, value in options.items() if name not in ("ess", "time_limit")}
    start = time.perf_counter()
    result = _engine(method)(score, prior, draws=draws, chains=chains, seed=seed, **options)
    return replace(result, attrs={**result.attrs, "seconds": time.perf_counter() - start})


def _engine(method: str) -> Callable[..., GraphDraws]:
    """Find an engine; the two that need torch are imported only when asked for."""
    if method == "exact":
        return exact_draws
    if method == "vi":
        from pyro_lcm.discovery.variational import variational_posterior

        return variational_posterior
    if method == "mcmc":
        from pyro_lcm.discovery.mcmc import mcmc_posterior

        return mcmc_posterior
    raise ValueError(f"method: got {method!r}, expected auto, exact, vi or mcmc")


def to_container(
    draws: GraphDraws,
    *,
    data: GraphData | None = None,
    prior: GraphPrior | None = None,
    effect: NDArray[np.floating[Any]] | None = None,
    changes: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None,
    log_likelihood: NDArray[np.float64] | None = None,
) -> Container:
    """Turn draws of graphs into ArviZ's native container.

    Args:
        draws: The draws.
        data: The rows, for the group observed_data.
        prior: The prior, for ``lp``.
        effect: (chain, draw, d, d) effects that were drawn with them, if any.
        changes: Regimes of unknown targets and the (regime, d) probability that a variable was one, if there are some.
        log_likelihood: (chain, draw, rows) log likelihood of each row, if it was asked for.

    Returns:
        See `graph_posterior`.
    """
    adjacency = draws.adjacency
    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "adjacency": (("chain", "draw", "parent", "child"), adjacency),
        "ancestors": (("chain", "draw", "ancestor", "descendant"), ancestor_matrices(adjacency)),
        "log_score": (("chain", "draw"), np.asarray(draws.log_score, dtype=np.float64)),
    }
    if effect is not None:
        variables["effect"] = (("chain", "draw", "cause", "outcome"), np.asarray(effect))
    stats = {name: (("chain", "draw"), np.asarray(value)) for name, value in draws.stats.items()}
    if prior is not None and not prior.order_modular and "lp" not in stats:
        stats["lp"] = (("chain", "draw"), variables["log_score"][1] + prior.log_prob(adjacency))
    groups = {"posterior": _dataset(variables, draws.names)}
    if stats:
        groups["sample_stats"] = _dataset(stats, draws.names)
    if log_likelihood is not None:
        groups["log_likelihood"] = _dataset({"rows": (("chain", "draw", "row"), log_likelihood)}, draws.names)
    if data is not None:
        observed: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {"values": (("row", "variable"), data.values)}
        if data.targets is not None:
            observed["targets"] = (("row", "variable"), data.targets.astype(np.int8))
        groups["observed_data"] = _dataset(observed, draws.names)
    known = {
        "edge_probability": (("parent", "child"), draws.edge_probability),
        "ancestor_probability": (("ancestor", "descendant"), draws.ancestor_probability),
    }
    constant = {name: (dims, value) for name, (dims, value) in known.items() if value is not None}
    if changes is not None:
        constant["target_probability"] = (("regime", "variable"), changes[1])
    if constant:
        groups["constant_data"] = _dataset(constant, draws.names)
        if changes is not None:
            called = () if data is None else data.conditions
            labels = [called[k] if called else str(k) for k in changes[0].tolist()]
            groups["constant_data"] = groups["constant_data"].assign_coords(regime=labels)
    attrs: dict[str, float | int | str] = {
        "inference_library": "pyro_lcm",
        "method": draws.method,
        **({} if prior is None else {"prior": repr(prior)}),
        **({} if draws.log_evidence is None else {"log_evidence": draws.log_evidence}),
        **draws.attrs,
    }
    return make_container(groups, attrs)


_NAMED_DIMS = ("parent", "child", "ancestor", "descendant", "cause", "outcome", "variable")


def _dataset(variables: Any, names: tuple[str, ...]) -> xr.Dataset:
    dims = {dim: length for axes, value in variables.values() for dim, length in zip(axes, value.shape, strict=True)}
    coords: dict[str, Any] = {
        dim: list(names) if dim in _NAMED_DIMS else np.arange(length) for dim, length in dims.items()
    }
    return xr.Dataset(variables, coords=coords)
