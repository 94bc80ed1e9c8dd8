"""Partition MCMC: its pieces against sums over all graphs, its draws against enumeration."""

import numpy as np
import pytest
import torch

from pyro_lcm.causal.dag import all_dags
from pyro_lcm.discovery import partitions
from pyro_lcm.discovery.candidate_parents import all_candidates, edge_support, screen_candidates
from pyro_lcm.discovery.diagnostics import binary_diagnostics, smallest_ess
from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.mcmc import mcmc_posterior, moves, orders
from pyro_lcm.discovery.mcmc.chains import _Sampler
from pyro_lcm.discovery.parent_set_tables import ParentSetTables
from pyro_lcm.discovery.posterior import graph_posterior, to_container
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.problems import posterior_problems
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.base import total_score
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.summary import graph_summary
from tables import each_row


def linear_data(size, rows, seed, edge_probability=0.5):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.random((size, size)) < edge_probability, 1) * rng.normal(size=(size, size))
    x = np.zeros((rows, size))
    for j in range(size):
        x[:, j] = x @ weights[:, j] + rng.normal(size=rows)
    return x[:, rng.permutation(size)]


def bge(size, rows=100, seed=0, **options):
    return BGeScore(GraphData(linear_data(size, rows, seed, **options)))


def groups_of(layers):
    """Number the partitions among all graphs' layers; also the first graph of each."""
    _, first, group = np.unique(layers.numpy(), axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first), torch.from_numpy(group.ravel())


def covered_candidates(size, number):
    return [row[:number] for row in all_candidates(size)]


@pytest.fixture(scope="module", params=[4, 2, 0], ids=["all", "two", "none"])
def covered(request):
    """Tables of five variables with 4, 2 or no candidates, and all graphs with their weights."""
    score, prior = bge(5, rows=30), GraphPrior(sparsity=0.3)
    tables = ParentSetTables(score, prior, covered_candidates(5, request.param))
    graphs = all_dags(5)
    return tables, torch.from_numpy(graphs) != 0, torch.from_numpy(score.total(graphs) + prior.log_prob(graphs))


class TestTables:
    def test_graph_weights_are_score_plus_prior_within_the_candidates(self, covered):
        tables, graphs, log_weight = covered
        candidate = torch.zeros(5, 5, dtype=torch.bool)
        candidate.scatter_(1, tables.candidates, True)
        within = (graphs & ~candidate.T).sum(1).amax(-1) <= 1
        found = tables.graph_log_weight(graphs)
        assert torch.equal(found.isfinite(), within)
        torch.testing.assert_close(found[within], log_weight[within])

    def test_log_sums_equal_sums_over_sets(self, covered):
        tables = covered[0]
        child = torch.arange(5)
        allowed = torch.rand(20, 5, 5) < 0.6
        allowed &= ~torch.eye(5, dtype=torch.bool)
        hit = allowed & (torch.rand(20, 5, 5) < 0.4)
        sets = torch.cartesian_prod(*[torch.tensor([False, True])] * 5)
        for j in range(5):
            fitting = sets[~sets[:, j]]
            empty = torch.zeros(len(fitting), 5, 5, dtype=torch.bool)
            lone = empty.clone()
            lone[:, :, j] = fitting
            weight = tables.graph_log_weight(lone) - tables.graph_log_weight(empty)
            weight = weight + tables.log_empty(torch.tensor(j))
            for row in range(20):
                inside = ~(fitting & ~allowed[row, j]).any(-1)
                total = weight[inside].logsumexp(0)
                torch.testing.assert_close(tables.log_sum(child, allowed)[row, j], total)
                hits = weight[inside & (fitting & hit[row, j]).any(-1)].logsumexp(0)
                torch.testing.assert_close(tables.log_sum_hitting(child, allowed, hit)[row, j], hits)

    @each_row("candidates", [[[1], [0]], [[1, 1], [0, 2], [0, 1]], [[0, 1], [0, 2], [0, 1]]])
    def test_wrong_candidates_are_refused(self, candidates):
        with pytest.raises(ValueError, match="candidates"):
            ParentSetTables(bge(3), GraphPrior(), candidates)

    def test_tables_beyond_two_gigabytes_are_refused(self):
        with pytest.raises(ValueError, match="GiB"):
            ParentSetTables(bge(30), GraphPrior(), covered_candidates(30, 20))


