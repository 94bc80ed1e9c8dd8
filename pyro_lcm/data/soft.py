"""Pairs under soft interventions with known targets, the setting of Bagi et al. (2024, arXiv 2402.11124), table 2.

Random graphs (edges of a fixed order with probability 0.5), z_i = e_i + loc_i(z_pa) before and
z~_i = e~_i + loc~_i(z_pa) after, weights of loc from N(0, 1) and of loc~ from N(3, 1), x = R z with a
random rotation R.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.data.pairs import InterventionPairs

Array = NDArray[np.float64]


class SoftSystem:
    """One random latent causal model with soft interventions.

    Args:
        seed: of graph, mechanisms and mixing.
        dim: number of variables d.
        hidden: units in the one hidden layer of loc and loc~; 0 makes them linear.
        sets: whether each variable is a target with probability one half, instead of one variable or none.
    """

    def __init__(self, seed: int, dim: int = 4, hidden: int = 0, sets: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.dim, self.sets = dim, sets
        self.adjacency = random_dag(dim, 0.5, rng, random_order=False)
        self.loc, self.loc_after = (self._networks(rng, mean, hidden) for mean in (0.0, 3.0))
        skew = rng.normal(size=(dim, dim))
        self.rotation = expm(skew - skew.T)

    def _networks(self, rng: np.random.Generator, mean: float, hidden: int) -> list[tuple[Array, ...]]:
        shapes: tuple[tuple[int, ...], ...] = ((self.dim,),)
        if hidden:
            shapes = ((self.dim, hidden), (hidden,), (hidden,))
        return [tuple(rng.normal(mean, 1.0, shape) for shape in shapes) for _ in range(self.dim)]

    def _location(self, networks: list[tuple[Array, ...]], i: int, z: Array) -> Array:
        parents = z * self.adjacency[:, i]
        if not self.adjacency[:, i].any():
            return np.zeros(len(z))
        if len(networks[i]) == 1:
            return parents @ networks[i][0]
        inner, bias, outer = networks[i]
        return np.tanh(parents @ inner + bias) @ outer

    def sample(self, n: int, seed: int) -> InterventionPairs:
        """Draw n pairs with truth; targets uniform over none and the variables, or over all sets, then (n, d)."""
        rng = np.random.default_rng((1, seed))
        noise, redrawn = rng.normal(size=(2, n, self.dim))
        targets = rng.integers(0, 2, (n, self.dim)) if self.sets else rng.integers(0, self.dim + 1, n)
        hits = targets == 1 if self.sets else targets[:, None] == np.arange(1, self.dim + 1)
        z, z_after = np.zeros((n, self.dim)), np.zeros((n, self.dim))
        for i in range(self.dim):
            z[:, i] = noise[:, i] + self._location(self.loc, i, z)
            kept = noise[:, i] + self._location(self.loc, i, z_after)
            z_after[:, i] = np.where(hits[:, i], redrawn[:, i] + self._location(self.loc_after, i, z_after), kept)
        return InterventionPairs(
            z @ self.rotation.T,
            z_after @ self.rotation.T,
            targets=targets,
            z=z,
            z_after=z_after,
            noise=noise,
            adjacency=self.adjacency,
        )
