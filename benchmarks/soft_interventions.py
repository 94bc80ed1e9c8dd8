"""Soft interventions with known targets, the setting of Bagi et al. (2024, arXiv 2402.11124), table 2.

Four variables, ten random graphs (edges of a fixed order with probability 0.5), z_i = e_i + loc_i(z_pa) before and
z~_i = e~_i + loc~_i(z_pa) after, weights of loc from N(0, 1) and of loc~ from N(3, 1), x = R z with R in SO(4). Best
published means over graphs: disentanglement 0.72, completeness 0.81.

    python benchmarks/soft_interventions.py --pairs 20000 --graphs 10
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import expm

from pyro_lcm.causal.dag import random_dag
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data import InterventionPairs
from pyro_lcm.evaluation import dci
from pyro_lcm.guides.soft_ilcm import SoftILCMGuide
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.nn import Flow, VectorEncoder
from pyro_lcm.nn.isometry import IsometricDecoder
from pyro_lcm.training import fit
from pyro_lcm.training.soft_recipe import SoftObjective, soft_phases

Array = NDArray[np.float64]


class SoftSystem:
    """One random latent causal model with soft interventions.

    Args:
        seed: of graph, mechanisms and mixing.
        dim: number of variables.
        hidden: units in the one hidden layer of loc and loc~; 0 makes them linear.
    """

    def __init__(self, seed: int, dim: int = 4, hidden: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.dim = dim
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
        """Draw n pairs with truth; targets uniform over none and the variables."""
        rng = np.random.default_rng((1, seed))
        noise, redrawn = rng.normal(size=(2, n, self.dim))
        targets = rng.integers(0, self.dim + 1, n)
        z, z_after = np.zeros((n, self.dim)), np.zeros((n, self.dim))
        for i in range(self.dim):
            hit = targets == i + 1
            z[:, i] = noise[:, i] + self._location(self.loc, i, z)
            kept = noise[:, i] + self._location(self.loc, i, z_after)
            z_after[:, i] = np.where(hit, redrawn[:, i] + self._location(self.loc_after, i, z_after), kept)
        return InterventionPairs(
            z @ self.rotation.T, z_after @ self.rotation.T, targets=targets, z=z, z_after=z_after, noise=noise
        )


def fit_soft(pairs: InterventionPairs, *, seed: int, known: bool, linear: bool) -> SoftObjective:
    dim = pairs.x.shape[1]
    torch.manual_seed(seed)
    layers = 0 if linear else 8
    solution, changed = (SolutionFunctions(dim, () if linear else (32,)) for _ in range(2))
    model = SoftILCM(dim, IsometricDecoder(dim, dim, min_sd=0.03), solution, changed)
    guide = SoftILCMGuide(dim, VectorEncoder(dim, dim, (), flow=Flow(dim, layers=layers, hidden=32), min_sd=0.01))
    objective = SoftObjective(model, guide)
    tensors = {
        "x": torch.as_tensor(pairs.x, dtype=torch.float32),
        "x_after": torch.as_tensor(pairs.x_after, dtype=torch.float32),
    }
    if known:
        tensors["targets"] = torch.as_tensor(pairs.targets)
    steps = {"unmix": 0, "mechanisms": 0, "refine": 200} if linear else {"unmix": 2000}
    fit(objective, tensors, soft_phases(**steps), seed=seed, device="cpu", progress=False)
    return objective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=5_000)
    parser.add_argument("--graphs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=0, help="units in loc and loc~; 0 for linear ones")
    parser.add_argument("--unknown", action="store_true", help="do not tell the targets")
    options = parser.parse_args()
    rows = []
    print("graph  edges      D      C  seconds")
    for seed in range(options.graphs):
        start = time.perf_counter()
        system = SoftSystem(seed, hidden=options.hidden)
        pairs, test = system.sample(options.pairs, 0), system.sample(options.test, 1)
        objective = fit_soft(pairs, seed=seed, known=not options.unknown, linear=options.hidden == 0)
        with torch.no_grad():
            x = torch.as_tensor(test.x, dtype=torch.float32)
            causal = objective.model.causal(objective.guide.encode(x).mean).numpy()
        score = dci(causal, test.z, rows=options.test)
        rows.append((score.disentanglement, score.completeness))
        seconds = time.perf_counter() - start
        print(f"{seed:5d} {system.adjacency.sum():6d} {rows[-1][0]:6.3f} {rows[-1][1]:6.3f} {seconds:8.1f}", flush=True)
    print(" mean       ", "  ".join(f"{value:.3f}" for value in np.mean(rows, 0)))


if __name__ == "__main__":
    main()
