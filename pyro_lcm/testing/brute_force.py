"""The evidence lower bound of a pair program by brute force: an oracle for every estimator of it.

    ELBO = sum_I q(I) [ log p(x, x~, e, e~_I, I) - log q(e, e~_I, I) ]

The sum over discrete sites is written out: one plain run of guide and model for each value, everything conditioned,
log densities added up by name. No enumeration, no replay, no Dice factors, no scales of a plate. The continuous
latents are the draws of one enumerated run of the guide, as in the estimator under test with the same seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.trace_struct import Trace
from torch import Tensor, nn

from pyro_lcm.causal.scoring import Scoring
from pyro_lcm.training.handlers import TopHypotheses

Values = dict[str, Tensor]


def brute_force_elbo(
    model: nn.Module,
    guide: nn.Module,
    batch: Mapping[str, Tensor],
    *,
    size: int | None = None,
    kl_weight: float = 1.0,
    hypotheses: int | None = None,
    intervention_term: bool = True,
    seed: int = 0,
) -> Tensor:
    """ELBO of a batch, in nats, scaled to the data set: a differentiable scalar.

    Args:
        model: the generative program.
        guide: its guide; discrete sites that are to be summed are marked ``infer={"enumerate": "parallel"}``.
        batch: ``x`` and ``x_after``, (pairs, ...); optionally ``targets``, (pairs,), -1 for unknown.
        size: number of pairs N in the data set; as many as in the batch if None.
        kl_weight: weight of the latent sites' log densities.
        hypotheses: how many targets, the most probable ones of each pair, take part; all if None.
        intervention_term: whether the density of the redrawn component counts.
        seed: of the guide's draws; an estimator that starts from ``pyro.set_rng_seed(seed)`` makes the same ones.

    Returns:
        N / B times the sum over the B pairs of the batch (sites outside the plate count once).
    """
    rows = len(batch["x"])
    drawing = guide if hypotheses is None else TopHypotheses(hypotheses)(guide)
    pyro.set_rng_seed(seed)
    # Outcomes that nobody saw cancel between model and guide, which they cannot where the model's are left out.
    with nullcontext() if intervention_term else Scoring():
        terms = [
            _term(
                run_conditioned(model, batch, assignment.values),
                run_conditioned(guide, batch, assignment.values),
                assignment,
                kl_weight=kl_weight,
                chosen=("target",) if hypotheses is not None else assignment.discrete,
                left_out=() if intervention_term else ("redrawn",),
            )
            for assignment in assignments(trace_guide(drawing, batch), rows)
        ]
    log_weight = torch.stack([term.log_weight for term in terms])
    within = torch.stack([term.within for term in terms])
    outside = torch.stack([term.outside for term in terms])
    if hypotheses is not None:
        total = log_weight.logsumexp(0)
        log_weight, within = log_weight - total, within + kl_weight * total
    weight = log_weight.exp()
    scale = (rows if size is None else size) / rows
    return scale * (weight * within).sum() + (weight.mean(1) * outside).sum()


@dataclass(frozen=True)
class Assignment:
    """One value of each discrete site, and the draws of all other sites that go with it.

    Attributes:
        values: of the guide's sites, (pairs, ...) inside the plate.
        discrete: names of the sites that are summed over.
    """

    values: Values
    discrete: tuple[str, ...]


def trace_guide(guide: Callable[..., Any], batch: Mapping[str, Tensor]) -> Trace:
    """Run the guide with its discrete sites enumerated to the left of the plate.

    As in training, outcomes that nobody saw are not drawn from the model: their densities are, and have to cancel for
    any value.
    """
    with Scoring(), poutine.enum(first_available_dim=-2):
        return poutine.trace(guide).get_trace(**arguments(batch))


def arguments(batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of model and guide under which the batch is the whole data set."""
    rows = len(batch["x"])
    index = torch.arange(rows, device=batch["x"].device)
    return {**batch, "targets": batch.get("targets"), "size": rows, "index": index}


def assignments(drawn: Trace, rows: int) -> Iterator[Assignment]:
    """All joint values of the enumerated sites of a guide's trace of ``rows`` pairs."""
    sites = latent_sites(drawn)
    dims = {name: site["infer"].get("_enumerate_dim") for name, site in sites.items()}
    discrete = {name: dim for name, dim in dims.items() if dim is not None}
    widths = [sites[name]["value"].shape[dim] for name, dim in discrete.items()]
    for choice in itertools.product(*map(range, widths)):
        position = dict(zip(discrete.values(), choice, strict=True))
        yield Assignment({name: _value_at(site, position, rows) for name, site in sites.items()}, tuple(discrete))


def latent_sites(trace: Trace) -> dict[str, dict[str, Any]]:
    """Sample sites of a trace that are neither observed nor the index of a plate."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not poutine.util.site_is_subsample(site)
    }


def run_conditioned(program: Callable[..., Any], batch: Mapping[str, Tensor], values: Values) -> Trace:
    """Run a program with the given sites fixed, and score all its sites."""
    trace = poutine.trace(poutine.condition(program, data=values)).get_trace(**arguments(batch))
    trace.compute_log_prob()
    return trace


def _value_at(site: Mapping[str, Any], position: Mapping[int, int], rows: int) -> Tensor:
    value, event_dim = site["value"], site["fn"].event_dim
    for dim, index in position.items():
        place = dim - event_dim
        if value.dim() >= -place and value.shape[place] > 1:
            value = value.narrow(place, index, 1)
    event = value.shape[value.dim() - event_dim :]
    if not _in_plate(site):
        return value.reshape(event)
    within = value.reshape(-1, *event)
    return within.expand(rows, *event)


@dataclass(frozen=True)
class _Term:
    """log p - log q of one assignment, of each pair and outside the plate, and log q of the assignment itself."""

    log_weight: Tensor
    within: Tensor
    outside: Tensor


def _term(
    p: Trace,
    q: Trace,
    assignment: Assignment,
    *,
    kl_weight: float,
    chosen: tuple[str, ...],
    left_out: tuple[str, ...],
) -> _Term:
    observed = p.nodes["before/x"]["log_prob"]
    log_weight, within, outside = torch.zeros_like(observed), torch.zeros_like(observed), observed.new_zeros(())
    for sign, trace in ((1.0, p), (-1.0, q)):
        for name, site in trace.nodes.items():
            if site["type"] != "sample" or poutine.util.site_is_subsample(site) or (sign > 0 and name in left_out):
                continue
            factor = sign * (kl_weight if name in assignment.values else 1.0)
            if _in_plate(site):
                within = within + factor * site["log_prob"]
            else:
                outside = outside + factor * site["log_prob"].sum()
            if sign < 0 and name in chosen:
                log_weight = log_weight + site["log_prob"]
    return _Term(log_weight, within, outside)


def _in_plate(site: Mapping[str, Any]) -> bool:
    return any(frame.vectorized for frame in site["cond_indep_stack"])
