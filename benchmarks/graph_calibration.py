"""Are edge probabilities right? Expected calibration error over simulated problems.

Each problem draws everything from the prior that the posterior assumes, so an exact posterior is calibrated
up to sampling error: a graph uniformly from all DAGs, then the parameters that BGe implies for its mechanisms
(`pyro_lcm.discovery.scores.bge`; t is the diagonal of the prior scatter, alpha_w = d + 2, p the number of parents),

    sigma_j^2 ~ InvGamma((alpha_w - d + p + 1) / 2, t / 2),    b_j | sigma_j^2 ~ N(0, sigma_j^2 / t I_p),

then the mean, whose prior is normal with the covariance of the rows over alpha_mu: mu is itself a draw of the
SEM with noise variances sigma_j^2 / alpha_mu. Rows are mu plus draws of the SEM. Off-diagonal edge
probabilities of all problems are pooled (see `pyro_lcm.discovery.calibration`).

    python benchmarks/graph_calibration.py --method exact --problems 200
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.calibration import Calibration, edge_calibration
from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.posterior import draw_graphs
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import FloatArray, GraphData
from pyro_lcm.discovery.scores.bge import BGePrior, BGeScore


def draw_rows(
    graph: NDArray[np.int8], rows: int, rng: np.random.Generator, prior: BGePrior | None = None
) -> FloatArray:
    """Draw parameters from BGe's own prior, then data.

    Args:
        graph: (d, d) adjacency.
        rows: Number of rows N.
        rng: Source of randomness.
        prior: Hyper-parameters.

    Returns:
        The (N, d) rows.
    """
    prior = BGePrior() if prior is None else prior
    size, parents = len(graph), graph.sum(axis=0)
    freedom, scale = prior.resolve(size)
    variance = scale / 2 / rng.standard_gamma((freedom - size + parents + 1) / 2)
    direct = graph * rng.normal(size=(size, size)) * np.sqrt(variance / scale)
    noise = rng.normal(size=(rows + 1, size)) * np.sqrt(variance)
    draws = noise @ np.linalg.inv(np.eye(size) - direct)
    return np.asarray(prior.mean + draws[0] / np.sqrt(prior.mean_precision) + draws[1:])


def measure(
    method: str, problems: int, size: int, rows: int, *, seed: int = 0, draws: int = 1000, chains: int = 4
) -> Calibration:
    """Calibration of one engine over simulated problems.

    Args:
        method: "exact", "vi" or "mcmc".
        problems: Number of problems.
        size: Number of variables d.
        rows: Number of rows N.
        seed: Seed.
        draws: Draws of each chain, for engines that draw.
        chains: Chains, or fits of the variational engine.

    Returns:
        The reliability of all off-diagonal edge probabilities.
    """
    rng = np.random.default_rng(seed)
    apart = ~np.eye(size, dtype=bool)
    no_rows = BGeScore(GraphData(np.zeros((1, size)), weights=np.zeros(1)))
    graphs = exact_posterior(no_rows).sample(problems, seed=seed)
    probability, truth = [], []
    for problem, graph in enumerate(graphs):
        values = draw_rows(graph, rows, rng)
        score = BGeScore(GraphData(values))
        if method == "exact":
            edges = exact_posterior(score).edge_probability
        else:
            found = draw_graphs(score, GraphPrior(), method=method, draws=draws, chains=chains, seed=problem)
            edges = found.adjacency.mean(axis=(0, 1))
        probability.append(edges[apart])
        truth.append(graph[apart] == 1)
    return edge_calibration(np.concatenate(probability), np.concatenate(truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=("exact", "vi", "mcmc"), default="exact")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--d", type=int, default=5)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4)
    args = parser.parse_args()
    start = time.perf_counter()
    found = measure(args.method, args.problems, args.d, args.n, seed=args.seed, draws=args.draws, chains=args.chains)
    print(f"{args.method}, d = {args.d}, N = {args.n}, {args.problems} problems, seed {args.seed}")
    print("predicted  observed  count")
    for predicted, observed, count in zip(found.predicted, found.observed, found.counts, strict=True):
        print(f"{predicted:9.3f}  {observed:8.3f}  {count:5d}")
    print(f"expected calibration error {found.error:.4f} ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
