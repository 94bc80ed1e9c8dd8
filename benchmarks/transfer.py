"""Which part of a world has changed, and how many pairs it takes to learn it anew.

Run `python benchmarks/transfer.py --out transfer.json`. A system of four variables, and one with twice as many sensors
as variables, are fitted once each. Then, in trials of 200 pairs: nothing changes, a mechanism gets new weights, a noise
twice or half as wide, a sensor a new gain and offset; and the tests say what. The curve: after one mechanism has new
weights, the error of predicted observations under interventions, by number of pairs, of the model that was adapted, of
one fine-tuned, of one learned anew, and of a ridge regression without causal variables.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.data.changed import ChangedSystem
from pyro_lcm.evaluation.report import align_to_truth

KINDS = ("nothing", "weights", "noise", "sensor")


def fitted(system: ScalingSystem, pairs: int = 10_000) -> LatentCausalModel:
    """A fit of the world before."""
    model = LatentCausalModel("ilcm", dim_z=system.dim)
    return model.fit(system.sample(pairs), seed=0, budget=Budget(refine=200), progress=False)


def names_of(model: LatentCausalModel, pairs: InterventionPairs) -> list[str]:
    """The name in the model of each true variable."""
    encoding = model.encode(pairs.x)
    matching = align_to_truth(pairs, causal=encoding.causal, noise=encoding.noise)
    assert matching is not None
    return [model.names[i] for i in matching.permutation]


def changed(system: ScalingSystem, kind: str, rng: np.random.Generator) -> ChangedSystem:
    """A world in which one part is another one, drawn by the laws of the simulator."""
    dim = system.dim
    if kind == "nothing":
        return ChangedSystem(system)
    if kind == "noise":
        return ChangedSystem(system, int(rng.integers(1, dim + 1)), noise=float(rng.choice([0.5, 2.0])))
    if kind == "sensor":
        gain, offset = float(rng.choice([-1.0, 0.5, 1.5])), float(rng.normal())
        return ChangedSystem(system, sensor=int(rng.integers(system.width)), gain=gain, offset=offset)
    variable = int(rng.choice(np.flatnonzero(system.adjacency.any(0)))) + 1
    old = system.program.mechanisms.weights.numpy()[system.adjacency[:, variable - 1] == 1, variable - 1]
    while True:  # another draw of the law, of which one weight at least is half a unit from what it was
        new = rng.choice([-1, 1], len(old)) * (1 + 0.3 * rng.standard_normal(len(old)))
        if np.abs(new - old).max() > 0.5:
            return ChangedSystem(system, variable, tuple(float(weight) for weight in new))


def trials(system: ScalingSystem, model: LatentCausalModel, kind: str, number: int, pairs: int, own: bool) -> int:
    """In how many trials the right part was named, and no other."""
    rng = np.random.default_rng(KINDS.index(kind))
    reference = None if own else system.sample(2000, seed=10**6)
    names = names_of(model, system.sample(2000, seed=10**6 + 1))
    right = 0
    for trial in range(number):
        now = changed(system, kind, rng)
        found = model.what_changed(now.sample(pairs, seed=trial + 1), reference=reference, seed=trial)
        expected = () if now.variable is None else (names[now.variable - 1],)
        right += (found.mechanisms, found.sensor, found.observation) == (expected, now.sensor, kind == "sensor")
    return right


def prediction_error(model: LatentCausalModel, pairs: InterventionPairs) -> float:
    """Root mean square error of x after interventions on the true target, of the value that it was set to."""
    squares = []
    for number, name in enumerate(names_of(model, pairs), start=1):
        rows = pairs[np.flatnonzero(pairs.targets == number)]
        value = model.encode(rows.x_after).causal[:, model.names.index(name)]
        squares.append(np.square(model.intervene({name: value}, x=rows.x).x - rows.x_after).mean())
    return float(np.sqrt(np.mean(squares)))


def ridge_error(few: InterventionPairs, test: InterventionPairs) -> float:
    """The same of a ridge regression of x after on x before, the true target and its value: no causal variables."""

    def features(pairs: InterventionPairs) -> np.ndarray:
        hit = pairs.targets[:, None] == np.arange(1, pairs.z.shape[1] + 1)
        parts = [np.ones((len(pairs), 1)), pairs.x, hit, hit * pairs.z_after]
        return np.hstack([*parts, *(hit[:, [i]] * pairs.x for i in range(hit.shape[1]))])

    design = features(few)
    weight = np.linalg.solve(design.T @ design + 1e-3 * np.eye(design.shape[1]), design.T @ few.x_after)
    rows = test[np.flatnonzero(test.targets > 0)]
    return float(np.sqrt(np.square(features(rows) @ weight - rows.x_after).mean()))


def curve(system: ScalingSystem, model: LatentCausalModel, folder: Path, counts: list[int]) -> list[dict[str, float]]:
    """Error by number of pairs after one mechanism has new weights."""
    now = changed(system, "weights", np.random.default_rng(5))
    test = now.sample(2000, seed=999)
    model.save(folder)
    rows = []
    for count in counts:
        few = now.sample(count, seed=1)
        row = {"pairs": float(count), "before": prediction_error(model, test)}
        adapted = LatentCausalModel.load(folder)
        changes = adapted.what_changed(now.sample(200, seed=2)) if count < 50 else None
        row["adapted"] = prediction_error(adapted.adapt(few, changes=changes), test)
        row["ridge"] = ridge_error(few, test)
        if count >= 500:  # of fewer it is not seen that all is linear, and a flow is fitted
            tuned = LatentCausalModel.load(folder).fine_tune(few, budget=Budget(refine=300), progress=False)
            row["fine-tuned"] = prediction_error(tuned, test)
            anew = LatentCausalModel("ilcm", dim_z=system.dim)
            anew.fit(few, seed=0, budget=Budget(refine=300), progress=False)
            row["anew"] = prediction_error(anew, test)
        rows.append({name: round(value, 4) for name, value in row.items()})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Run all, and write the numbers after each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    args = parser.parse_args()
    square = ScalingSystem(args.dim, seed=args.seed)
    wide = ScalingSystem(args.dim, seed=args.seed, dim_x=2 * args.dim, observation_noise=0.02)
    result: dict[str, object] = {}
    for name, system in (("square", square), ("wide", wide)):
        model = fitted(system)
        if name == "wide" and args.counts:
            result["curve"] = curve(system, model, args.out.with_suffix(".run"), args.counts)
        for kind in KINDS if args.trials else ():
            if kind == "sensor" and name == "square":
                continue
            start = time.perf_counter()
            for reference in ("own", "held-out") if kind == "nothing" else ("held-out",):
                right = trials(system, model, kind, args.trials, args.pairs, reference == "own")
                result[f"{name}, {kind}, {reference}"] = right
                seconds = time.perf_counter() - start
                print(f"{name}, {kind}, {reference}: {right} of {args.trials} ({seconds:.0f} s)", flush=True)
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
