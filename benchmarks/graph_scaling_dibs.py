"""Run DiBS on data sets from a file: the baseline of graph_scaling.py, in an environment of its own.

Needs dibs-lib (1.3.3) and jax; pyro_lcm is not imported. Reads ``x`` (problems, N, d) and ``edges_per_node`` from
the first file, writes ``graphs`` (problems, particles, d, d), ``log_weight`` (problems, particles; DiBS+),
``seconds`` and ``cpu_seconds`` (problems,) to the second.

    /path/to/python benchmarks/graph_scaling_dibs.py data.npz graphs.npz --variant marginal
"""

import argparse
import time

import jax
import numpy as np
from dibs.inference import JointDiBS, MarginalDiBS
from dibs.models import BGe, ErdosReniDAGDistribution, LinearGaussian


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--variant", choices=["marginal", "joint"], default="marginal")
    parser.add_argument("--particles", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--noise-variance", type=float, default=0.1)
    options = parser.parse_args()
    with np.load(options.data) as file:
        problems, per_node = file["x"], int(file["edges_per_node"])
    size = problems.shape[-1]
    prior = ErdosReniDAGDistribution(n_vars=size, n_edges_per_node=per_node)
    graphs, log_weights, seconds, cpu_seconds = [], [], [], []
    for number, x in enumerate(problems):
        start, cpu_start = time.perf_counter(), time.process_time()
        key = jax.random.PRNGKey(number)
        settings = {"key": key, "n_particles": options.particles, "steps": options.steps}
        if options.variant == "marginal":
            dibs = MarginalDiBS(x=x, interv_mask=None, graph_model=prior, likelihood_model=BGe(n_vars=size))
            found = dibs.sample(**settings)
            mixture = dibs.get_mixture(found)
        else:
            model = LinearGaussian(n_vars=size, obs_noise=options.noise_variance)
            dibs = JointDiBS(x=x, interv_mask=None, graph_model=prior, likelihood_model=model)
            found, theta = dibs.sample(**settings)
            mixture = dibs.get_mixture(found, theta)
        graphs.append(np.asarray(found, dtype=np.int8))
        log_weights.append(np.asarray(mixture.logp))
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        print(f"problem {number}: {seconds[-1]:.1f} s ({cpu_seconds[-1]:.1f} s CPU)", flush=True)
        # Written after every problem, so that a run that is cut short leaves what it has.
        np.savez(
            options.out,
            graphs=np.stack(graphs),
            log_weight=np.stack(log_weights),
            seconds=np.array(seconds),
            cpu_seconds=np.array(cpu_seconds),
        )


if __name__ == "__main__":
    main()
