"""Are a fitted model's counterfactuals, effects and plans right? Measured against the simulator that made the data.

Values of do are given in the true units and mapped to the learned ones by an isotonic regression on held-out pairs.

    python benchmarks/reasoning.py --dim 4 --mechanisms linear --seeds 0 1 2

For each system: the root mean square error of counterfactual x under do on each variable, over the standard deviation
of x (to be at most 0.1); the largest error of an average effect of do(1) against do(0), in standard deviations of the
variable (0.05); the largest change of a non-descendant beyond its reconstruction error, in the same units; and the
share of tasks in which the plan is the intervention that is best in the simulator (0.95), out of those on a grid.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from pyro_lcm import InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.causal.dag import ancestors
from pyro_lcm.evaluation.alignment import align_latents
from pyro_lcm.reasoning import counterfactual, intervene, plan

Array = NDArray[np.float64]
GRID = np.linspace(-2, 2, 9)
"""Values a plan may choose from, in true units."""


@dataclass(frozen=True)
class Units:
    """Which learned variable a true one is, and monotone maps between their units."""

    name: str
    index: int
    to_learned: IsotonicRegression
    to_true: IsotonicRegression


@dataclass(frozen=True)
class Scores:
    """One row of the table; the module says what each is."""

    counterfactual: float
    effect: float
    non_descendant: float
    reconstruction: float
    planning: float

    def row(self) -> str:
        return " ".join(f"{value:14.4f}" for value in vars(self).values())


def match_units(model: LatentCausalModel, pairs: InterventionPairs) -> list[Units]:
    """Fit the maps on both sides of held-out pairs."""
    encoded = [model.encode(side) for side in (pairs.x, pairs.x_after)]
    causal, noise = (np.concatenate([getattr(part, kind) for part in encoded]) for kind in ("causal", "noise"))
    truth = np.concatenate([pairs.z, pairs.z_after])
    matching = align_latents(causal=(causal, truth), noise=(noise, np.concatenate([pairs.noise, pairs.noise_after])))
    units = []
    for i, k in enumerate(matching.permutation.tolist()):
        increasing = bool(matching.signs[i] > 0)
        there, back = (IsotonicRegression(increasing=increasing, out_of_bounds="clip") for _ in range(2))
        units.append(
            Units(model.names[k], k, there.fit(truth[:, i], causal[:, k]), back.fit(causal[:, k], truth[:, i]))
        )
    return units


def world(system: ScalingSystem, noise: Array, variable: int, value: Array | float) -> tuple[Array, Array]:
    """The simulator's own counterfactual with the same noise: causal variables and x."""
    setting = torch.as_tensor(np.broadcast_to(value, len(noise)).copy())
    state = pyro.do(system.program.world, {f"z{variable + 1}": setting})(torch.as_tensor(noise))
    return state.causal.numpy(), state.x.numpy()


def in_true_units(units: list[Units], causal: Array) -> Array:
    return np.stack([unit.to_true.predict(causal[:, unit.index]) for unit in units], axis=1)


