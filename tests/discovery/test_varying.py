"""What varies among draws goes into ArviZ without a warning; what does not is left out."""

import numpy as np
import pytest

from pyro_lcm.discovery import GraphData, graph_posterior, varying
from pyro_lcm.discovery.arviz_compat import arviz_module

rng = np.random.default_rng(0)
ROWS = GraphData(rng.normal(size=(60, 3)) @ [[1, 0.5, 0], [0, 1, 0.4], [0, 0, 1]], names=("a", "b", "c"))


@pytest.mark.parametrize("kind", ["adjacency", "ancestors", "effect"])
def test_arviz_sums_it_up_without_a_warning(kind):
    draws = varying(graph_posterior(ROWS, draws=200, chains=2), kind)
    table = arviz_module().summary(draws)  # warnings are errors here
    assert np.isfinite(np.asarray(table["r_hat"], dtype=float)).all()
    assert any("a -> b" in str(name) for name in table.index)
    assert not any("a -> a" in str(name) for name in table.index)


def test_an_edge_that_all_draws_have_is_left_out():
    sure = GraphData(ROWS.values + 0, names=ROWS.names)
    posterior = graph_posterior(sure, draws=50, chains=2)
    posterior["posterior"]["adjacency"].values[:, :, 0, 1] = 1
    assert "a -> b" not in varying(posterior)["posterior"]["pair"].values


def test_what_is_not_there_or_does_not_vary_is_named():
    posterior = graph_posterior(ROWS, draws=20, chains=2, effects=False)
    with pytest.raises(ValueError, match=r"^kind: got 'effect', expected one of adjacency"):
        varying(posterior, "effect")
    posterior["posterior"]["adjacency"].values[:] = 0
    with pytest.raises(ValueError, match=r"^container: adjacency is the same in every draw"):
        varying(posterior)
