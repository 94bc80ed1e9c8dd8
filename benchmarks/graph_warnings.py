"""Do notes tell the tables whose edge probabilities are not to be trusted? See `pyro_lcm.studies.graph_warnings`.

python benchmarks/graph_warnings.py --tables 40
"""

from __future__ import annotations

import argparse
import time

from pyro_lcm.discovery import GraphPrior
from pyro_lcm.studies.graph_warnings import graph_warnings
from pyro_lcm.studies.simulated_tables import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=40, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--score", default="auto", choices=("auto", "bge", "linear", "nonlinear"))
    parser.add_argument("--uniform", action="store_true", help="uniform prior over DAGs instead of the suggested one")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.tables)
    prior = GraphPrior() if args.uniform else GraphPrior.suggested()
    print(f"{'kind':<18} tables  noted  error  error without a note  nonlinear  seconds")
    for kind in args.kinds:
        start = time.perf_counter()
        found = graph_warnings(kind, seeds, score=args.score, prior=prior)
        print(
            f"{kind:<18} {found.tables:<6}  {found.noted:<5}  {found.error:.3f}  {found.error_unnoted:<20.3f}"
            f"  {found.nonlinear:<9}  {time.perf_counter() - start:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
