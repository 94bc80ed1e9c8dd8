"""CausalCircuit from pixels on the small rendered set that comes with the package: 400 pairs of images.

    python examples/causalcircuit.py --figures pictures

Images are reduced to codes, and a latent causal model of the codes finds variables, targets and a graph. Lamps add to
an image in proportion, which 400 pairs show as well as 10,000; the mechanisms behind them they show poorly, so expect
the graph to lack edges and targets to be confused. `pyro-lcm benchmark causalcircuit --out study` is the study of
10,000 pairs; `pyro-lcm simulate causal_circuit --out circuit` renders a set for `--data circuit`.
"""

import argparse
from pathlib import Path

import numpy as np

import pyro_lcm as lcm
from pyro_lcm.data.causal_circuit import NAMES, CausalCircuit, tiny_set
from pyro_lcm.images.reduction import fit_reduction, reduce_images
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.viz.circuit import save_circuit_figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of a set in the published layout; the shipped one if not given")
    parser.add_argument("--steps", type=int, default=3000, help="of the reduction and of the flow")
    parser.add_argument("--figures", type=Path, help="folder for pictures; none are drawn if not given")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    images = CausalCircuit(options.data) if options.data else tiny_set()
    print(images)
    reduction, _ = fit_reduction(images, dim=4, steps=options.steps, seed=options.seed)
    pairs = lcm.InterventionPairs(*reduce_images(reduction, images), **images.truth())
    training, test = pairs.split((0.8, 0.2), seed=options.seed)

    budget = Budget(fit=options.steps, refine=options.steps // 3, solutions=options.steps // 3)
    model = lcm.LatentCausalModel("ilcm").fit(training, seed=options.seed, budget=budget)
    scores = model.evaluate(test, dci_rows=500)
    for name in ("disentanglement", "mcc", "intervention_accuracy", "shd"):
        print(f"{name:<22} {scores[name]:.2f}")
    guessed = model.infer_targets(test.x, test.x_after).argmax(axis=1)
    share = np.bincount(guessed, minlength=5) / len(test)
    print(f"inferred targets, share of none and of the {len(NAMES)} learned variables: {share.round(2).tolist()}")
    if options.figures is not None:
        for path, caption in save_circuit_figures(options.figures, model, reduction, images, pairs):
            print(f"{path}: {caption}")
    print("check without truth:", "; ".join(model.check(test).problems) or "no problem found")


if __name__ == "__main__":
    main()
