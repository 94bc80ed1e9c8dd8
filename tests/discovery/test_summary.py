"""Summaries of graph posteriors: Monte Carlo errors of 0/1 draws, ranking, entropy, truth."""

import numpy as np
import pytest

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery.arviz_compat import group, make_container
from pyro_lcm.discovery.diagnostics import binary_diagnostics
from pyro_lcm.discovery.draws import GraphDraws
from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.posterior import graph_posterior, to_container
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.summary import compare_with_truth, graph_summary


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 4))
    values[:, 1] += values[:, 0]
    values[:, 3] += values[:, 1] - values[:, 2]
    return values


def sticky_chain(rng, probability, stay, chains, draws):
    """Two-state chain that keeps its value with probability ``stay``, else redraws: known autocorrelation."""
    fresh = rng.random((chains, draws)) < probability
    keep = rng.random((chains, draws)) < stay
    keep[:, 0] = False
    last = np.maximum.accumulate(np.where(keep, 0, np.arange(draws)), axis=1)
    return np.take_along_axis(fresh, last, axis=1)


def test_error_of_independent_draws_is_binomial():
    draws = np.random.default_rng(0).random((4, 500, 30)) < 0.2
    found = binary_diagnostics(draws)
    np.testing.assert_allclose(found.mcse, np.sqrt(0.16 / 2000), rtol=0.2)
    assert (found.r_hat < 1.02).all()


def test_error_of_dependent_draws_matches_the_spread_of_replications():
    """Autocorrelation 0.9^k: ess = n (1 - 0.9) / (1 + 0.9). 200 replications, spread known to 5 percent."""
    rng = np.random.default_rng(1)
    draws = np.stack([sticky_chain(rng, 0.3, 0.9, 4, 500) for _ in range(200)], axis=-1)
    found = binary_diagnostics(draws)
    assert np.median(found.ess) == pytest.approx(2000 / 19, rel=0.15)
    assert np.median(found.mcse) == pytest.approx(found.probability.std(), rel=0.2)


def test_constant_quantities():
    rng = np.random.default_rng(0)
    draws = np.zeros((4, 100, 3), dtype=np.int8)
    draws[..., 1] = 1
    draws[..., 2] = sticky_chain(rng, 0.5, 0.8, 4, 100)
    found = binary_diagnostics(draws)
    assert found.r_hat[:2].tolist() == [1.0, 1.0]
    assert found.probability[:2].tolist() == [0.0, 1.0]
    assert found.ess[0] == found.ess[2] < 400  # a constant edge is known no better than the slowest one
    np.testing.assert_allclose(found.mcse[:2], 1 / found.ess[0], rtol=0.05)
    assert binary_diagnostics(draws[..., :2]).ess.tolist() == [400.0, 400.0]


def test_chains_that_each_stand_still_disagree():
    draws = np.zeros((4, 50, 1), dtype=np.int8)
    draws[2] = 1
    found = binary_diagnostics(draws)
    assert found.r_hat[0] == np.inf
    assert found.ess[0] == 4
    assert found.mcse[0] == pytest.approx(np.sqrt(0.25 * 0.75 / 4))


def test_one_stuck_chain_shows_in_r_hat():
    draws = np.random.default_rng(0).random((4, 200, 1)) < 0.2
    draws[3] = True
    assert binary_diagnostics(draws).r_hat[0] > 1.2


def test_one_chain_is_split():
    draws = np.zeros((1, 100, 1), dtype=np.int8)
    draws[0, 50:] = 1
    assert binary_diagnostics(draws).r_hat[0] > 10


def test_too_few_draws():
    with pytest.raises(ValueError, match="draws"):
        binary_diagnostics(np.zeros((4, 3, 2)))


def test_exact_engine(rows):
    exact = exact_posterior(BGeScore(GraphData(rows)))
    summary = graph_summary(graph_posterior(rows, draws=1000, standardize=False), top=3)
    np.testing.assert_allclose(summary.edges.probability, exact.edge_probability, atol=1e-12)
    assert (summary.edges.mcse == 0).all()
    order = np.argsort(-exact.probability)[:3]
    np.testing.assert_allclose([g.probability for g in summary.top], exact.probability[order], rtol=1e-9)
    entropy = -(exact.probability * np.log(exact.probability)).sum()
    assert summary.entropy == pytest.approx(entropy, abs=0.1)  # 4000 draws, standard error 0.02
    assert summary.expected_edges == pytest.approx(exact.edge_probability.sum())
    np.testing.assert_allclose(summary.paths.probability, exact.ancestor_probability, atol=1e-12)