class TestPartitions:
    def test_layers_of_a_chain_and_a_collider(self):
        graph = torch.zeros(2, 4, 4)
        graph[0, [0, 1, 2], [1, 2, 3]] = 1
        graph[1, [3, 2], [0, 0]] = 1
        assert partitions.layers_of(graph).tolist() == [[0, 1, 2, 3], [1, 0, 0, 0]]

    def test_weights_and_edges_equal_sums_over_graphs(self, covered):
        tables, graphs, _ = covered
        weight = tables.graph_log_weight(graphs).exp()
        layers = partitions.layers_of(graphs)
        first, group = groups_of(layers)
        total = torch.zeros(541, dtype=torch.float64).index_add(0, group, weight)
        torch.testing.assert_close(partitions.log_weights(tables, layers[first]).sum(-1).exp(), total)
        edges = torch.zeros(541, 5, 5, dtype=torch.float64).index_add(0, group, weight[:, None, None] * graphs)
        some = total > 0
        found = partitions.edge_probabilities(tables, layers[first])[some]
        torch.testing.assert_close(found, edges[some] / total[some, None, None])

    def test_drawn_graphs_have_the_partition_and_its_edge_probabilities(self, covered):
        tables, graphs, _ = covered
        heaviest = partitions.layers_of(graphs[tables.graph_log_weight(graphs).argmax()])
        drawn = partitions.sample_graphs(tables, heaviest.expand(20_000, 5))
        assert (partitions.layers_of(drawn) == heaviest).all()
        expected = partitions.edge_probabilities(tables, heaviest)
        # 4.5 standard errors of 20,000 draws, 20 edges: fails once in 7,000 seeds
        assert (drawn.double().mean(0) - expected).abs().max() < 4.5 * 0.5 / 20_000**0.5

    @pytest.mark.parametrize("node", [0, 4])
    def test_relocations_are_all_partitions_that_agree_without_the_node(self, node):
        tables = ParentSetTables(bge(5), GraphPrior(), all_candidates(5))
        everything = partitions.layers_of(torch.from_numpy(all_dags(5))).unique(dim=0)
        layers, log_weight = partitions.relocations(tables, everything, node)

        def without(rows):
            rest = np.delete(rows, node, axis=1)
            return [tuple(np.unique(row, return_inverse=True)[1]) for row in rest]

        keys = without(everything.numpy())
        for row, key in list(enumerate(keys))[::40]:
            exists = log_weight[row].isfinite()
            expected = [tuple(p) for p, k in zip(everything.tolist(), keys, strict=True) if k == key]
            assert sorted(map(tuple, layers[row][exists].tolist())) == sorted(expected)
        exists = log_weight.isfinite()
        direct = partitions.log_weights(tables, layers[exists]).sum(-1)
        torch.testing.assert_close(log_weight[exists], direct)


@pytest.fixture(scope="module")
def exact():
    score = bge(3, rows=8, seed=3)
    tables = ParentSetTables(score, GraphPrior(), all_candidates(3))
    posterior = exact_posterior(score)
    return tables, posterior, torch.from_numpy(posterior.sample(40_000, seed=1)) != 0


class TestMoves:
    """Each move must leave the posterior as it is: 40,000 exact draws stay exact draws."""

    @staticmethod
    def chi_square(posterior, draws):
        code = 2 ** np.arange(9)
        names = (posterior.graphs != 0).reshape(-1, 9) @ code
        counts = np.array([(draws.numpy().reshape(-1, 9) @ code == name).sum() for name in names])
        expected = posterior.probability * len(draws)
        return ((counts - expected) ** 2 / expected).sum()

    # 24 degrees of freedom: 63 is exceeded once in 40,000 seeds.
    def test_redrawn_parents(self, exact):
        tables, posterior, draws = exact
        node = torch.randint(3, (len(draws),))
        moved = moves.redraw_parents(tables, draws, node)
        assert (moved != draws).any(-1).any(-1).float().mean() > 0.2
        assert self.chi_square(posterior, moved) < 63

    def test_reversed_edges(self, exact):
        tables, posterior, draws = exact
        moved, accepted = moves.reverse_edge(tables, draws)
        assert accepted.float().mean() > 0.2
        assert self.chi_square(posterior, moved) < 63

    def test_relocated_variables(self, exact):
        tables, posterior, draws = exact
        layers, log_weight = partitions.relocations(tables, partitions.layers_of(draws), 1)
        chosen = torch.multinomial(log_weight.softmax(-1), 1)
        moved = partitions.sample_graphs(tables, layers.take_along_dim(chosen[..., None], 1)[:, 0])
        assert self.chi_square(posterior, moved) < 63

    def test_descendants(self):
        graph = torch.zeros(1, 5, 5, dtype=torch.bool)
        graph[0, [0, 1, 2], [1, 2, 3]] = True
        assert moves.descendants(graph)[0].int().tolist() == [
            [1, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1],
        ]  # fmt: skip


