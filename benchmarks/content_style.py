"""The numerical study of content and style (von Kuegelgen et al. 2021, arXiv 2106.04619, section 5), with smaller fits.

Run `python benchmarks/content_style.py --out content_style.csv`. Five variables of content and five of style, 30,000
pairs, a leaky ReLU mixing: without dependence, with statistical, with causal, with both. A row a fit: R2 of content and
style by the latents of content, of kernel ridge regression and of a line, and what true content tells of style.
`--latents 10` does not say how many latents are content.
"""

import argparse
import csv
import time
from pathlib import Path

from pyro_lcm import Budget, LatentCausalModel
from pyro_lcm.data.content_style import ContentStyleSystem


def fit_and_score(statistical: bool, causal: bool, seed: int, args: argparse.Namespace) -> dict[str, object]:
    """One fit, and its scores."""
    system = ContentStyleSystem(
        5,
        5,
        seed=seed,
        statistical=statistical,
        causal=causal,
        change_probability=args.change_probability,
        mixing=args.mixing,
    )
    start = time.perf_counter()
    model = LatentCausalModel("content_style", dim_z=args.latents, options={"contrast": args.contrast})
    model.fit(system.sample(30_000), seed=0, budget=Budget(fit=args.steps, refine=0), progress=False)
    seconds = time.perf_counter() - start
    scores = model.evaluate(system.sample(5000, seed=1))
    about = {"statistical": statistical, "causal": causal, "seed": seed, "contrast": args.contrast}
    about |= {"latents": args.latents, "mixing": args.mixing, "change_probability": args.change_probability}
    numbers = {name: round(value, 4) for name, value in scores.items() if value is not None and name != "elbo"}
    agreement = " ".join(f"{value:.4f}" for value in model.blocks().agreement)
    return about | numbers | {"agreement": agreement, "seconds": round(seconds)}


def main() -> None:
    """Fit all, and write a row after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--cases", nargs="+", default=["00", "10", "01", "11"], help="statistical and causal, 0 or 1 each"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--contrast", default="max_entropy")
    parser.add_argument("--latents", type=int, default=5)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--mixing", default="leaky_relu")
    parser.add_argument("--change-probability", type=float, default=1.0)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        for case in args.cases:
            rows.append(fit_and_score(case[0] == "1", case[1] == "1", seed, args))
            print(rows[-1], flush=True)
            with args.out.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
