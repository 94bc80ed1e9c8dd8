"""Posterior over graphs: local scores, priors, three engines, a folder each, and their summary.

Start at `pyro_lcm.discovery.posterior.graph_posterior` and `pyro_lcm.discovery.summary.graph_summary`. The
variational and MCMC engines need torch; everything else works with numpy alone.
"""

from pyro_lcm.discovery.draws import GraphDraws, combine_draws
from pyro_lcm.discovery.exact import ExactPosterior, exact_posterior
from pyro_lcm.discovery.posterior import graph_posterior, to_container
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData, LocalScore
from pyro_lcm.discovery.summary import GraphSummary, graph_summary
from pyro_lcm.discovery.varying import edge_statistics, varying

__all__ = [
    "ExactPosterior",
    "GraphData",
    "GraphDraws",
    "GraphPrior",
    "GraphSummary",
    "LocalScore",
    "combine_draws",
    "edge_statistics",
    "exact_posterior",
    "graph_posterior",
    "graph_summary",
    "to_container",
    "varying",
]
