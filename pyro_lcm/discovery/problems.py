"""What speaks against trusting the draws of a posterior over graphs, in words."""

from __future__ import annotations

import numpy as np

from pyro_lcm.discovery.arviz_compat import Container
from pyro_lcm.discovery.summary import GraphSummary

_LARGEST_R_HAT = 1.05
_MISSED_EDGES = 0.5
_LEAST_EFFICIENCY = 0.1


def posterior_problems(container: Container, summary: GraphSummary) -> tuple[str, ...]:
    """Say in what respect draws are not to be trusted, and what helps.

    Args:
        container: What `pyro_lcm.discovery.graph_posterior` returned.
        summary: Its summary.

    Returns:
        One line each: chains that disagree (split R-hat above 1.05), edges left out because a variable has more
        likely parents than candidates (0.5 a graph or more), a variational fit whose importance weights have an
        effective size below a tenth of the draws. None where nothing does.

    Example:
        >>> from pyro_lcm.discovery.posterior import graph_posterior
        >>> exact = graph_posterior(np.random.default_rng(0).normal(size=(50, 3)), draws=100)
        >>> from pyro_lcm.discovery.summary import graph_summary
        >>> posterior_problems(exact, graph_summary(exact))
        ()
    """
    found = []
    r_hat = np.nan_to_num(summary.edges.r_hat, nan=1.0)
    apart = int((r_hat > _LARGEST_R_HAT).sum())
    if apart and summary.method != "exact":
        parent, child = np.unravel_index(int(r_hat.argmax()), r_hat.shape)
        found.append(
            f"chains disagree on {apart} of {r_hat.size - len(r_hat)} edges (r_hat above {_LARGEST_R_HAT}, "
            f"most on {summary.names[parent]} -> {summary.names[child]}); more draws, or a longer warm-up, help"
        )
    missed = float(container.attrs.get("missed_edges", 0.0))
    if missed >= _MISSED_EDGES:
        found.append(
            f"about {missed:.1f} edges a graph are left out, as parents come from {container.attrs['candidates']:.0f} "
            "candidates a variable; a sparser prior (edge_probability, max_parents) or more max_candidates help"
        )
    efficiency = float(container.attrs.get("efficiency", 1.0))
    if efficiency < _LEAST_EFFICIENCY:
        found.append(
            f"the variational fit has an efficiency of {efficiency:.2g}, expected {_LEAST_EFFICIENCY} or more; "
            "more steps help, or take mcmc"
        )
    return tuple(found)
