"""The study of warnings, small."""

import numpy as np
import pytest

from pyro_lcm.studies.graph_warnings import graph_warnings
from pyro_lcm.studies.simulated_tables import KINDS, random_graph, simulate_table


def test_a_misfit_is_noted():
    found = graph_warnings("heavy", [0, 1], score="bge", draws=50)
    assert (found.tables, found.noted) == (2, 2)
    assert np.isnan(found.error_unnoted)
    assert 0 <= found.error <= 1


@pytest.mark.slow
def test_notes_tell_sound_tables_from_misfits():
    """The numbers of docs/graphs.md, on fewer tables."""
    for kind in ("gaussian", "unequal", "do_gaussian"):
        found = graph_warnings(kind, range(20))
        assert found.noted <= 2
        assert found.error < 0.06
    for kind in ("heavy", "skewed", "scaled_noise", "do_elsewhere"):
        assert graph_warnings(kind, range(20)).noted >= 18


@pytest.mark.parametrize("shape", ["er", "scale_free"])
def test_graphs_have_the_edges_asked_for(shape):
    rng = np.random.default_rng(0)
    counts = [random_graph(10, 1.0, shape, rng).sum() for _ in range(100)]
    assert np.mean(counts) == pytest.approx(10 if shape == "er" else 9, abs=0.8)


def test_tables_follow_their_graph():
    """Of a linear table without interventions the residuals given the parents are the noise: uncorrelated."""
    table = simulate_table("gaussian", 5, 5000, seed=1)
    x = table.data.values - table.data.values.mean(0)
    rest = np.stack(
        [
            x[:, j] - x[:, p] @ np.linalg.lstsq(x[:, p], x[:, j], rcond=None)[0]
            for j in range(5)
            for p in [np.flatnonzero(table.adjacency[:, j])]
        ],
        1,
    )
    assert np.abs(np.corrcoef(rest.T) - np.eye(5)).max() < 0.05
    assert table.sound
    with pytest.raises(ValueError, match="kind"):
        simulate_table("odd", 5, 10, seed=0)
    assert set(KINDS) >= {"confounded"}
