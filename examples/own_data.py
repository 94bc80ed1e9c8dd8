"""Arrays from elsewhere: six sensors of a pump before and after somebody or something changed one of its quantities.

    python examples/own_data.py --out pump.npz

The recording below stands for a file of yours. Of it, the fit sees the two arrays of sensor readings only: not which
quantity changed, nor how many depend on which.
"""

import argparse

import numpy as np

import pyro_lcm as lcm

SENSITIVITY = np.array(
    [[9.0, 0.2, 1.0], [0.5, 40.0, 3.0], [1.0, 5.0, 0.02], [7.0, 1.0, 0.5], [0.1, 60.0, 0.3], [2.0, 9.0, 0.9]]
)
OFFSET = np.array([1013.0, 0.0, 21.5, -3.0, 400.0, 12.0])


def record(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sensor readings (pairs, 6) of load -> speed -> heat, and load -> heat, before and after one of them is set."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(pairs, 3))
    changed = rng.integers(0, 4, size=pairs)  # 0: nothing, 1: load, 2: speed, 3: heat
    value = rng.normal(size=pairs)

    def world(given: np.ndarray) -> np.ndarray:
        load = np.where(given == 1, value, noise[:, 0])
        speed = np.where(given == 2, value, -0.8 * load + 0.6 * noise[:, 1])
        heat = np.where(given == 3, value, 0.9 * speed + 0.5 * load + 0.4 * noise[:, 2])
        return np.stack([load, speed, heat], axis=1) @ SENSITIVITY.T + OFFSET

    return world(np.zeros(pairs)), world(changed)


def main(pairs: int, out: str | None, steps: int) -> None:
    x, x_after = record(pairs, seed=0)
    recording = lcm.InterventionPairs(x, x_after)
    if out is not None:
        recording.save(out)  # what `pyro-lcm train` reads
    training, held_out = recording.split((0.9, 0.1), seed=0)

    # The six sensors move in three directions only, so three variables are looked for; dim_z=3 would say so by hand.
    model = lcm.LatentCausalModel("ilcm", names=("first", "second", "third")).fit(
        training, seed=0, budget=lcm.Budget(refine=steps)
    )

    report = model.check(held_out)
    print(report.to_text(), "\n")

    print("graph found, rows are parents:")
    print(model.adjacency(), "\n")

    probabilities = model.infer_targets(held_out.x, held_out.x_after)
    names = ("nothing", *model.names)
    for row in range(5):
        likely = probabilities[row].argmax()
        print(f"pair {row}: {names[likely]} changed (probability {probabilities[row, likely]:.3f})")

    world = model.intervene({"first": 0.0}, x=held_out.x[:1])
    print("\nreadings of pair 0:          ", held_out.x[0].round(1))
    print("had the first variable been 0:", world.x[0].round(1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--out", help="write the recording to this .npz file")
    parser.add_argument("--steps", type=int, default=lcm.Budget().refine, help="steps of variational inference")
    main(**vars(parser.parse_args()))
