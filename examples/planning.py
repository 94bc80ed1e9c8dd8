"""Plan: which one variable to set, and to what, so that a system shows a wanted observation.

    python examples/planning.py

The plan is made with the fitted model alone. It is then carried out in the simulator, which stands for the world.
"""

import argparse

import numpy as np
import pyro
import torch

import pyro_lcm as lcm
from pyro_lcm.evaluation.alignment import align
from pyro_lcm.reasoning import Range


def main(pairs: int, dim: int, tasks: int, steps: int, seed: int) -> None:
    system = lcm.ScalingSystem(dim, seed=seed)
    model = lcm.LatentCausalModel("ilcm").fit(system.sample(pairs, seed=1), seed=0, budget=lcm.Budget(refine=steps))

    # Each task: observations now, and a goal that somebody reached by setting one variable, we do not know which.
    now = system.sample(tasks, seed=2)
    rng = np.random.default_rng(seed)
    secret, value = rng.integers(0, dim, tasks), rng.uniform(-2, 2, tasks)
    goal = np.stack([carry_out(system, now.noise[k], secret[k], value[k]) for k in range(tasks)])

    # Any variable may be set, to any value between -2 and 2, but only one of them.
    allowed = {name: Range(-2.0, 2.0) for name in model.names}
    found = model.plan(now.x, goal, allowed)

    # The learned variables are the true ones in another order and with other signs; only the simulator needs that.
    matching = align(model.encode(now.x).noise, now.noise)
    true_index = np.argsort(matching.permutation)
    print("distance to the goal (root mean square): before, expected by the plan, obtained")
    right = 0
    for k in range(tasks):
        obtained = now.x[k]
        for name, chosen in found.intervention(k).items():
            i = true_index[model.names.index(name)]
            obtained = carry_out(system, now.noise[k], i, chosen * matching.signs[i])
            right += i == secret[k]
        steps = (now.x[k], found.x[k], obtained)
        before, expected, after = (np.sqrt(((x - goal[k]) ** 2).mean()) for x in steps)
        if k < 8:
            setting = {name: round(value, 2) for name, value in found.intervention(k).items()}
            print(f"{before:7.3f} {expected:7.3f} {after:7.3f}   {setting}")
    print(f"the variable that made the goal was found in {right} of {tasks} tasks")


def carry_out(system: lcm.ScalingSystem, noise: np.ndarray, variable: int, value: float) -> np.ndarray:
    """The simulator's own counterfactual: x with this noise, had the variable been set."""
    world = pyro.do(system.program.world, {f"z{variable + 1}": float(value)})
    return world(torch.as_tensor(noise[None])).x.numpy()[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
