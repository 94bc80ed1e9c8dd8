"""CausalCircuit from pixels on the small rendered set that comes with the package: 400 pairs of images.

    python examples/causalcircuit.py

An autoencoder reduces images to a code, and a latent causal model of the code finds variables, targets and a graph. So
few pairs cannot show more than that the parts work together: expect scores far below those of a study of 10,000 pairs
(`pyro-lcm simulate causal_circuit --out circuit --pairs 10000`, then `--data circuit`).
"""

import argparse

import numpy as np

import pyro_lcm as lcm
from pyro_lcm.data.causal_circuit import NAMES, CausalCircuit, tiny_set
from pyro_lcm.training.recipe import Budget
from pyro_lcm.training.reduction import fit_reduction, reduce_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of a set in the published layout; the shipped one if not given")
    parser.add_argument("--steps", type=int, default=3000, help="of the autoencoder and of the flow")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    images = CausalCircuit(options.data) if options.data else tiny_set()
    print(images)
    reduction, _ = fit_reduction(images, dim=4, steps=options.steps, seed=options.seed)
    pairs = images.with_vectors(*reduce_images(reduction, images))
    training, test = pairs.split((0.8, 0.2), seed=options.seed)

    budget = Budget(unmix=options.steps, refine=options.steps // 3, solutions=options.steps // 3)
    model = lcm.LatentCausalModel("ilcm").fit(training, seed=options.seed, budget=budget)
    scores = model.evaluate(test, dci_rows=500)
    for name in ("disentanglement", "mcc", "intervention_accuracy", "shd"):
        print(f"{name:<22} {scores[name]:.2f}")
    guessed = model.infer_targets(test.x, test.x_after).argmax(axis=1)
    share = np.bincount(guessed, minlength=5) / len(test)
    print(f"inferred targets, share of none and of the {len(NAMES)} learned variables: {share.round(2).tolist()}")
    print("check without truth:", "; ".join(model.check(test).problems) or "no problem found")


if __name__ == "__main__":
    main()
