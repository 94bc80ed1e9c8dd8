"""What the rows say against a posterior over graphs, in words: scores, noise, hidden causes, interventions, priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.checks.common_causes import hidden_common_cause
from pyro_lcm.discovery.checks.declared_interventions import confounded_pairs, odd_interventions
from pyro_lcm.discovery.checks.other_scores import CLEAR, Builders, evidence_beside, is_affordable
from pyro_lcm.discovery.checks.prior_knowledge import CLEAR_EDGES, cost_of_knowledge, unexpected_edges
from pyro_lcm.discovery.checks.residuals import NoiseShape, noise_shapes, usual_graph
from pyro_lcm.discovery.equivalence import completed_graph, target_sets
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData, LocalScore

MOST_GRAPHS = 40
"""Draws that other scores are compared on."""
_LISTED = 4
_SURE = 0.9


def data_notes(
    data: GraphData,
    score: LocalScore,
    name: str,
    builders: Builders,
    prior: GraphPrior,
    graphs: NDArray[np.int8],
    edge_probability: NDArray[np.floating],
) -> tuple[str, ...]:
    """Say what in the rows speaks against the score, the prior, and interventions as declared.

    Args:
        data: The rows as the score sees them.
        score: The score, one of ``builders``.
        name: Its name.
        builders: All scores by name; those that assume no less than this one are compared with it.
        prior: Prior over graphs.
        graphs: (n, d, d) draws.
        edge_probability: (d, d) probabilities of edges.

    Returns:
        A line each; none where nothing speaks against them.
    """
    some = graphs[:: max(1, len(graphs) // MOST_GRAPHS)][:MOST_GRAPHS]
    best = usual_graph(graphs)
    found = [
        *_of_scores(data, score, name, builders, prior, some),
        *_of_directions(data, name, best, edge_probability),
        *_of_noise(data.names, noise_shapes(score, data, best)),
        *_of_hidden_causes(data, name, best),
        *_of_interventions(data, builders[name], best),
        *_of_prior(data.names, score, prior, best, float(edge_probability.sum())),
    ]
    return tuple(found)


def _of_scores(
    data: GraphData,
    score: LocalScore,
    name: str,
    builders: Builders,
    prior: GraphPrior,
    graphs: NDArray[np.int8],
) -> list[str]:
    others = {
        other: build(data)
        for other, build in builders.items()
        if other != name and (other != "nonlinear" or is_affordable(data))
    }
    gains = evidence_beside(score, others, prior, graphs)
    clear = {other: gain for other, gain in gains.items() if gain > CLEAR}
    if not clear:
        return []
    other = max(clear, key=lambda each: clear[each])
    return [
        f"the score {other} explains these rows better than {name}: its log evidence is larger by at least"
        f" {clear[other]:.0f} nats; take it (score {other}, or auto)"
    ]


def _of_directions(data: GraphData, name: str, best: NDArray[np.int8], probability: NDArray[np.floating]) -> list[str]:
    if name != "linear":
        return []
    completed = completed_graph(best, target_sets(data))
    resting = np.argwhere((completed == 1) & (completed.T == 1) & (best == 1) & (probability > _SURE))
    if not len(resting):
        return []
    return [
        f"the direction of {_listed([f'{data.names[a]} -> {data.names[b]}' for a, b in resting.tolist()])} rests on the"
        " prior of the score linear, noise of comparable size in all variables, and on nothing else; bge leaves it open"
    ]


def _of_noise(names: Sequence[str], odd: Sequence[NoiseShape]) -> list[str]:
    found = []
    for says, named in (
        ("has heavier tails than a normal one", [n for n in odd if n.kurtosis > 0 and not n.skewness]),
        ("is skewed", [n for n in odd if n.skewness]),
        ("has lighter tails than a normal one", [n for n in odd if n.kurtosis < 0 and not n.skewness]),
    ):
        if named:
            found.append(
                f"the noise of {_listed([names[n.variable] for n in named])} {says}, the score takes it for normal:"
                " probabilities near 0 and 1 are too sure (logarithms or ranks of such columns may help)"
            )
    sizes = [n for n in odd if n.explained]
    if sizes:
        found.append(
            f"the size of the noise of {_listed([names[n.variable] for n in sizes])} depends on the parents, the score"
            " takes it for the same in all rows: further parents may be an effect of that"
        )
    return found


def _of_hidden_causes(data: GraphData, name: str, best: NDArray[np.int8]) -> list[str]:
    if name == "nonlinear" or data.weights is not None:
        return []
    cause = hidden_common_cause(data.values[data.without_intervention], best)
    if cause is None:
        return []
    return [
        f"a hidden common cause of {_listed([data.names[j] for j in cause.children])} would explain the rows better, by"
        f" {cause.nats:.0f} nats of BIC: edges among them may stand for it"
    ]


def _of_interventions(data: GraphData, build: Callable[[GraphData], LocalScore], best: NDArray[np.int8]) -> list[str]:
    odd = odd_interventions(build, data, best)
    found = []
    depends = [each for each in odd if each.depends]
    if depends:
        names = sorted({data.names[j] for each in depends for j in each.depends})
        found.append(
            f"interventions on {_listed(names)} do not act as declared: the variable still depends on its causes, by"
            f" {depends[0].nats:.0f} nats; declare them soft (interventions soft)"
        )
    changed = [each for each in odd if each.changed]
    if changed:
        pairs = [
            f"{'+'.join(data.names[j] for j in e.targets)} ({_listed([data.names[j] for j in e.changed])})"
            for e in changed
        ]
        found.append(
            f"interventions change mechanisms of other variables than declared: {_listed(pairs)}, by up to"
            f" {max(e.nats for e in changed):.0f} nats; they act elsewhere too, or there is a hidden common cause"
            " (interventions unknown looks for what they act on)"
        )
    pairs_apart = confounded_pairs(build, data, best)
    if pairs_apart:
        together = [f"{data.names[a]} and {data.names[b]}" for a, b in (pair.targets for pair in pairs_apart)]
        found.append(
            f"{_listed(together)} go together where nothing acts on the first, and not where it is set: a hidden common"
            f" cause, by {pairs_apart[0].nats:.0f} nats; edges among them may stand for it"
        )
    return found


def _of_prior(
    names: Sequence[str], score: LocalScore, prior: GraphPrior, best: NDArray[np.int8], mean_edges: float
) -> list[str]:
    found = []
    if (count := unexpected_edges(prior, len(names), mean_edges)) is not None:
        found.append(
            f"the prior expects {count.prior:.1f} edges, the rows show {count.posterior:.1f}, and speak against it by"
            f" {count.nats:.0f} nats; the suggested prior (prior suggested) leaves open how many there are"
        )
    if (cost := cost_of_knowledge(score, prior, best)) > CLEAR_EDGES:
        found.append(
            f"required and forbidden edges and tiers cost the best graph {cost:.0f} nats: the rows speak against them"
        )
    return found


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_LISTED])
    return shown if len(items) <= _LISTED else f"{shown} and {len(items) - _LISTED} more"
