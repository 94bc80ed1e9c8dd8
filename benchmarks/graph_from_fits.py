"""Posterior over graphs of learned variables: sharp and right on many pairs, wide and calibrated on few.

The system is the scaling simulator (each possible edge with probability one half; linear unless --mechanisms or
--mixing says otherwise); each problem has a system, pairs and a fit of its own. Learned variables are matched with the
true ones by their noise encodings, truth scores only. For each number of pairs: the share of problems in which the true
graph has the largest mass, its mean mass, the mean entropy, and the calibration of the off-diagonal edge probabilities
pooled over all fits (`pyro_lcm.discovery.calibration`). Rows "true" do the same with the true variables, noise
encodings and targets of the same pairs, scored in the same way: what the pairs alone leave open.

    python benchmarks/graph_from_fits.py --dim 4 --pairs 10000 200 --fits 10
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyro_lcm as lcm
from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.mixings import MIXINGS
from pyro_lcm.data.scaling import MECHANISMS
from pyro_lcm.discovery.arviz_compat import group
from pyro_lcm.discovery.calibration import edge_calibration
from pyro_lcm.discovery.latents import LatentRows, latent_graph_posterior
from pyro_lcm.discovery.posterior import ScoreName
from pyro_lcm.evaluation.alignment import align


@dataclass(frozen=True, eq=False)
class Outcome:
    """One posterior against the true graph: edge probabilities (d, d) and truth in the order of the truth."""

    edges: NDArray[np.float64]
    truth: NDArray[np.bool_]
    mass_of_truth: float
    first: bool
    entropy: float


def judge(container: Any, order: NDArray[np.int64], truth: NDArray[np.int8]) -> Outcome:
    """Compare a posterior with the truth; ``order[i]`` is the posterior's variable for true variable i."""
    graphs = group(container, "posterior")["adjacency"].values.reshape(-1, *truth.shape)
    graphs = graphs[:, order][:, :, order]
    distinct, counts = np.unique(graphs.reshape(len(graphs), -1), axis=0, return_counts=True)
    mass = counts / counts.sum()
    same = (distinct == truth.reshape(-1)).all(axis=1)
    own = float(mass[same].sum())
    return Outcome(graphs.mean(axis=0), truth == 1, own, own > 0 and own == mass.max(), -float(mass @ np.log(mass)))


def run_problem(
    dim: int, pairs: int, seed: int, score: str, **system_options: str
) -> tuple[Outcome, Outcome, dict[str, float]]:
    """Outcomes with learned and with true variables, and how good the fit is."""
    system = lcm.ScalingSystem(dim, seed=seed, random_order=True, **system_options)
    training = system.sample(pairs, seed=seed + 1)
    plain = InterventionPairs(training.x, training.x_after)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lcm.LatentCausalModel("ilcm", dim_z=dim).fit(plain, seed=seed, progress=False)
    seconds = time.perf_counter() - start
    learned = judge_fit(model, plain, training, score)
    known = LatentRows(
        training.z_after, np.eye(dim + 1)[training.targets], training.z, training.noise_after, training.noise
    )
    kind: ScoreName = "nonlinear" if "nonlinear" in system_options.values() else "bge"
    container = latent_graph_posterior([known], names=model.names, score=kind, chains=1)
    true = judge(container, np.arange(dim), training.adjacency)
    matching = align(model.encode(training.x).noise, training.noise)
    columns = np.concatenate([[0], matching.permutation + 1])
    guessed = model.infer_targets(training.x, training.x_after)[:, columns].argmax(1)
    quality = {
        "mcc": float(matching.scores.mean()),
        "accuracy": float((guessed == training.targets).mean()),
        "seconds": seconds,
    }
    return learned, true, quality


def judge_fit(model: Any, plain: InterventionPairs, training: InterventionPairs, score: Any) -> Outcome:
    """The posterior of a fitted model, its variables matched by their noise encodings."""
    matching = align(model.encode(training.x).noise, training.noise)
    container = model.graph_posterior(plain, method="auto", score=score)
    return judge(container, np.asarray(matching.permutation), np.asarray(training.adjacency))


def describe(name: str, outcomes: list[Outcome]) -> str:
    """One line of the table."""
    apart = ~np.eye(len(outcomes[0].truth), dtype=bool)
    probability = np.concatenate([o.edges[apart] for o in outcomes])
    truth = np.concatenate([o.truth[apart] for o in outcomes])
    error = edge_calibration(probability, truth).error
    means = [np.mean([getattr(o, key) for o in outcomes]) for key in ("first", "mass_of_truth", "entropy")]
    unsure = ((probability > 0.05) & (probability < 0.95)).mean()
    return (
        f"{name:8} true graph first {means[0]:.2f}, its mass {means[1]:.3f}, entropy {means[2]:.2f}, "
        f"edges between .05 and .95 {unsure:.3f}, calibration error {error:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 200])
    parser.add_argument("--fits", type=int, default=10)
    parser.add_argument("--seed", type=int, default=100, help="of the first system")
    parser.add_argument("--score", default="auto")
    parser.add_argument("--mechanisms", choices=MECHANISMS, default="linear")
    parser.add_argument("--mixing", choices=tuple(MIXINGS), default="linear")
    args = parser.parse_args()
    for pairs in args.pairs:
        learned, true = [], []
        for fit in range(args.fits):
            one, other, quality = run_problem(
                args.dim, pairs, args.seed + fit, args.score, mechanisms=args.mechanisms, mixing=args.mixing
            )
            learned.append(one)
            true.append(other)
            print(
                f"fit {fit}: MCC of noise {quality['mcc']:.3f}, target accuracy {quality['accuracy']:.3f}, "
                f"{quality['seconds']:.0f} s; mass of the true graph {one.mass_of_truth:.3f} (true variables "
                f"{other.mass_of_truth:.3f}), entropy {one.entropy:.2f} ({other.entropy:.2f})",
                flush=True,
            )
        print(f"d = {args.dim}, {pairs} pairs, {args.fits} fits")
        print(describe("learned", learned))
        print(describe("true", true), flush=True)


if __name__ == "__main__":
    main()