class TestPosterior:
    @pytest.mark.parametrize("size", [3, 4, 5])
    @pytest.mark.parametrize("order_modular", [False, True])
    def test_edges_agree_with_enumeration(self, size, order_modular):
        score, prior = bge(size, seed=size), GraphPrior(order_modular=order_modular)
        found = mcmc_posterior(score, prior, draws=150, chains=64, warmup=30, seed=1)
        exact = exact_posterior(score, prior)
        # At least 4,000 effective draws: a standard error of 0.008 at most.
        assert np.abs(found.edge_probability - exact.edge_probability).max() < 0.02
        assert np.abs(found.adjacency.mean((0, 1)) - exact.edge_probability).max() < 0.025

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [3, 4, 5])
    def test_defaults_are_within_two_hundredths_on_six_problems(self, size):
        for seed in range(6):
            score = bge(size, seed=seed)
            error = mcmc_posterior(score, seed=seed).edge_probability - exact_posterior(score).edge_probability
            assert np.abs(error).max() < 0.02

    def test_a_chain_is_its_walkers_draws_one_after_another(self):
        score = bge(4)
        options = {"draws": 6, "warmup": 3, "seed": 2}
        apart = mcmc_posterior(score, chains=6, walkers=1, **options).adjacency
        found = mcmc_posterior(score, chains=2, walkers=3, **options)
        # sweeps 0 and 3 of the first walker, 1 and 4 of the second, 2 and 5 of the third
        expected = apart.reshape(2, 3, 6, 4, 4)[:, [0, 0, 1, 1, 2, 2], [0, 3, 1, 4, 2, 5]]
        np.testing.assert_array_equal(found.adjacency, expected)
        assert mcmc_posterior(score, draws=40, warmup=1).attrs["walkers"] == 16
        assert mcmc_posterior(score, draws=2, warmup=1).attrs["walkers"] == 2
        assert mcmc_posterior(bge(9), draws=2, warmup=1).attrs["walkers"] == 1

    def test_screened_candidates_lose_little(self):
        score, prior = bge(8, seed=2, edge_probability=0.3), GraphPrior()
        exact = exact_posterior(score, prior)
        found = mcmc_posterior(score, prior, draws=150, chains=48, warmup=60, seed=1, max_candidates=3)
        assert found.attrs["candidates"] == 3
        assert 0 < found.attrs["missed_edges"] < 0.5
        error = np.abs(found.edge_probability - exact.edge_probability)
        assert error.mean() < 0.015
        assert error.max() < 0.08

    def test_seed_decides(self):
        score = bge(4)
        first, again, other = (mcmc_posterior(score, draws=10, warmup=5, seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(first.adjacency, again.adjacency)
        assert not np.array_equal(first.adjacency, other.adjacency)

    @pytest.mark.parametrize("order_modular", [False, True])
    def test_knowledge_holds_in_every_draw(self, order_modular):
        prior = GraphPrior(
            required=((5, 0),),
            forbidden=((1, 2),),
            tiers=((3, 5), (4,)),
            max_parents=2,
            order_modular=order_modular,
        )
        found = mcmc_posterior(bge(6), prior, draws=40, warmup=10, max_candidates=3, seed=3)
        assert found.adjacency[..., 5, 0].all()
        assert np.isfinite(prior.log_prob(found.adjacency)).all()

    def test_log_score_is_the_scores(self):
        score = bge(4)
        found = mcmc_posterior(score, draws=5, chains=2, warmup=2)
        assert np.allclose(found.log_score, score.total(found.adjacency))

    def test_one_and_two_variables(self):
        assert not mcmc_posterior(bge(1), draws=3, warmup=1).adjacency.any()
        score = bge(2)
        found = mcmc_posterior(score, draws=100, chains=64, warmup=10)
        assert np.allclose(found.edge_probability, exact_posterior(score).edge_probability, atol=0.02)

    def test_progress_counts_every_sweep(self):
        seen = []
        mcmc_posterior(bge(3), draws=4, warmup=3, thin=2, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(i + 1, 11) for i in range(11)]

    def test_plugs_into_graph_posterior(self):
        seen = []
        container = graph_posterior(
            linear_data(3, 50, 0),
            method="mcmc",
            draws=20,
            chains=2,
            warmup=5,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen == [(i + 1, 25) for i in range(25)]
        assert container["posterior"]["adjacency"].shape == (2, 20, 3, 3)

    @each_row(
        "option", [{"draws": 0}, {"chains": 0}, {"warmup": -1}, {"thin": 0}, {"walkers": 0}, {"max_candidates": 0}]
    )
    def test_counts_out_of_range_are_refused(self, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            mcmc_posterior(bge(3), **option)

    @pytest.mark.slow
    def test_fifty_variables(self):
        prior = GraphPrior(edge_probability=0.05)
        found = mcmc_posterior(bge(50, edge_probability=0.04), prior, draws=20, chains=2, warmup=30, seed=0)
        assert np.isfinite(prior.log_prob(found.adjacency)).all()
        assert found.attrs["missed_edges"] < 10


class TestCandidates:
    def test_screening_finds_the_parents_of_a_clear_signal(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(500, 12))
        x[:, 3] = x[:, 0] - x[:, 7] + 0.3 * x[:, 9] + 0.1 * rng.normal(size=500)
        candidates = screen_candidates(BGeScore(GraphData(x)), GraphPrior(), 3)
        assert candidates[3] == [0, 7, 9]
        assert all(len(row) == 3 and j not in row for j, row in enumerate(candidates))

    def test_support_of_edges_beyond_the_candidates(self):
        score, prior = bge(4), GraphPrior()
        exact = exact_posterior(score)
        support, missed = edge_support(score, prior, exact.sample(4000) != 0, [[], [], [], []])
        assert np.abs(support - exact.edge_probability).max() < 0.03
        assert missed > 0

    def test_random_orders_agree_with_required_edges_and_tiers(self):
        prior = GraphPrior(required=((2, 0),), tiers=((3,), (1, 2)))
        positions = orders.random_orders(prior, 4, 50, np.random.default_rng(0))
        assert (positions[:, 2] < positions[:, 0]).all()
        assert (positions[:, [3]] < positions[:, [1, 2]]).all()
        assert (positions.sort(-1).values == torch.arange(4)).all()
        assert len(positions.unique(dim=0)) > 1


class TestPatience:
    def test_chains_go_on_until_there_are_enough_draws(self):
        """Memory stays, draws are further apart, and every edge that matters has as many as were asked for."""
        score = bge(4, rows=20)
        short = mcmc_posterior(score, draws=50, chains=2, walkers=1, warmup=5, seed=0)
        asked = 1.05 * smallest_ess(binary_diagnostics(short.adjacency))[0]
        found = mcmc_posterior(score, draws=50, chains=2, walkers=1, warmup=5, seed=0, ess=asked)
        assert found.adjacency.shape == short.adjacency.shape
        assert found.attrs["thin"] > 1
        assert found.attrs["ess_asked"] == asked
        assert smallest_ess(binary_diagnostics(found.adjacency))[0] > 0.9 * asked

    def test_time_is_limited(self):
        found = mcmc_posterior(bge(4), draws=20, chains=2, walkers=1, warmup=5, seed=0, ess=40.0, time_limit=1e-3)
        assert found.attrs["thin"] == 1

    def test_more_than_all_draws_cannot_be_asked_for(self):
        with pytest.raises(ValueError, match="ess: got 41"):
            mcmc_posterior(bge(3), draws=20, chains=2, ess=41.0)
        with pytest.raises(ValueError, match="time_limit"):
            mcmc_posterior(bge(3), draws=20, chains=2, time_limit=0.0)

    def test_candidates_grow_where_edges_are_missed(self):
        sampler = _Sampler(bge(8, edge_probability=0.9), GraphPrior(), 2, 2, 0)
        sampler.sweep()
        missed = sampler.missed_edges(sampler.graphs.numpy())
        assert sampler.has_room
        sampler.grow()
        assert sampler.tables.num_candidates == 4
        sampler.sweep()
        assert sampler.missed_edges(sampler.graphs.numpy()) < missed

    def test_two_modes_that_walkers_stay_in_show_in_r_hat(self):
        """A chain forwards or backwards, 12 nats apart: no walker changes over, and a note says so."""
        container = to_container(mcmc_posterior(_TwoModes(), draws=80, chains=2, walkers=8, warmup=10, seed=0))
        summary = graph_summary(container)
        assert summary.edges.r_hat.max() > 1.5
        assert any("chains disagree" in line for line in posterior_problems(container, summary))


class _TwoModes:
    """A score of which a -> b -> c -> d and d -> c -> b -> a are the modes: between them a and d are both roots."""

    num_variables = 4
    names = ("a", "b", "c", "d")

    def local(self, child, parent_sets):
        sets = np.asarray(parent_sets) != 0
        chain = np.eye(4, k=1, dtype=bool)
        forwards, backwards = ((sets != parents).sum(axis=1) for parents in (chain[:, child], chain[child]))
        end = 12.0 * (sets.any(axis=1) & ((child == 0) | (child == 3)))
        return end - 30.0 * np.minimum(forwards, backwards)

    def total(self, adjacency):
        return total_score(self, adjacency)
