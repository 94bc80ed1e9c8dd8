"""Simulate pairs, fit a latent causal model, and compare what it found with the truth.

    python examples/quickstart.py

Nothing but observations before and after goes into the fit. The truth that the simulator knows is used at the end.
"""

import argparse

import pyro_lcm as lcm


def main(pairs: int, dim: int, seed: int, steps: int) -> None:
    system = lcm.ScalingSystem(dim, seed=seed)
    training, test = system.sample(pairs, seed=1), system.sample(2000, seed=2)

    model = lcm.LatentCausalModel("ilcm").fit(training, seed=0, budget=lcm.Budget(refine=steps))

    # Did it work? This needs no truth.
    print(model.check(test).to_text(), "\n")

    # How close is it to the truth? Variables come in another order and on other scales, so they are matched first.
    for name, value in model.evaluate(test, dci_rows=1000).items():
        print(f"{name:<24}{'-' if value is None else f'{value:.3f}'}")

    # What would these observations be, had the second variable been 1?
    first = test.x[:3]
    print("\nz as encoded, and under do(z2 = 1):")
    world = model.intervene({"z2": 1.0}, x=first)
    for before, after in zip(world.before.round(2), world.causal.round(2), strict=True):
        print(before, "->", after)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=lcm.Budget().refine, help="steps of variational inference")
    main(**vars(parser.parse_args()))
