"""What speaks against trusting the draws of a posterior over graphs, in words."""

from __future__ import annotations

import numpy as np

from pyro_lcm.discovery.arviz_compat import Container, group
from pyro_lcm.discovery.diagnostics import LEAST_ESS, smallest_ess
from pyro_lcm.discovery.summary import GraphSummary

_MISSED_EDGES = 0.5
_LEAST_EFFICIENCY = 0.1


def posterior_problems(container: Container, summary: GraphSummary) -> tuple[str, ...]:
    """Say in what respect draws are not to be trusted, and what helps.

    Args:
        container: What `pyro_lcm.discovery.graph_posterior` returned.
        summary: Its summary.

    Returns:
        One line each: chains that disagree (split R-hat above 1.01, or what chance makes of short chains), fewer than
        100 effective draws a chain of an edge that matters, edges left out because a variable has more
        likely parents than candidates (0.5 a graph or more), a variational fit whose importance weights have an
        effective size below a tenth of the draws; and what `graph_posterior` found in the rows against the score, the
        prior or interventions as declared (``attrs["notes"]``). None where nothing does.

    Example:
        >>> from pyro_lcm.discovery.posterior import graph_posterior
        >>> exact = graph_posterior(np.random.default_rng(0).normal(size=(50, 3)), draws=100)
        >>> from pyro_lcm.discovery.summary import graph_summary
        >>> posterior_problems(exact, graph_summary(exact))
        ()
    """
    found = str(container.attrs.get("notes", "")).splitlines()
    edges = summary.edges
    r_hat = np.nan_to_num(edges.r_hat, nan=1.0)
    apart = int((r_hat > edges.limit).sum())
    if summary.method != "exact":
        if apart:
            parent, child = divmod(int(r_hat.argmax()), len(r_hat))
            found.append(
                f"chains disagree on {apart} of {r_hat.size - len(r_hat)} edges (r_hat above {edges.limit:.3g}, "
                f"most on {summary.names[parent]} -> {summary.names[child]}: {r_hat[parent, child]:.2f}); more draws, "
                "or a longer warm-up, help"
            )
        size, (parent, child) = smallest_ess(edges)
        asked = float(container.attrs.get("ess_asked", LEAST_ESS * group(container, "posterior").sizes["chain"]))
        if size < asked and not apart:
            found.append(
                f"{summary.names[parent]} -> {summary.names[child]} has {size:.0f} effective draws, expected "
                f"{asked:.0f}: its error may be larger than stated; more draws help, and ess goes on until there are "
                "enough"
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
