"""Robustness: a predictor on causal variables against one on sensors, when one mechanism of the system changes.

    python examples/robustness.py

A few dozen observations come with a label that depends on one causal variable. Both predictors are the same kernel
regression with the same search for the inputs that matter; one sees causal variables, the other as many principal
components of the sensors. Then the mechanism of another variable changes, and the labels' own does not.
"""

import argparse
import itertools

import numpy as np
import pyro
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

import pyro_lcm as lcm


def main(pairs: int, dim: int, labels: int, repeats: int, steps: int, seed: int) -> None:
    system = lcm.ScalingSystem(dim, seed=seed, dim_x=3 * dim, edge_probability=1.0)
    recording = system.sample(pairs, seed=1)  # without labels
    model = lcm.LatentCausalModel("ilcm").fit(recording, seed=0, budget=lcm.Budget(refine=steps))
    components = make_pipeline(PCA(dim), StandardScaler()).fit(recording.x)
    inputs = {"causal variables": lambda x: model.encode(x).causal, "sensors": components.transform}

    errors = {(kind, world): [] for kind in inputs for world in ("as trained", "changed")}
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        z, x = observe(system, labels, rng)
        label = labelled(z, rng)
        worlds = {"as trained": observe(system, 1000, rng), "changed": observe(system, 1000, rng, changed=dim - 1)}
        for kind, features in inputs.items():
            predictor, chosen = fit_predictor(features(x), label)
            for world, (z_test, x_test) in worlds.items():
                truth = labelled(z_test, rng)
                error = predictor.predict(features(x_test)[:, chosen]) - truth
                errors[kind, world].append(np.sqrt((error**2).mean()) / truth.std())

    print(f"error of prediction in standard deviations of the label, {repeats} sets of {labels} labels")
    for (kind, world), found in errors.items():
        print(f"{kind:<18}{world:<12}{np.mean(found):6.3f} +- {standard_error(found):.3f}")
    gap = np.subtract(errors["sensors", "changed"], errors["causal variables", "changed"])
    print(f"gap when the mechanism changed: {gap.mean():.3f} +- {standard_error(gap):.3f}")


def observe(
    system: lcm.ScalingSystem, rows: int, rng: np.random.Generator, changed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Causal variables and sensors; with a changed variable, its mechanism lets go of its parents and spreads."""
    noise = torch.as_tensor(rng.normal(size=(rows, system.dim)))
    world = system.program.world
    if changed is not None:
        world = pyro.do(world, {f"z{changed + 1}": torch.as_tensor(2.0 + 3.0 * rng.normal(size=rows))})
    state = world(noise)
    return state.causal.numpy(), state.x.numpy()


def labelled(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label that depends on the first causal variable, with some noise."""
    return np.sin(2 * z[:, 0]) + 0.2 * rng.normal(size=len(z))


def fit_predictor(features: np.ndarray, label: np.ndarray) -> tuple[SVR, list[int]]:
    """The fewest inputs whose cross-validated error is within a standard error of the best."""
    results = []
    for size in range(1, features.shape[1] + 1):
        for subset in itertools.combinations(range(features.shape[1]), size):
            folds = -cross_val_score(kernel(), features[:, subset], label, scoring="neg_mean_squared_error")
            results.append((size, folds.mean(), standard_error(folds), list(subset)))
    best = min(results, key=lambda result: result[1])
    good = [result for result in results if result[1] <= best[1] + best[2]]
    chosen = min(good, key=lambda result: (result[0], result[1]))[3]
    return kernel().fit(features[:, chosen], label), chosen


def kernel() -> SVR:
    return SVR(C=10.0, gamma=0.5, epsilon=0.1)


def standard_error(values: list[float] | np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
