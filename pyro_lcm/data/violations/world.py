"""A latent causal model of linear mechanisms each of whose assumptions can be broken by itself.

    e ~ noise,    z_j = sum_k w_kj z_k + e_j,    x = R z, or bent    before
    z~_i = redraw(z_i, sum_k w_ki z~_k)   for the targets i,        after; the others follow as before

The parts are functions of arrays, of which the catalogue (:mod:`pyro_lcm.data.violations.catalogue`) exchanges one at a
time. Weights, rotation and their distributions are those of :mod:`pyro_lcm.data.scaling`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import expm

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.data.mechanisms import draw_weights
from pyro_lcm.data.mixings import draw_mixing
from pyro_lcm.data.pairs import InterventionPairs

Array = NDArray[np.float64]
Random = np.random.Generator
Redraw = Callable[[Array, Array, Random], Array]
"""From a variable's old values (N,) and what its causes make of it without noise (N,), to its new values (N,)."""
Hits = Callable[[Random, int, int], NDArray[np.bool_]]
"""From a number of pairs N and of variables d, to the targets (N, d)."""
Noise = Callable[[Random, int, int], Array]
"""From a number of pairs N and of variables d, to the noise (N, d)."""
Seen = Callable[[Array, Array, Random], tuple[Array, Array]]
"""From both sides (N, D) of x as it should be, to both as they are recorded."""


def perfect(old: Array, mean: Array, rng: Random) -> Array:
    """What is assumed: a new value that depends on nothing."""
    return rng.normal(size=old.shape)


def one_or_none(rng: Random, n: int, dim: int) -> NDArray[np.bool_]:
    """What is assumed: one target or none, each as often."""
    return rng.integers(0, dim + 1, n)[:, None] == np.arange(1, dim + 1)


def normal_noise(rng: Random, n: int, dim: int) -> Array:
    """What is assumed: independent noise."""
    return rng.normal(size=(n, dim))


def as_it_is(x: Array, x_after: Array, rng: Random) -> tuple[Array, Array]:
    """What is assumed: a record of x."""
    return x, x_after


@dataclass(frozen=True)
class World:
    """A distribution over systems, and how pairs are drawn from one.

    Attributes:
        dim: number of variables d.
        redraw: what becomes of a target.
        only: the variable 1..d whose values are redrawn so, the others' perfectly; None for all.
        hits: which variables are targets.
        noise: the noise of all variables.
        features: number of features of x; below d the last variables are mixed into the others, above the rotation is
            embedded.
        mixing: ``linear``, or another of :data:`pyro_lcm.data.mixings.MIXINGS`, of as many features as variables.
        seen: what is recorded of x.
        follow: whether descendants follow a target.
        renewed: standard deviation of what is added to all noise between the sides.
        distinct: how many different pairs there are, repeated as often as it takes; None for as many as pairs.
    """

    dim: int = 3
    redraw: Redraw = perfect
    only: int | None = None
    hits: Hits = one_or_none
    noise: Noise = normal_noise
    features: int | None = None
    mixing: str = "linear"
    seen: Seen = as_it_is
    follow: bool = True
    renewed: float = 0.0
    distinct: int | None = None

    def sample(self, n: int, *, seed: int, sample: int) -> InterventionPairs:
        """Draw pairs with their truth.

        Args:
            n: number of pairs.
            seed: of the system, which has an edge at least where there are two variables.
            sample: of the draw, and for repeated pairs of their order alone.

        Returns:
            The pairs; targets are sets where there are several at a time.
        """
        if self.distinct is not None and self.distinct < n:
            few = replace(self, distinct=None).sample(self.distinct, seed=seed, sample=0)
            return few[np.random.default_rng((3, sample)).permutation(np.arange(n) % self.distinct)]
        adjacency, weights, mix = self._system(seed)
        rng = np.random.default_rng((2, seed, sample))
        noise, hits = self.noise(rng, n, self.dim), self.hits(rng, n, self.dim)
        nothing = np.zeros_like(hits)
        z = self._follow(noise, weights, nothing, noise, rng)
        later = noise + self.renewed * rng.normal(size=noise.shape)
        z_after = self._follow(later, weights, hits, z, rng) if self.follow else self._alone(z, weights, hits, rng)
        x, x_after = self.seen(mix(z), mix(z_after), rng)
        several = bool((hits.sum(1) > 1).any())
        return InterventionPairs(
            x,
            x_after,
            targets=hits.astype(np.int64) if several else (hits * np.arange(1, self.dim + 1)).sum(1),
            z=z,
            z_after=z_after,
            noise=noise,
            adjacency=adjacency,
        )

    def _system(self, seed: int) -> tuple[NDArray[np.int8], Array, Callable[[Array], Array]]:
        """Graph, weights and mixing of a seed."""
        rng = np.random.default_rng((1, seed))
        adjacency = random_dag(self.dim, 0.5, rng, random_order=False)
        while self.dim > 1 and not adjacency.any():
            adjacency = random_dag(self.dim, 0.5, rng, random_order=False)
        weights = draw_weights(adjacency, rng)
        if self.mixing != "linear":
            bent = draw_mixing(self.mixing, self.dim, rng)
            return adjacency, weights, lambda z: np.asarray(bent(torch.from_numpy(z)).detach().numpy())
        width = max(self.dim, self.features or self.dim)
        skew = rng.normal(size=(width, width))
        rotation = expm(skew - skew.T)[: self.dim, : self.features]
        return adjacency, weights, lambda z: np.asarray(z @ rotation)

    def _follow(self, noise: Array, weights: Array, hits: NDArray[np.bool_], old: Array, rng: Random) -> Array:
        """Causal variables of noise, causes before effects, the targets' redrawn."""
        z = np.zeros_like(noise)
        for i in range(self.dim):
            mean = z @ weights[:, i]
            z[:, i] = np.where(hits[:, i], self._redrawn(i, old[:, i], mean, rng), mean + noise[:, i])
        return z

    def _alone(self, z: Array, weights: Array, hits: NDArray[np.bool_], rng: Random) -> Array:
        """Targets redrawn, and nothing else."""
        columns = [self._redrawn(i, z[:, i], z @ weights[:, i], rng) for i in range(self.dim)]
        return np.where(hits, np.stack(columns, 1), z)

    def _redrawn(self, i: int, old: Array, mean: Array, rng: Random) -> Array:
        rule = self.redraw if self.only in (None, i + 1) else perfect
        return rule(old, mean, rng)