def measure(system: ScalingSystem, model: LatentCausalModel, rows: int, tasks: int, seed: int) -> Scores:
    units = match_units(model, system.sample(rows, seed=101))
    test = system.sample(rows, seed=102)
    rng = np.random.default_rng(seed)
    reconstructed = in_true_units(units, model.encode(test.x).causal)
    sd = test.z.std(axis=0)
    reconstruction = np.sqrt(((reconstructed - test.z) ** 2).mean(axis=0)) / sd
    error, variance, effect, beyond = [], [], 0.0, 0.0
    reach = ancestors(system.adjacency)
    for i, unit in enumerate(units):
        value = rng.normal(size=rows)
        truth = world(system, test.noise, i, value)
        found = counterfactual(model, test.x, {unit.name: unit.to_learned.predict(value)})
        error.append(((found.x - truth[1]) ** 2).mean())
        variance.append(truth[1].var(axis=0).mean())
        others = ~reach[i] & (np.arange(system.dim) != i)
        moved = np.sqrt(((in_true_units(units, found.causal) - test.z) ** 2).mean(axis=0)) / sd
        beyond = max(beyond, float(np.max((moved - reconstruction)[others], initial=0.0)))
        true_effect = np.subtract(*(world(system, test.noise, i, v)[0].mean(axis=0) for v in (1.0, 0.0)))
        means = []
        for v in (1.0, 0.0):
            outcome = intervene(model, {unit.name: float(unit.to_learned.predict([v])[0])}, x=test.x)
            means.append(in_true_units(units, outcome.causal).mean(axis=0))
        effect = max(effect, float(np.max(np.abs(np.subtract(*means) - true_effect) / sd)))
    share = planning_share(system, model, units, tasks, seed)
    nrmse = float(np.sqrt(np.mean(error) / np.mean(variance)))
    return Scores(nrmse, effect, beyond, float(reconstruction.max()), share)


def planning_share(system: ScalingSystem, model: LatentCausalModel, units: list[Units], tasks: int, seed: int) -> float:
    """How often the plan is the candidate that is best in the simulator; goals come from values off the grid."""
    start, rng = system.sample(tasks, seed=103), np.random.default_rng([seed, 1])
    secret, value = rng.integers(0, system.dim, tasks), rng.uniform(-2, 2, tasks)
    made = [world(system, start.noise[k : k + 1], secret[k], value[k])[1][0] for k in range(tasks)]
    goal = np.stack(made)
    reached = [[world(system, start.noise, i, v)[1] for v in GRID] for i in range(system.dim)]
    losses = ((np.array([[start.x] * len(GRID), *reached]) - goal) ** 2).mean(axis=-1)  # first: do nothing
    best = losses.reshape(-1, tasks).argmin(axis=0)
    levels = [unit.to_learned.predict(GRID) for unit in units]
    allowed = {unit.name: level.tolist() for unit, level in zip(units, levels, strict=True)}
    found = plan(model, start.x, goal, allowed)
    right = 0
    for k in range(tasks):
        chosen, at = 0, 0
        for i, unit in enumerate(units):
            if not np.isnan(found.values[k, unit.index]):
                chosen, at = i + 1, int(np.abs(levels[i] - found.values[k, unit.index]).argmin())
        right += int((chosen == best[k] // len(GRID)) and (chosen == 0 or at == best[k] % len(GRID)))
    return right / tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--mechanisms", choices=("linear", "nonlinear"), default="linear")
    parser.add_argument("--pairs", type=int, default=30_000)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", help="folder for fitted models, read instead of fitted where there is one")
    args = parser.parse_args()
    print(f"d = {args.dim}, {args.mechanisms} mechanisms, {args.pairs} pairs")
    print("seed  counterfactual         effect non-descendant reconstruction       planning  seconds of fit")
    for seed in args.seeds:
        system = ScalingSystem(args.dim, seed=seed, mechanisms=args.mechanisms)
        start = time.perf_counter()
        model = fit_or_load(system, args, seed)
        seconds = time.perf_counter() - start
        scores = measure(system, model, args.rows, args.tasks, seed)
        print(f"{seed:4d}  {scores.row()} {seconds:8.0f}", flush=True)


def fit_or_load(system: ScalingSystem, args: argparse.Namespace, seed: int) -> LatentCausalModel:
    folder = None if args.models is None else Path(args.models) / f"{args.dim}-{args.mechanisms}-{seed}"
    if folder is not None and (folder / "model.safetensors").exists():
        return LatentCausalModel.load(folder)
    model = LatentCausalModel("ilcm", dim_z=args.dim).fit(system.sample(args.pairs), seed=seed)
    if folder is not None:
        model.save(folder)
    return model


if __name__ == "__main__":
    main()
