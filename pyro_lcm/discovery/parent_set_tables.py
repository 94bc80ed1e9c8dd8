"""Tables of a node's parent-set weights: sums over all sets inside another set, and exact draws.

Given which variables may be parents, the posterior over one node's parent set is a finite sum. Written
``w_j(P) = exp(local score + log prior)`` for child j and parent set P, the tables hold

    Z_j(A)    = sum of w_j(P) over P inside A                      (fast zeta transform), and
    Z_j(A, H) = Z_j(A) - Z_j(A without H)                          (P inside A with a member in H),

the two quantities that partition MCMC (Kuipers and Moffa 2017) and the edge-reversal move (Grzegorczyk and
Husmeier 2008) are made of. The transform's intermediate stages are kept as well: they are the normalisers of
the sets' bits taken one at a time, so drawing a set costs one look-up a candidate instead of a pass over
``2^K`` sets.

With many variables P is a subset of K candidates together with **at most one** variable beyond them (the
"plus1" space of Kuipers, Suter and Moffa 2022): one table for no such variable and one for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import LocalScore

_MAX_BYTES = 2**31


class ParentSetTables(torch.nn.Module):
    """Log weights of the parent sets of d variables, with their sums.

    Memory: ``8 (K + 3) d (d - K) 2^K`` bytes for K candidates (d = 12, K = 11: 3 MB; d = 20, K = 10: 21 MB;
    d = 50, K = 8: 47 MB).

    Args:
        score: Local score, see `LocalScore`.
        prior: Prior over graphs; its local terms are added to the score's.
        candidates: For each child K variables that may be its parents; of the others at most one at a time
            may be. With K = d - 1 every set is covered.

    Attributes:
        candidates: (d, K) int64.
        extras: (d, d - 1 - K) int64, the variables beyond the candidates.

    Raises:
        ValueError: If the candidates are not one equally long list of other variables for each child, if the
            tables would need more than 2 GiB, or if the prior allows a child no parent set.
    """

    candidates: Tensor
    extras: Tensor
    _bits: Tensor
    _local: Tensor
    _log_prior: Tensor
    _stages: Tensor

    def __init__(self, score: LocalScore, prior: GraphPrior, candidates: Sequence[Sequence[int]]) -> None:
        super().__init__()
        d = score.num_variables
        chosen = _checked_candidates(candidates, d)
        k = chosen.shape[1]
        needed = table_bytes(d, k)
        if needed > _MAX_BYTES:
            raise ValueError(
                f"candidates: {k} for each of {d} variables need {needed / 2**30:.1f} GiB of tables, "
                f"expected at most {_MAX_BYTES / 2**30:.0f}"
            )
        beyond = np.array([np.setdiff1d(np.arange(d), [j, *chosen[j]]) for j in range(d)], dtype=np.int64)
        log_prior, local = _evaluate(score, prior, chosen, beyond.reshape(d, d - 1 - k))
        bits = np.zeros((d, d))
        np.put_along_axis(bits, chosen, np.broadcast_to(2.0 ** np.arange(k), (d, k)), axis=1)
        self.register_buffer("candidates", torch.from_numpy(chosen))
        self.register_buffer("extras", torch.from_numpy(beyond.reshape(d, d - 1 - k)))
        self.register_buffer("_bits", torch.from_numpy(bits))
        self.register_buffer("_local", torch.from_numpy(local))
        self.register_buffer("_log_prior", torch.from_numpy(log_prior))
        self.register_buffer("_stages", _zeta_stages(self._local, k))

    @property
    def num_variables(self) -> int:
        """Number of variables d."""
        return self.candidates.shape[0]

    @property
    def num_candidates(self) -> int:
        """Number of candidate parents K of each variable."""
        return self.candidates.shape[1]

    def log_sum(self, child: Tensor, allowed: Tensor) -> Tensor:
        """``log Z_j(A)``.

        Args:
            child: (...) int64, children j.
            allowed: (..., d) bool, the sets A.

        Returns:
            (...) float64.
        """
        return self._by_slot(child, allowed, None).logsumexp(-1)

    def log_sum_hitting(self, child: Tensor, allowed: Tensor, hit: Tensor) -> Tensor:
        """``log Z_j(A, H)``; -inf where A has no member in H.

        Args:
            child: (...) int64, children j.
            allowed: (..., d) bool, the sets A.
            hit: (..., d) bool, the sets H.

        Returns:
            (...) float64.
        """
        return self._by_slot(child, allowed, hit).logsumexp(-1)

    def log_empty(self, child: Tensor) -> Tensor:
        """Log weight (...) of having no parents."""
        return self._local[child, 0, 0]

    def sample(
        self,
        child: Tensor,
        allowed: Tensor,
        hit: Tensor | None = None,
        free: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw parent sets in proportion to their weight.

        Args:
            child: (...) int64, children.
            allowed: (..., d) bool; draws lie inside.
            hit: (..., d) bool; draws have a member in here. None: no such member is asked for.
            free: (...) bool, where no such member is asked for after all.
            generator: Source of randomness; torch's own if None.

        Returns:
            (..., d) bool.
        """
        child = child.expand(allowed.shape[:-1])
        if hit is None:
            hit = torch.zeros_like(allowed)
            free = torch.ones_like(child, dtype=torch.bool)
        elif free is None:
            free = torch.zeros_like(child, dtype=torch.bool)
        slot, satisfied = self._sample_slot(child, allowed, hit, free, generator)
        row = (child * self._local.shape[1] + slot) * self._local.shape[2]
        inside, required = self._index(allowed, child), self._index(hit, child)
        chosen = torch.zeros_like(inside)
        k = self.num_candidates
        uniform = torch.rand((k, *chosen.shape), generator=generator, dtype=self._local.dtype, device=chosen.device)
        for bit in reversed(range(k)):
            value = 1 << bit
            table = self._stages[bit]
            below = inside & (value - 1)
            spared = below & ~required
            included = satisfied | ((required & value) != 0)
            with_bit = _completions(table, row + (chosen | value), below, spared, included)
            without = _completions(table, row + chosen, below, spared, satisfied)
            # Where neither can be completed the odds are nan, which compares false: the bit stays out.
            take = ((inside & value) != 0) & (torch.logit(uniform[bit]) < with_bit - without)
            chosen = torch.where(take, chosen | value, chosen)
            satisfied = torch.where(take, included, satisfied)
        return self._to_sets(child, slot, chosen)

    def graph_log_weight(self, adjacency: Tensor) -> Tensor:
        """Sum of the local terms of graphs.

        Args:
            adjacency: (..., d, d), ``[..., parent, child]``.

        Returns:
            (...) float64; -inf for parent sets that the prior or the tables leave out.
        """
        return self._graph_sum(self._local, adjacency)

    def graph_log_prior(self, adjacency: Tensor) -> Tensor:
        """The prior's part (...) of `graph_log_weight`."""
        return self._graph_sum(self._log_prior, adjacency)

    def _index(self, sets: Tensor, child: Tensor) -> Tensor:
        """Numbers (...) of sets (..., d) among the subsets of the child's candidates."""
        return torch.where(sets, self._bits[child], 0.0).sum(-1).long()

    def _by_slot(self, child: Tensor, allowed: Tensor, hit: Tensor | None) -> Tensor:
        """(..., 1 + extras): log sums without an extra parent, then with each of the extras."""
        slots = torch.arange(self._local.shape[1], device=child.device)
        row = (child[..., None] * len(slots) + slots) * self._local.shape[2]
        inside = self._index(allowed, child)[..., None]
        table = self._stages[-1]
        value = table.take(row + inside)
        if hit is not None:
            spared = self._index(allowed & ~hit, child)[..., None]
            value = torch.where(
                self._slot_mask(child, hit, False), value, _log_subtract(value, table.take(row + spared))
            )
        return torch.where(self._slot_mask(child, allowed, True), value, -torch.inf)

    def _slot_mask(self, child: Tensor, sets: Tensor, first: bool) -> Tensor:
        """(..., 1 + extras) bool: which extras are members; ``first`` for the slot of none."""
        child = child.expand(sets.shape[:-1])
        members = sets.gather(-1, self.extras[child])
        return torch.nn.functional.pad(members, (1, 0), value=first)

    def _sample_slot(
        self, child: Tensor, allowed: Tensor, hit: Tensor, free: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Which extra parent (0 = none), and whether nothing is left to hit."""
        if self.extras.shape[1] == 0:
            return torch.zeros_like(child), free
        weight = torch.where(free[..., None], self._by_slot(child, allowed, None), self._by_slot(child, allowed, hit))
        probability = weight.softmax(-1).nan_to_num(1.0)
        slot = torch.multinomial(probability.flatten(0, -2), 1, generator=generator).reshape(child.shape)
        hits = self._slot_mask(child, hit, False).gather(-1, slot[..., None])[..., 0]
        return slot, free | hits

    def _to_sets(self, child: Tensor, slot: Tensor, index: Tensor) -> Tensor:
        k = self.num_candidates
        member = ((index[..., None] >> torch.arange(k, device=index.device)) & 1).bool()
        sets = torch.zeros((*index.shape, self.num_variables), dtype=torch.bool, device=index.device)
        sets.scatter_(-1, self.candidates[child], member)
        extra = torch.arange(1, self._local.shape[1], device=index.device) == slot[..., None]
        return sets.scatter_(-1, self.extras[child], extra)

    def _graph_sum(self, table: Tensor, adjacency: Tensor) -> Tensor:
        parents = adjacency.bool().mT
        child = torch.arange(self.num_variables, device=adjacency.device)
        extra = self._slot_mask(child, parents, False)
        covered = extra.sum(-1) <= 1
        terms = table[child, extra.int().argmax(-1), self._index(parents, child)]
        return torch.where(covered, terms, -torch.inf).sum(-1)


def table_bytes(num_variables: int, candidates: int) -> int:
    """Memory of the tables of d variables with K candidates each."""
    return 8 * (candidates + 3) * num_variables * (num_variables - candidates) * 2**candidates


def _evaluate(
    score: LocalScore, prior: GraphPrior, chosen: NDArray[np.int64], beyond: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log prior, and log prior plus score, of all sets: two arrays (d, 1 + extras, 2^K)."""
    d, k = chosen.shape
    members = ((np.arange(2**k)[:, None] >> np.arange(k)) & 1).astype(bool)
    log_prior = np.empty((d, 1 + beyond.shape[1], 2**k))
    local = np.empty_like(log_prior)
    for child in range(d):
        for slot, extra in enumerate([None, *beyond[child].tolist()]):
            sets = np.zeros((2**k, d), dtype=bool)
            sets[:, chosen[child]] = members
            if extra is not None:
                sets[:, extra] = True
            terms = prior.log_local(child, sets)
            allowed = np.isfinite(terms)
            log_prior[child, slot] = terms
            if allowed.any():
                terms[allowed] += score.local(child, sets[allowed])
            local[child, slot] = terms
        if not np.isfinite(log_prior[child]).any():
            raise ValueError(f"prior: variable {child} has no allowed parent set among its {k} candidate parents")
    return log_prior, local


def _checked_candidates(candidates: Sequence[Sequence[int]], d: int) -> NDArray[np.int64]:
    lengths = {len(row) for row in candidates}
    if len(candidates) != d or len(lengths) != 1:
        raise ValueError(
            f"candidates: got {len(candidates)} lists of lengths {sorted(lengths)}, expected {d} lists of one length"
        )
    chosen = np.sort(np.asarray(candidates, dtype=np.int64).reshape(d, -1), axis=1)
    for child, row in enumerate(chosen.tolist()):
        if len(set(row)) != len(row) or child in row or not all(0 <= i < d for i in row):
            raise ValueError(
                f"candidates: got {row} for variable {child}, expected different variables other than itself"
            )
    return chosen


def _zeta_stages(local: Tensor, k: int) -> Tensor:
    """(K + 1, d, 1 + extras, 2^K): stage b sums over the subsets of the lowest b bits."""
    stages = [local]
    for bit in range(k):
        halves = stages[-1].reshape(-1, 2, 1 << bit)
        low, high = halves[:, 0], halves[:, 1]
        stages.append(torch.stack([low, torch.logaddexp(low, high)], dim=1).reshape(local.shape))
    return torch.stack(stages)


def _completions(table: Tensor, head: Tensor, below: Tensor, spared: Tensor, satisfied: Tensor) -> Tensor:
    """Log weight of all ways to choose the bits below, given the bits chosen so far."""
    inside = table.take(head + below)
    return torch.where(satisfied, inside, _log_subtract(inside, table.take(head + spared)))


def _log_subtract(larger: Tensor, smaller: Tensor) -> Tensor:
    """``log(exp(larger) - exp(smaller))``; -inf where nothing is left (rounding included)."""
    difference = larger + torch.log1p(-torch.exp((smaller - larger).clamp(max=0.0)))
    return torch.where(larger > smaller, difference, -torch.inf)
