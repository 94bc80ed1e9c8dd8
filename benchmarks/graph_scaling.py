"""Graphs of 20 variables: partition MCMC beside DiBS on the same data, in one run.

Ten graphs, Erdos-Renyi with two edges a node in expectation; linear Gaussian mechanisms as in DiBS's own
examples (Lorch et al. 2021): weights N(0, 1) pushed away from 0 by 0.5, noise variance 0.1, 100 rows.

Both get the same prior, edges independent with the probability that the graphs were drawn with, times
acyclicity. Partition MCMC scores with BGe on *standardised* columns. Reason, not result: BGe's prior scatter
is the same number for every variable, while along the causal order these data grow from variance 0.1 to a
hundred times that; as given, the prior would weigh heavily on early variables and vanish on late ones, and
the answer would depend on the units. DiBS gets the data as given, as in its examples, and in the variant
"joint" knows the noise variance.

    python benchmarks/graph_scaling.py                                   # MCMC alone
    python benchmarks/graph_scaling.py --dibs-python /path/to/python     # needs dibs-lib 1.3.3 there
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.mcmc import mcmc_posterior
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.summary import compare_with_truth

Row = tuple[float, float, float, float]


def draw_problem(
    size: int, rows: int, edges_per_node: int, noise_variance: float, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """A random graph (d, d), and rows (N, d) of its linear Gaussian model."""
    edges = np.triu(rng.random((size, size)) < 2 * edges_per_node / (size - 1), 1)
    weights = rng.normal(size=(size, size))
    weights = edges * (weights + 0.5 * np.sign(weights))
    x = np.zeros((rows, size))
    for j in range(size):
        x[:, j] = x @ weights[:, j] + np.sqrt(noise_variance) * rng.normal(size=rows)
    order = rng.permutation(size)
    return edges[np.ix_(order, order)].astype(np.int8), x[:, order]


def run_mcmc(options: argparse.Namespace, truths: NDArray[np.int8], data: NDArray[np.float64]) -> list[Row]:
    """E-SHD, AUROC, wall and CPU seconds of partition MCMC on each problem."""
    prior = GraphPrior(edge_probability=2 * options.edges_per_node / (options.size - 1))
    result = []
    for number, (truth, x) in enumerate(zip(truths, data, strict=True)):
        start, cpu_start = time.perf_counter(), time.process_time()
        score = BGeScore(GraphData(x).standardized())
        found = mcmc_posterior(score, prior, draws=options.draws, chains=options.chains, seed=number)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        graphs = found.adjacency.reshape(-1, *truth.shape)
        compared = compare_with_truth(graphs, found.edge_probability, truth)
        result.append((compared.expected_shd, compared.auroc, wall, cpu))
        print(f"mcmc, problem {number}: {describe(result[-1])}", flush=True)
    return result


def run_dibs(
    options: argparse.Namespace, variant: str, truths: NDArray[np.int8], data: NDArray[np.float64]
) -> Iterator[tuple[str, list[Row]]]:
    """The same of DiBS, particles weighted equally and (DiBS+) by their posterior; cyclic ones dropped."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        source, target = folder / "data.npz", folder / f"{variant}.npz"
        np.savez(source, x=data, edges_per_node=options.edges_per_node)
        command = [options.dibs_python, Path(__file__).with_name("graph_scaling_dibs.py"), source, target]
        command += ["--variant", variant, "--noise-variance", str(options.noise_variance)]
        command += ["--particles", str(options.particles), "--steps", str(options.steps)]
        subprocess.run([str(part) for part in command], check=True)
        with np.load(target) as file:
            found = {name: file[name] for name in file.files}
    for name, weighted in ((f"DiBS {variant}", False), (f"DiBS+ {variant}", True)):
        rows = []
        for i, truth in enumerate(truths):
            graphs = found["graphs"][i]
            log_weight = found["log_weight"][i] if weighted else np.zeros(len(graphs))
            rows.append((*weighted_scores(graphs, log_weight, truth), found["seconds"][i], found["cpu_seconds"][i]))
        yield name, rows


def weighted_scores(
    graphs: NDArray[np.int8], log_weight: NDArray[np.float64], truth: NDArray[np.int8]
) -> tuple[float, float]:
    """E-SHD and AUROC of weighted particles; with no DAG among them, d (d - 1) / 2 and 0.5 as DiBS has it."""
    acyclic = np.isfinite(GraphPrior().log_prob(graphs)) & np.isfinite(log_weight)
    if not acyclic.any():
        return truth.shape[0] * (truth.shape[0] - 1) / 2, 0.5
    kept, log_kept = graphs[acyclic], log_weight[acyclic]
    weight = np.exp(log_kept - log_kept.max())
    weight /= weight.sum()
    edges = np.tensordot(weight, kept, 1)
    each = [compare_with_truth(graph[None], edges, truth) for graph in kept]
    return float(weight @ [row.expected_shd for row in each]), each[0].auroc


def describe(row: NDArray[np.float64] | Row) -> str:
    shd, auroc, wall, cpu = row
    return f"E-SHD {shd:.2f}  AUROC {auroc:.3f}  {wall:.1f} s ({cpu:.1f} s CPU)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--edges-per-node", type=int, default=2)
    parser.add_argument("--noise-variance", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--dibs-python", help="Python of an environment with dibs-lib")
    parser.add_argument("--folder", type=Path, help="existing folder that keeps the data and DiBS's particles")
    parser.add_argument("--variants", nargs="+", choices=["marginal", "joint"], default=["marginal", "joint"])
    parser.add_argument("--particles", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    problems = [
        draw_problem(
            options.size,
            options.rows,
            options.edges_per_node,
            options.noise_variance,
            np.random.default_rng((options.seed, number)),
        )
        for number in range(options.problems)
    ]
    truths, data = np.stack([p[0] for p in problems]), np.stack([p[1] for p in problems])
    results = {"partition MCMC": run_mcmc(options, truths, data)}
    if options.dibs_python:
        for variant in options.variants:
            results.update(run_dibs(options, variant, truths, data))
    print(f"\nMeans over {options.problems} graphs ({truths.sum((1, 2)).mean():.1f} edges), standard errors after them")
    for name, rows in results.items():
        table = np.array(rows)
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.zeros(4)
        print(f"{name:16} {describe(table.mean(axis=0))}   +- {error[0]:.2f}, {error[1]:.3f}")


if __name__ == "__main__":
    main()
