"""Posterior over graphs by Markov chain Monte Carlo, for more variables than can be enumerated.

The state is an ordered partition of the variables (`partitions`), with the graphs of a partition summed over
(partition MCMC, Kuipers and Moffa 2017), so its stationary distribution is exactly the posterior under the
prior as it stands, uniform over DAGs by default. One sweep

1. moves every variable once, in random order, to a place drawn from *all* its places (a Gibbs move),
2. draws a graph given the partition,
3. redraws the parents of a few variables and reverses a few edges of that graph (`mcmc.moves`),
4. goes on from the partition of the graph it arrived at.

Under an order-modular prior the state is an order and steps 3 and 4 fall away. Above ``max_candidates + 1``
variables, all parents but one come from candidates that are chosen, and revised during warm-up, by the score
(`candidate_parents`).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.discovery import partitions
from pyro_lcm.discovery.candidate_parents import best_supported, choose_candidates, edge_support
from pyro_lcm.discovery.diagnostics import is_settled
from pyro_lcm.discovery.draws import GraphDraws
from pyro_lcm.discovery.mcmc import moves, orders
from pyro_lcm.discovery.parent_set_tables import ParentSetTables, table_bytes
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import LocalScore

Progress = Callable[[int, int], None]

_EXPANSIONS = 5
_GRAPH_MOVES = 1
_NEGLIGIBLE_EDGES = 0.01
_MISSED_EDGES = 0.25
"""Edges that a graph misses for want of candidates, above which there are more of them."""
_MORE_CANDIDATES = 2
_MOST_TABLE_BYTES = 2**29
_MOST_CANDIDATES = 14
_SMALL = 8
_WALKERS_IF_SMALL = 64


def mcmc_posterior(
    score: LocalScore,
    prior: GraphPrior | None = None,
    *,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    warmup: int | None = None,
    thin: int = 1,
    walkers: int | None = None,
    max_candidates: int | None = None,
    ess: float | None = None,
    time_limit: float = 600.0,
    progress: Progress | None = None,
) -> GraphDraws:
    """Draw graphs from their posterior with several independent chains.

    Cost of a sweep: about ``2 chains walkers d^4`` elementary operations, in vectorised tensor code; below
    ten variables the number of calls dominates and further walkers cost next to nothing, so that a chain of
    few variables is made of several. Memory: the tables (`ParentSetTables`), about ``100 chains walkers d^3``
    bytes for a move, the score's kept values, and the draws, ``chains * draws * d^2`` bytes: 0.44 GB at d = 50 for
    four chains.

    Args:
        score: Local score of d variables.
        prior: Prior over graphs; uniform over DAGs if None.
        draws: Graphs kept from each chain.
        chains: Number of chains, each from its own random start. They advance together.
        seed: Seed of all randomness; the same seed gives the same draws.
        warmup: Sweeps that are thrown away; ``max(100, draws // 4)`` if None.
        thin: Sweeps from one kept graph to the next.
        walkers: Independent Markov chains W that make up each chain: sweep by sweep they take turns in giving
            a draw, and the draws of a chain are those of its first walker, then of the second, and so on
            (``stats["walker"]``). Each is a chain of its own for R-hat and the effective sample size, so that walkers
            that stay in different modes are seen. None: 64 over the number of chains up to eight variables, else 1.
        max_candidates: Most candidate parents K of a variable; None: 12 up to 13 variables, else 10, 8 above 25, and
            two more at a time while a graph misses a quarter of an edge for want of them and tables fit into half a
            GiB. With ``d - 1 <= K`` nothing is left out; otherwise a parent set holds at most one variable that is
            no candidate.
        ess: Effective number of draws that every edge with a probability between .01 and .99 is to have, all chains
            together, with an R-hat that chance explains. The chains go on until then: every other draw is dropped and
            as many new ones, twice as many sweeps apart, take their place, so that memory stays. None: no more than
            ``draws``.
        time_limit: Seconds after which chains that have not got there go on no longer; a note then says so.
        progress: Called with the sweeps done and the sweeps in all.

    Returns:
        The draws, with the edge probabilities averaged in closed form over the partitions visited.
        ``attrs["missed_edges"]`` estimates how many edges a graph misses on average for want of a second
        parent beyond the candidates (0 where nothing is left out), ``attrs["reversals_accepted"]`` the share
        of reversals accepted.

    Raises:
        ValueError: If a count is below 1 (``warmup``: below 0), the tables would need more than 2 GiB, or the
            prior leaves a variable no parent set.
    """
    prior = GraphPrior() if prior is None else prior
    d = score.num_variables
    warmup = max(100, draws // 4) if warmup is None else warmup
    for name, value, least in (
        ("draws", draws, 1),
        ("chains", chains, 1),
        ("thin", thin, 1),
        ("walkers", 1 if walkers is None else walkers, 1),
        ("warmup", warmup, 0),
    ):
        if value < least:
            raise ValueError(f"{name}: got {value}, expected at least {least}")
    prior.check(d)
    if walkers is None:
        walkers = max(1, _WALKERS_IF_SMALL // chains) if d <= _SMALL else 1
    walkers = min(walkers, draws)
    if ess is not None and not 0 < ess <= chains * draws:
        raise ValueError(f"ess: got {ess}, expected more than 0 and at most chains * draws = {chains * draws}")
    if not time_limit > 0:
        raise ValueError(f"time_limit: got {time_limit}, expected seconds > 0")
    start = perf_counter()
    total = warmup + draws * thin
    sampler = _Sampler(score, prior, chains * walkers, max_candidates, seed)
    done = 0

    def advance(sweeps: int) -> None:
        nonlocal done
        for _ in range(sweeps):
            sampler.sweep()
            done += 1
            if progress is not None:
                progress(done, total)

    missed = 0.0
    if sampler.screened:
        each = max(1, warmup // (_EXPANSIONS + 1))
        for _ in range(_EXPANSIONS):
            if done + each > warmup:
                break
            missed, changed = sampler.expand(lambda: advance(1), each)
            if not changed:
                break
        while max_candidates is None and missed > _MISSED_EDGES and sampler.has_room:
            total += each
            sampler.grow()
            missed, _ = sampler.expand(lambda: advance(1), each)
    if done < warmup:
        advance(warmup - done)
    sampler.reset_counts()
    drawing = perf_counter()
    turns = -(-draws // walkers)
    lengths = [draws // walkers + (walker < draws % walkers) for walker in range(walkers)]
    kept = torch.zeros((chains, walkers, turns, d, d), dtype=torch.int8)
    edge_probability = torch.zeros((d, d), dtype=torch.float64)
    looks = 0

    def collect(first: int) -> None:
        """Walkers take turns in giving a draw, from a turn on."""
        nonlocal looks, edge_probability
        for turn in range(first, turns):
            for walker in range(walkers):
                if turn < lengths[walker]:
                    advance(thin)
                    kept[:, walker, turn] = sampler.graphs.view(chains, walkers, d, d)[:, walker]
                    edge_probability += sampler.edge_probabilities()
                    looks += 1

    def graphs() -> NDArray[np.int8]:
        return torch.cat([kept[:, walker, :number] for walker, number in enumerate(lengths)], dim=1).numpy()

    collect(0)
    walker_of = np.broadcast_to(np.repeat(np.arange(walkers), lengths), (chains, draws))
    while ess is not None and turns > 1 and not is_settled(graphs(), walker_of, ess):
        if perf_counter() - start + (perf_counter() - drawing) > time_limit:
            break
        half = (draws // walkers) // 2
        kept[:, :, :half] = kept[:, :, 1 : 2 * half : 2].clone()
        thin *= 2
        total += sum(max(0, number - half) for number in lengths) * thin
        collect(half)
    adjacency = graphs()
    if sampler.screened:
        missed = sampler.missed_edges(adjacency[:, :: max(1, draws // 50)].reshape(-1, d, d) != 0)
    return GraphDraws(
        adjacency=adjacency,
        log_score=score.total(adjacency),
        method="mcmc",
        names=score.names,
        edge_probability=(edge_probability / looks).numpy(),
        stats={"walker": walker_of.astype(np.int64)},
        attrs={
            "seed": seed,
            "warmup": warmup,
            "thin": thin,
            "walkers": walkers,
            "candidates": sampler.tables.num_candidates,
            "missed_edges": missed,
            "reversals_accepted": sampler.reversals_accepted,
            **({} if ess is None else {"ess_asked": ess}),
            "seconds": perf_counter() - start,
        },
    )


class _Sampler:
    """All chains' state, and one sweep of it."""

    tables: ParentSetTables
    graphs: Tensor
    state: Tensor

    def __init__(
        self, score: LocalScore, prior: GraphPrior, chains: int, max_candidates: int | None, seed: int
    ) -> None:
        d = score.num_variables
        self._score = score
        self._prior = prior
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(int(self._rng.integers(2**63)))
        self._candidates = choose_candidates(score, prior, max_candidates)
        self.screened = len(self._candidates[0]) < d - 1
        self._start(orders.random_orders(prior, d, chains, self._rng))
        self.reset_counts()

    def reset_counts(self) -> None:
        self._tried = 0
        self._accepted = torch.zeros((), dtype=torch.long)

    @property
    def reversals_accepted(self) -> float:
        return float(self._accepted) / max(1, self._tried)

    def sweep(self) -> None:
        """One pass over all variables, then a few moves on graphs; sets ``graphs`` and ``state``."""
        d = self._score.num_variables
        states = orders if self._prior.order_modular else partitions
        for node in self._rng.permutation(d).tolist():
            state, log_weight = states.relocations(self.tables, self.state, node)
            chosen = torch.multinomial(log_weight.softmax(-1), 1, generator=self._generator)
            self.state = state.take_along_dim(chosen[..., None], 1)[:, 0]
        self.graphs = states.sample_graphs(self.tables, self.state, self._generator)
        if self._prior.order_modular or d == 1:
            return
        for _ in range(_GRAPH_MOVES):
            node = torch.randint(d, self.state.shape[:1], generator=self._generator)
            self.graphs = moves.redraw_parents(self.tables, self.graphs, node, self._generator)
            self.graphs, accepted = moves.reverse_edge(self.tables, self.graphs, self._generator)
            self._accepted += accepted.sum()
            self._tried += len(accepted)
        self.state = partitions.layers_of(self.graphs)

    def edge_probabilities(self) -> Tensor:
        """(d, d) edge probabilities given the present states, averaged over chains."""
        if self._prior.order_modular:
            return orders.edge_probabilities(self.tables, self.state).mean(0)
        return partitions.edge_probabilities(self.tables, self.state).mean(0)

    def expand(self, advance: Callable[[], None], sweeps: int) -> tuple[float, bool]:
        """Run some sweeps and revise the candidates; returns the edges missed, and whether any changed."""
        seen = []
        for sweep in range(sweeps):
            advance()
            if sweep >= sweeps // 2:
                seen.append(self.graphs.numpy())
        support, missed = edge_support(self._score, self._prior, np.concatenate(seen), self._candidates)
        revised = best_supported(support, self._prior, self._candidates)
        if missed < _NEGLIGIBLE_EDGES or revised == self._candidates:
            return missed, False
        self._candidates = revised
        self._start(self.state)
        return missed, True

    @property
    def has_room(self) -> bool:
        """Whether tables of more candidates fit into half a GiB."""
        d, k = self._score.num_variables, len(self._candidates[0]) + _MORE_CANDIDATES
        return k <= min(_MOST_CANDIDATES, d - 1) and table_bytes(d, k) <= _MOST_TABLE_BYTES

    def grow(self) -> None:
        """Give every variable two more candidates, those with the best support in the present graphs."""
        graphs = self.graphs.numpy()
        support, _ = edge_support(self._score, self._prior, graphs, self._candidates)
        size = len(self._candidates[0]) + _MORE_CANDIDATES
        self._candidates = best_supported(support, self._prior, self._candidates, size)
        self.screened = size < self._score.num_variables - 1
        self._start(self.state)

    def missed_edges(self, graphs: NDArray[np.bool_]) -> float:
        return edge_support(self._score, self._prior, graphs, self._candidates)[1]

    def _start(self, order: Tensor) -> None:
        """New tables; each chain starts from a graph that agrees with its order (or layers)."""
        self.tables = ParentSetTables(self._score, self._prior, self._candidates)
        self.graphs = orders.sample_graphs(self.tables, order, self._generator)
        self.state = order if self._prior.order_modular else partitions.layers_of(self.graphs)
