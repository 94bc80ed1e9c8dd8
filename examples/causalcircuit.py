"""CausalCircuit from pixels on the small rendered set that comes with the package: 400 pairs of images.

    python examples/causalcircuit.py --figures pictures

A code of four numbers is found for the images, and a latent causal model of the codes finds variables, targets and a
graph; one call does both, as for any images. 400 pairs are few for it: expect targets to be confused and the graph to
be wrong, and the check to say so. `pyro-lcm benchmark pixels --pixels.scenes causal_circuit --out study` is the study
of 20,000 pairs; `pyro-lcm simulate causal_circuit --out circuit` renders a set for `--data circuit`.
"""

import argparse
from pathlib import Path

import numpy as np

import pyro_lcm as lcm
from pyro_lcm.data.causal_circuit import NAMES, tiny_set
from pyro_lcm.evaluation.report import align_to_truth
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS, image_figures
from pyro_lcm.viz.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of a set in the published layout; the shipped one if not given")
    parser.add_argument(
        "--steps", type=int, help="of the code, and half as many of its model; as for any fit by default"
    )
    parser.add_argument("--figures", type=Path, help="folder for pictures; none are drawn if not given")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    pairs = lcm.InterventionPairs.load(options.data or tiny_set().folder)
    print(pairs)
    training, test = pairs.split((0.8, 0.2), seed=options.seed)

    budget = None if options.steps is None else Budget(code=options.steps, fit=options.steps // 2)
    model = lcm.LatentCausalModel("ilcm", dim_z=len(NAMES)).fit(training, seed=options.seed, budget=budget)
    scores = model.evaluate(test, dci_rows=500)
    for name in ("disentanglement", "mcc", "intervention_accuracy", "shd"):
        print(f"{name:<22} {scores[name]:.2f}")
    guessed = model.infer_targets(test.x, test.x_after).argmax(axis=1)
    share = np.bincount(guessed, minlength=len(NAMES) + 1) / len(test)
    print(f"inferred targets, share of none and of the {len(NAMES)} learned variables: {share.round(2).tolist()}")
    if options.figures is not None:
        encoding = model.encode(test.x)
        alignment = align_to_truth(test, causal=encoding.causal, noise=encoding.noise)
        for name, figure in image_figures(model, test, alignment=alignment, true_names=NAMES).items():
            print(f"{save_figure(figure, options.figures / f'{name}.png')}: {IMAGE_CAPTIONS[name]}")
    print("check without truth:", "; ".join(model.check(test).problems) or "no problem found")


if __name__ == "__main__":
    main()
