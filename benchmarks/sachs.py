"""Protein signalling in T cells (Sachs et al., Science 2005): exact posteriors against the consensus graph.

The prior was fixed beforehand: uniform over DAGs, and beside it one expected edge a variable, from the number
of variables alone (edge probability 2 / (d - 1)). Rows: logarithm, standardised by the observational rows.
First the 853 observational rows that most papers use alone; then all rows, whose condition names the target,
as hard interventions or as imperfect ones (inhibitors lower activity rather than abundance: the conditions in
IMPERFECT get a mechanism of their own). A condition shifts proteins beyond its target, which acts like a
hidden common cause of all of them; "centred" rows have each condition's mean removed, a baseline for each.

    python benchmarks/sachs.py sachs.csv sachs_consensus_edges.csv
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.scores.linear_gaussian import LinearGaussianScore
from pyro_lcm.discovery.scores.nonlinear import NonlinearScore
from pyro_lcm.discovery.summary import compare_with_truth

OBSERVATIONAL = "cd3cd28"
IMPERFECT = ("akt_inhibitor", "g0076", "u0126", "pma")
SCORES = {"bge": BGeScore, "linear": LinearGaussianScore, "nonlinear": NonlinearScore}


def read_sachs(table: Path, edges: Path) -> tuple[dict[str, GraphData], NDArray[np.int8]]:
    """Read the rows in several views, and the consensus graph [parent, child]."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = tuple(key for key in rows[0] if key not in ("condition", "target"))
    values = np.log([[float(row[name]) for name in names] for row in rows])
    conditions = sorted({row["condition"] for row in rows})
    regimes = np.array([conditions.index(row["condition"]) for row in rows])
    targets = np.array([names.index(row["target"]) + 1 if row["target"] else 0 for row in rows])
    observed = regimes == conditions.index(OBSERVATIONAL)
    imperfect = np.array([row["condition"] in IMPERFECT for row in rows])
    values = (values - values[observed].mean(axis=0)) / values[observed].std(axis=0)
    centred = values.copy()
    for regime in range(len(conditions)):
        centred[regimes == regime] -= values[regimes == regime].mean(axis=0)
    partly = {"targets": targets, "imperfect": imperfect[:, None], "regimes": regimes}
    views = {
        "observational": GraphData(values[observed], names=names),
        "all, hard": GraphData(values, names=names, targets=targets),
        "all, imperfect": GraphData(values, names=names, **partly),
        "centred, no targets": GraphData(centred, names=names),
        "centred, hard": GraphData(centred, names=names, targets=targets),
        "centred, imperfect": GraphData(centred, names=names, **partly),
    }
    graph = np.zeros((len(names), len(names)), dtype=np.int8)
    with edges.open(newline="") as file:
        for edge in csv.DictReader(file):
            graph[names.index(edge["Cause"]), names.index(edge["Effect"])] = 1
    return views, graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="measurements with columns condition and target")
    parser.add_argument("edges", type=Path, help="consensus graph with columns Cause and Effect")
    parser.add_argument("--draws", type=int, default=4000)
    args = parser.parse_args()
    views, truth = read_sachs(args.table, args.edges)
    priors = {"uniform": GraphPrior(), "1 edge/var": GraphPrior(edge_probability=2 / (len(truth) - 1))}
    print(f"consensus graph: {truth.sum()} edges; an empty graph has expected SHD {truth.sum()}")
    print(f"{'rows':<21} {'score':<10} {'prior':<11} E-SHD  E-F1   F1     AUROC  AUPRC  edges  log evidence  s")
    for view, data in views.items():
        for score_name, build in SCORES.items():
            score = build(data)
            for prior_name, prior in priors.items():
                start = time.perf_counter()
                posterior = exact_posterior(score, prior)
                found = compare_with_truth(posterior.sample(args.draws), posterior.edge_probability, truth)
                print(
                    f"{view:<21} {score_name:<10} {prior_name:<11} {found.expected_shd:5.2f}  "
                    f"{found.expected_f1:.3f}  {found.f1:.3f}  {found.auroc:.3f}  {found.auprc:.3f}  "
                    f"{posterior.edge_probability.sum():5.2f}  {posterior.log_evidence:12.1f}  "
                    f"{time.perf_counter() - start:.1f}"
                )


if __name__ == "__main__":
    main()
