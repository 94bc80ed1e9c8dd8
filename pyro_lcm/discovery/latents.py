"""Posterior over graphs of learned causal variables.

Three things are uncertain beyond the graph's own posterior: which variable was the target of each pair, so targets
are drawn anew from q(I) for every chain; what the variables are, so independent fits are chains of their own; and the
data are pairs that share noise, so the two sides of a pair are not independent rows. Two ways of scoring pairs:

- by what was redrawn (`scores.redrawn`): the evidence about a mechanism comes from the pairs whose target it was. This
  is what an ILCM's pairs say, and what keeps 200 pairs from looking like certainty;
- by the rows after the intervention, the target masked: as evidence a pair counts once, and its targets break the
  symmetry between graphs that the side before cannot tell apart. Right for variables that are known; for learned ones
  it takes the learned solution functions for facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.draws import GraphDraws, combine_draws
from pyro_lcm.discovery.effects import LinearMechanisms, causal_effects
from pyro_lcm.discovery.posterior import Method, ScoreName, draw_graphs, graph_score, to_container
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData, LocalScore
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.redrawn import RedrawnMechanisms, RedrawnScore

_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class LatentRows:
    """What one fit makes of the pairs, in the order and with the names of the first fit's variables.

    Attributes:
        causal_after: (N, d) causal variables after the intervention.
        targets: (N, d + 1) probabilities q(I), column 0 none.
        causal: (N, d) causal variables before the intervention, and
        noise_after: (N, d) noise encodings after it: if both are given, pairs are scored by what was redrawn, else by
            the rows after.
        noise: (N, d) noise encodings before: if given too, each chain replaces the causal variables of the fit by
            those of graphs drawn on the way (`RedrawnMechanisms.causal_given`), for linear scores.
    """

    causal_after: NDArray[np.floating[Any]]
    targets: NDArray[np.floating[Any]]
    causal: NDArray[np.floating[Any]] | None = None
    noise_after: NDArray[np.floating[Any]] | None = None
    noise: NDArray[np.floating[Any]] | None = None

    def reordered(self, permutation: NDArray[np.int64], signs: NDArray[np.int64]) -> LatentRows:
        """The same with variable ``permutation[i]`` in place i, causal variables and noise times ``signs[i]``."""
        causal, noise_after, noise = (
            None if each is None else each[:, permutation] * signs
            for each in (self.causal, self.noise_after, self.noise)
        )
        columns = np.concatenate([[0], permutation + 1])
        after = self.causal_after[:, permutation] * signs
        return LatentRows(after, self.targets[:, columns], causal, noise_after, noise)


def latent_graph_posterior(
    fits: Sequence[LatentRows],
    *,
    names: Sequence[str],
    score: ScoreName = "bge",
    prior: GraphPrior | None = None,
    method: Method = "auto",
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    **options: Any,
) -> Container:
    """Infer the posterior over graphs of learned causal variables.

    Args:
        fits: what each fit makes of the same pairs, aligned; at least one.
        names: of the d variables.
        score: "bge", "linear" or "nonlinear".
        prior: over graphs; uniform over DAGs if None.
        method: as in :func:`pyro_lcm.discovery.graph_posterior`.
        draws: of each chain.
        chains: in all, at least one for each fit; each draws its own targets.
        seed: of everything random.
        **options: passed to the engine.

    Returns:
        ArviZ's native container, as of :func:`pyro_lcm.discovery.graph_posterior`; chains that disagree show in
        r_hat.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not fits:
        raise ValueError("fits: got none, expected at least one")
    if chains < 1:
        raise ValueError(f"chains: got {chains}, expected at least 1")
    knowledge = GraphPrior() if prior is None else prior
    rng = np.random.default_rng(seed)
    total = max(chains, len(fits))
    parts: list[GraphDraws] = []
    effects = []
    data = None
    for chain in range(total):
        fit = fits[chain % len(fits)]
        targets = draw_targets(fit.targets, rng)
        data = GraphData(fit.causal_after.astype(np.float64), targets, tuple(names))
        scorer = _score(fit, targets, data, score)
        for _ in range(_ROUNDS):
            if not isinstance(scorer, RedrawnMechanisms) or fit.noise is None:
                break
            rough = draw_graphs(
                scorer, knowledge, method=method, draws=1, chains=1, seed=int(rng.integers(2**31)), **options
            )
            causal = scorer.causal_given(rough.adjacency[0, 0], fit.noise.astype(np.float64))
            scorer = _score(replace(fit, causal=causal), targets, data, score)
        part = draw_graphs(
            scorer,
            knowledge,
            method=method,
            draws=draws,
            chains=1,
            seed=int(rng.integers(2**31)),
            **options,
        )
        mechanisms = scorer if isinstance(scorer, LinearMechanisms) else BGeScore(data)
        effects.append(causal_effects(mechanisms, part.adjacency, rng))
        parts.append(part)
    return to_container(combine_draws(parts, "chain"), data=data, prior=knowledge, effect=np.concatenate(effects))


def _score(fit: LatentRows, targets: NDArray[np.int64], data: GraphData, score: ScoreName) -> LocalScore:
    if fit.causal is None or fit.noise_after is None:
        return graph_score(score, data)
    kind = RedrawnScore if score == "nonlinear" else RedrawnMechanisms
    causal, noise_after = fit.causal.astype(np.float64), fit.noise_after.astype(np.float64)
    return kind(lambda rows: graph_score(score, rows), causal, noise_after, targets, data.names)


def draw_targets(probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.int64]:
    """One draw of each pair's target, (N,), from (N, d + 1) probabilities.

    Example:
        >>> draw_targets(np.array([[0.0, 1.0], [1.0, 0.0]]), np.random.default_rng(0)).tolist()
        [1, 0]
    """
    cumulative = probabilities.astype(np.float64).cumsum(1)
    level = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return np.asarray((cumulative < level).sum(1), dtype=np.int64)
