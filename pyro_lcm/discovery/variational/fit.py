"""Posterior over graphs by stochastic variational inference in Pyro.

Model and guide are Pyro programs with one latent site, ``adjacency``, every value of which is a DAG
(`variational.model`, `variational.guide`). For up to five variables the guide is a table and its gradients
are exact (`pyro.infer.TraceEnum_ELBO`); beyond, it is autoregressive and trained with `LeaveOneOutELBO`. The
model's density is tempered at first, so that the guide does not settle on the first good graph it meets.

How good a fit is can be read off its importance weights p(graph, data) / q(graph): ``attrs["efficiency"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from pyro import poutine
from pyro.infer import ELBO, TraceEnum_ELBO
from torch import Tensor

from pyro_lcm.discovery.candidate_parents import choose_candidates
from pyro_lcm.discovery.draws import GraphDraws
from pyro_lcm.discovery.parent_set_tables import ParentSetTables
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import LocalScore
from pyro_lcm.discovery.variational.elbo import LeaveOneOutELBO
from pyro_lcm.discovery.variational.guide import MAX_TABLE_VARIABLES, AutoregressiveGuide, TableGuide
from pyro_lcm.discovery.variational.model import GraphModel
from pyro_lcm.process.process_state import ready_to_train

MAX_VARIABLES = 25
"""Most variables of the variational engine: minutes a fit. At 50 a fit would take hours; MCMC takes minutes there."""

Guide = TableGuide | AutoregressiveGuide
Progress = Callable[[int, int], None]

_FIRST_TEMPERATURE = 20.0
_DRAWS_AT_ONCE = 500
_MOST_REJECTIONS = 100


@ready_to_train()
def variational_posterior(
    score: LocalScore,
    prior: GraphPrior | None = None,
    *,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    steps: int | None = None,
    particles: int = 128,
    learning_rate: float | None = None,
    hidden: int = 128,
    max_candidates: int | None = None,
    progress: Progress | None = None,
) -> GraphDraws:
    """Fit a guide to the posterior over graphs and draw from it.

    Each chain is a fit of its own, from its own random start: r_hat says whether the fits agree. Memory: the
    tables (see `ParentSetTables`) and about ``particles * d * (d + hidden) * 100`` bytes for a step.

    Args:
        score: Local score of d variables, d <= 25.
        prior: Prior over graphs; uniform over DAGs if None. It may not be order-modular.
        draws: Draws of each fit.
        chains: Number of fits.
        seed: Seed of all randomness; the same seed gives the same draws. The global random state is kept.
        steps: Optimisation steps of a fit; 300 for the table (d <= 5), else 2000.
        particles: Graphs drawn in each step, at least 2 (d > 5 only).
        learning_rate: First step size of Adam; 0.1 for the table, else 0.003. It falls to 0.
        hidden: Width of the guide's network (d > 5 only).
        max_candidates: Most candidate parents of a variable, see `mcmc_posterior`; None: 12 up to 13
        variables,
            else 10, 8 above 25.
        progress: Called with the steps done and the steps in all.

    Returns:
        The draws, independent within a chain. ``stats["log_weight"]`` is log p(graph, data) - log q(graph) of
        each (the prior unnormalised), ``attrs["efficiency"]`` the smallest over chains of the effective
        sample size of those weights as a share of the draws: near 1, the fit is close to what it covers;
        below about 0.1, distrust it. Neither sees a mode that every draw misses: compare chains, and
        ``attrs["elbo"]``.

    Raises:
        ValueError: If d is above 25, the prior is order-modular, or a count is out of range.
    """
    prior = GraphPrior() if prior is None else prior
    d = score.num_variables
    if d > MAX_VARIABLES:
        raise ValueError(f"method: vi with {d} variables, expected at most {MAX_VARIABLES}; use mcmc, as auto does")
    if prior.order_modular:
        raise ValueError("prior: order_modular is not available for vi, expected a modular prior; use mcmc")
    table = d <= MAX_TABLE_VARIABLES
    steps = (300 if table else 2000) if steps is None else steps
    learning_rate = (0.1 if table else 3e-3) if learning_rate is None else learning_rate
    for name, value, least in (
        ("draws", draws, 1),
        ("chains", chains, 1),
        ("steps", steps, 1),
        ("hidden", hidden, 1),
    ):
        if value < least:
            raise ValueError(f"{name}: got {value}, expected at least {least}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate: got {learning_rate}, expected > 0")
    prior.check(d)
    start = perf_counter()
    tables = ParentSetTables(score, prior, choose_candidates(score, prior, max_candidates))
    elbo: ELBO = TraceEnum_ELBO(max_plate_nesting=0) if table else LeaveOneOutELBO(particles)
    model = GraphModel(tables)
    graphs = np.empty((chains, draws, d, d), dtype=np.int8)
    log_weight = np.empty((chains, draws))
    edge_probability = torch.zeros((d, d), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        for chain in range(chains):
            torch.manual_seed(np.random.SeedSequence((seed, chain)).generate_state(1, np.uint64).item())
            guide = TableGuide(tables) if table else AutoregressiveGuide(tables, hidden)

            def report(done: int, offset: int = chain * steps) -> None:
                if progress is not None:
                    progress(offset + done, chains * steps)

            fit_guide(model, guide, elbo, steps=steps, learning_rate=learning_rate, report=report)
            graphs[chain], log_weight[chain] = draw_from_guide(model, guide, draws)
            edge_probability += guide.edge_probabilities() / chains
    elbos = log_weight.mean(axis=1)
    return GraphDraws(
        adjacency=graphs,
        log_score=score.total(graphs),
        method="vi",
        names=score.names,
        edge_probability=edge_probability.numpy(),
        stats={"log_weight": log_weight},
        attrs={
            "seed": seed,
            "steps": steps,
            "candidates": tables.num_candidates,
            "elbo": float(elbos.max()),
            "elbo_spread": float(np.ptp(elbos)),
            "efficiency": float(min(_efficiency(row) for row in log_weight)),
            "seconds": perf_counter() - start,
        },
    )


def fit_guide(
    model: GraphModel,
    guide: Guide,
    elbo: ELBO,
    *,
    steps: int,
    learning_rate: float,
    report: Callable[[int], None] | None = None,
) -> Tensor:
    """Maximise an ELBO over the guide's parameters with Adam; no global parameter store is touched.

    Over the first half of the steps the model's log density is multiplied by a factor that rises from 1/20 to
    1; the learning rate stays for 60% of the steps, then falls to 0.

    Args:
        model: The model.
        guide: The guide, changed in place.
        elbo: `pyro.infer.TraceEnum_ELBO` for a `TableGuide`, else `LeaveOneOutELBO`.
        steps: Number of steps.
        learning_rate: First step size.
        report: Called with the number of steps done.

    Returns:
        (steps,) losses, of the tempered model while it is tempered.
    """
    optimizer = torch.optim.Adam(guide.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2.5 * (1.0 - step / steps)))
    losses = []
    for step in range(steps):
        first = 1.0 / _FIRST_TEMPERATURE
        factor = min(1.0, first + (1.0 - first) * 2.0 * step / steps)
        with pyro.get_param_store().scope():
            loss = elbo.differentiable_loss(poutine.scale(model, scale=factor), guide)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if report is not None:
            report(step + 1)
    return torch.stack(losses)


def draw_from_guide(model: GraphModel, guide: Guide, draws: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Draw graphs from a guide, those that the prior forbids left out.

    Args:
        model: The model.
        guide: The guide.
        draws: Number of graphs n.

    Returns:
        (n, d, d) graphs, and (n,) log p(graph, data) - log q(graph).

    Raises:
        ValueError: If hardly any draw is allowed by the prior.
    """
    graphs: list[Tensor] = []
    weights: list[Tensor] = []
    missing = draws
    for _ in range(_MOST_REJECTIONS + draws // _DRAWS_AT_ONCE):
        with (
            torch.no_grad(),
            pyro.get_param_store().scope(),
            pyro.plate("draws", min(_DRAWS_AT_ONCE, 2 * missing)),
        ):
            guide_trace = poutine.trace(guide).get_trace()
            model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace()
        log_q = _sum_log_prob(guide_trace)
        weight = _sum_log_prob(model_trace) - log_q
        kept = weight.isfinite().nonzero()[:missing, 0]
        graphs.append(guide_trace.nodes["adjacency"]["value"][kept])
        weights.append(weight[kept])
        missing -= len(kept)
        if missing == 0:
            break
    else:
        raise ValueError("prior: the fitted guide draws hardly any graph that it allows; use mcmc")
    return torch.cat(graphs).to(torch.int8).numpy(), torch.cat(weights).double().numpy()


@torch.no_grad()
def _sum_log_prob(trace: poutine.Trace) -> Tensor:
    trace.compute_log_prob()
    terms = [site["log_prob"] for name, site in trace.nodes.items() if site["type"] == "sample" and name != "draws"]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)


def _efficiency(log_weight: NDArray[np.float64]) -> float:
    """Effective sample size of importance weights (Kong 1992) as a share of their number."""
    weight = np.exp(log_weight - log_weight.max())
    return float(weight.sum() ** 2 / (weight**2).sum() / len(weight))
