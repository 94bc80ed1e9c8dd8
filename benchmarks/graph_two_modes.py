"""Is MCMC right, or noted, where a posterior has two modes that chains hardly change between?

A score of four variables with the modes a -> b -> c -> d and d -> c -> b -> a, 2 to 14 nats above what lies between,
one up to 2.2 nats above the other. Short chains on purpose: two of eight walkers, 160 draws, beside the exact
posterior.

    python benchmarks/graph_two_modes.py --problems 26
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import ArrayLike

from pyro_lcm.discovery import GraphPrior, exact_posterior, graph_summary, to_container
from pyro_lcm.discovery.posterior import draw_graphs
from pyro_lcm.discovery.problems import posterior_problems
from pyro_lcm.discovery.scores import FloatArray
from pyro_lcm.discovery.scores.base import total_score

RIGHT = 0.05


class TwoModes:
    """A chain forwards or backwards.

    Args:
        height: Nats of each mode above graphs in which a and d are both roots.
        difference: Nats of the second mode above the first.
    """

    num_variables = 4
    names = ("a", "b", "c", "d")

    def __init__(self, height: float, difference: float) -> None:
        self._height, self._difference = height, difference

    def local(self, child: int, parent_sets: ArrayLike) -> FloatArray:
        """Score (n,) of (n, 4) parent sets."""
        sets = np.asarray(parent_sets) != 0
        chain = np.eye(4, k=1, dtype=bool)
        forwards, backwards = ((sets != parents).sum(axis=1) for parents in (chain[:, child], chain[child]))
        end = (self._height + self._difference * (child == 0)) * (sets.any(axis=1) & (child in (0, 3)))
        return np.asarray(end - 30.0 * np.minimum(forwards, backwards))

    def total(self, adjacency: ArrayLike) -> FloatArray:
        """Score (...) of graphs."""
        return total_score(self, adjacency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=26)
    args = parser.parse_args()
    right, noted, either = 0, 0, 0
    for seed in range(args.problems):
        rng = np.random.default_rng(seed)
        score = TwoModes(float(rng.uniform(2, 14)), float(rng.uniform(-2.2, 2.2)))
        exact = exact_posterior(score).edge_probability
        draws = draw_graphs(score, GraphPrior(), method="mcmc", draws=160, chains=2, seed=seed, walkers=8, warmup=20)
        container = to_container(draws)
        summary = graph_summary(container)
        error = float(np.abs(summary.edges.probability - exact).max())
        said = bool(posterior_problems(container, summary))
        right, noted, either = right + (error < RIGHT), noted + said, either + (error < RIGHT or said)
        print(f"{seed}: error {error:.3f}, {'noted' if said else 'no note'}", flush=True)
    print(f"right within {RIGHT} {right}, noted {noted}, right or noted {either} of {args.problems}")


if __name__ == "__main__":
    main()
