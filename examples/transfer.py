"""One mechanism of a machine is rebuilt, later a sensor replaced: which, and what does it take to have the model back?

Run `python examples/transfer.py`. A model of the machine is there. After the repair a handful of pairs says which part
of it no longer holds, that part alone is learned anew, and predictions of interventions are compared with those of the
old model and of one that is learned anew from the same pairs.
"""

import argparse

import numpy as np

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.data.changed import ChangedSystem
from pyro_lcm.evaluation.report import align_to_truth


def names_of(model: LatentCausalModel, pairs: InterventionPairs) -> list[str]:
    """The name that the model has for each true variable."""
    matching = align_to_truth(pairs, causal=model.encode(pairs.x).causal)
    assert matching is not None
    return [model.names[i] for i in matching.permutation]


def prediction_error(model: LatentCausalModel, pairs: InterventionPairs) -> float:
    """Root mean square error of x after an intervention that the model is told of, by variable and value."""
    squares = []
    for number, name in enumerate(names_of(model, pairs), start=1):
        rows = pairs[np.flatnonzero(pairs.targets == number)]
        value = model.encode(rows.x_after).causal[:, model.names.index(name)]
        squares.append(np.square(model.intervene({name: value}, x=rows.x).x - rows.x_after).mean())
    return float(np.sqrt(np.mean(squares)))


def main() -> None:
    """Fit, change the machine, ask what has changed, adapt, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="of the machine before")
    parser.add_argument("--new", type=int, default=100, help="of the machine now")
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    machine = ScalingSystem(4, seed=1, dim_x=8, observation_noise=0.01)
    steps = Budget(refine=args.steps)
    model = LatentCausalModel("ilcm", dim_z=4).fit(machine.sample(args.pairs), seed=0, budget=steps, progress=False)
    number = int(np.flatnonzero(machine.adjacency.any(0))[-1]) + 1
    effects = tuple([1.5] * int(machine.adjacency[:, number - 1].sum()))
    now = ChangedSystem(machine, number, effects)
    few, test = now.sample(args.new, seed=1), now.sample(2000, seed=2)
    name = names_of(model, machine.sample(1000, seed=3))[number - 1]
    found = model.what_changed(few)
    print(f"rebuilt: the mechanism of {name}; found: {', '.join(found.mechanisms) or 'nothing'}")
    print(found.to_dataframe().to_string(float_format="{:.3f}".format))
    print(f"error of predicted interventions, the old model:        {prediction_error(model, test):.3f}")
    model.adapt(few, changes=found)
    print(f"{name} learned anew from {args.new} pairs:                    {prediction_error(model, test):.3f}")
    many = now.sample(10 * args.new, seed=6)
    anew = LatentCausalModel("ilcm", dim_z=4).fit(many, seed=0, budget=steps, progress=False)
    print(f"everything learned anew from {len(many)} pairs:          {prediction_error(anew, test):.3f}")
    later = ChangedSystem(machine, number, effects, sensor=5, gain=-0.5, offset=3.0)
    readings = later.sample(args.new, seed=4)
    found = model.what_changed(readings)
    print(f"replaced: sensor 5; found: {f'sensor {found.sensor}' if found.observation else 'nothing'}")
    model.adapt(readings, changes=found)
    print(f"read right again: {prediction_error(model, later.sample(2000, seed=5)):.3f}, in units of the new sensor")


if __name__ == "__main__":
    main()