def test_without_exact_knowledge_mass_and_entropy_come_from_counting():
    graphs = np.zeros((1, 8, 2, 2), dtype=np.int8)
    graphs[0, :2, 0, 1] = 1
    draws = GraphDraws(graphs, np.zeros((1, 8)), "mcmc", ("a", "b"))
    summary = graph_summary(to_container(draws))
    assert [g.probability for g in summary.top] == [0.75, 0.25]
    assert summary.distinct == 2
    plug_in = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert summary.entropy == pytest.approx(plug_in + 1 / 16)
    assert summary.edges.probability[0, 1] == 0.25
    assert summary.truth is None


def test_truth_by_hand():
    truth = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    reverse = np.array([[0, 0, 0], [1, 0, 1], [0, 0, 0]])
    draws = np.stack([truth, reverse, np.zeros((3, 3), dtype=int), truth])
    found = compare_with_truth(draws, draws.mean(axis=0), truth)
    assert found.expected_shd == pytest.approx((0 + 1 + 2 + 0) / 4)
    assert found.expected_f1 == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert found.auroc == 1.0
    assert found.auprc == 1.0
    assert found.f1 == pytest.approx(2 / 3)  # only 1 -> 2 lies above one half


def test_empty_truth_has_no_curve():
    found = compare_with_truth(all_dags(3), all_dags(3).mean(axis=0), np.zeros((3, 3)))
    assert np.isnan(found.auroc)
    assert np.isnan(found.auprc)
    assert found.expected_shd == pytest.approx(all_dags(3).sum(axis=(1, 2)).mean())


def test_truth_of_another_size(rows):
    with pytest.raises(ValueError, match="truth"):
        graph_summary(graph_posterior(rows, draws=10), truth=np.zeros((3, 3)))


def test_text(rows):
    data = GraphData(rows, names=("raf", "mek", "erk", "akt"))
    truth = np.zeros((4, 4), dtype=int)
    truth[0, 1] = 1
    text = graph_summary(graph_posterior(data, draws=100), truth=truth, top=2).to_text(most=3)
    lines = text.splitlines()
    assert len(lines) == 1 + 3 + 2 + 1 + 2 + 2 + 1  # header, edges, what columns are, a line, graphs, classes, truth
    assert lines[0].split() == ["edge", "prob", "mcse", "ess", "r_hat", "path", "adj", "dir"]
    assert "->" in lines[1]
    assert lines[4].startswith("prob: of the edge; path:")
    assert "expected SHD" in lines[-1]


def test_graphs_that_were_all_drawn_once_are_not_named():
    rng = np.random.default_rng(0)
    spread = np.triu(rng.random((2, 50, 12, 12)) < 0.5, 1).astype(np.int8)
    names = tuple(f"x{i}" for i in range(12))
    summary = graph_summary(to_container(GraphDraws(spread, np.zeros((2, 50)), "mcmc", names)))
    assert summary.is_spread_out
    assert "no graph was drawn twice in 100 draws" in summary.to_text()
    assert "graph 1 has mass" not in summary.to_text()
    spread[0, 0] = spread[1, 1]
    assert not graph_summary(to_container(GraphDraws(spread, np.zeros((2, 50)), "mcmc", names))).is_spread_out


def test_one_graph_in_every_draw_is_named(rows):
    same = np.zeros((2, 10, 3, 3), dtype=np.int8)
    assert not graph_summary(to_container(GraphDraws(same, np.zeros((2, 10)), "mcmc", ("a", "b", "c")))).is_spread_out


def test_text_of_a_dense_posterior_keeps_its_lines_short():
    names = tuple(f"protein{i:02d}" for i in range(12))
    dense = np.triu(np.ones((12, 12)), 1)
    draws = GraphDraws(np.broadcast_to(dense, (2, 4, 12, 12)), np.zeros((2, 4)), "mcmc", names)
    text = graph_summary(to_container(draws)).to_text(most=10)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "and 56 more" in text  # 66 edges


def test_container_without_graphs(rows):
    container = graph_posterior(rows, draws=10)
    stripped = make_container({"posterior": group(container, "posterior").drop_vars("adjacency")}, {})
    with pytest.raises(ValueError, match="adjacency"):
        graph_summary(stripped)
