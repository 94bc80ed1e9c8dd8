"""Content and style from pictures of a scene: what two of four variables are, found from pairs in which they stay.

Run `python benchmarks/content_style_images.py --out content_style_images.json`. A scene is rendered with all variables
uniform and independent; in the other picture of a pair those that are style are drawn anew. Pictures are
reduced to principal components, which takes seconds, and the model is one of these.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel
from pyro_lcm.data.scenes import SceneSystem, find_scene


def drawn(system: SceneSystem, content: list[int], n: int, seed: int) -> InterventionPairs:
    """Pairs of pictures, as flat rows of pixels from 0 to 1, with their truth."""
    rng = np.random.default_rng(seed)
    z, z_after = rng.uniform(size=(2, n, system.dim))
    z_after[:, content] = z[:, content]
    x, x_after = (system.render(side).reshape(n, -1) / np.float32(255) for side in (z, z_after))
    return InterventionPairs(x, x_after, z=z, z_after=z_after)


def main() -> None:
    """Render, reduce, fit and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scene", default="mixed")
    parser.add_argument("--content", type=int, nargs="+", default=[0, 1], help="variables of the scene, from 0 on")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=15_000)
    parser.add_argument("--components", type=int, default=32)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--latents", type=int, default=12)
    args = parser.parse_args()
    system = SceneSystem(find_scene(args.scene), seed=0, size=args.size)
    training, test = drawn(system, args.content, args.pairs, 0), drawn(system, args.content, 4000, 1)
    reduce = PCA(args.components, random_state=0).fit(training.x[:4000])

    def components(pairs: InterventionPairs) -> InterventionPairs:
        sides = (reduce.transform(side) for side in (pairs.x, pairs.x_after))
        return InterventionPairs(*sides, z=pairs.z, z_after=pairs.z_after)

    start = time.perf_counter()
    model = LatentCausalModel("content_style", dim_z=args.latents)
    model.fit(components(training), seed=0, budget=Budget(fit=args.steps, refine=0), progress=False)
    seconds = time.perf_counter() - start
    scores = {name: value for name, value in model.evaluate(components(test)).items() if value is not None}
    result = vars(args) | scores | {"agreement": model.blocks().agreement.tolist(), "seconds": round(seconds)}
    args.out.write_text(json.dumps(result, indent=1, default=str))
    print(result)


if __name__ == "__main__":
    main()
