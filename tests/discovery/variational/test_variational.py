"""The variational engine: its guides' densities, its gradients and its fits against enumeration."""

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import TraceEnum_ELBO

from pyro_lcm.discovery import partitions
from pyro_lcm.discovery.candidate_parents import all_candidates
from pyro_lcm.discovery.exact import exact_posterior
from pyro_lcm.discovery.parent_set_tables import ParentSetTables
from pyro_lcm.discovery.posterior import graph_posterior
from pyro_lcm.discovery.priors import GraphPrior
from pyro_lcm.discovery.scores import GraphData
from pyro_lcm.discovery.scores.bge import BGeScore
from pyro_lcm.discovery.variational import draw_from_guide, fit_guide, variational_posterior
from pyro_lcm.discovery.variational.distributions import Partitions, all_partitions
from pyro_lcm.discovery.variational.elbo import LeaveOneOutELBO
from pyro_lcm.discovery.variational.guide import AutoregressiveGuide, TableGuide
from pyro_lcm.discovery.variational.model import GraphModel
from tables import each_row


@pytest.fixture(autouse=True)
def _own_store():
    """Programs that are run by hand register their parameters; keep those out of the global store."""
    with pyro.get_param_store().scope():
        yield


def bge(size, seed=0, rows=100):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.random((size, size)) < 0.5, 1) * rng.normal(size=(size, size))
    x = np.zeros((rows, size))
    for j in range(size):
        x[:, j] = x @ weights[:, j] + rng.normal(size=rows)
    return BGeScore(GraphData(x[:, rng.permutation(size)]))


def tables_of(score, prior=None):
    return ParentSetTables(score, prior or GraphPrior(), all_candidates(score.num_variables))


def rough_guide(tables, scale=0.2):
    """An autoregressive guide with random weights, away from every optimum."""
    guide = AutoregressiveGuide(tables, hidden=8)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return guide


def exact_elbo(tables, layers, log_q):
    """Sum over all partitions; graphs given a partition are summed out in closed form."""
    log_weight = partitions.log_weights(tables, layers).sum(-1)
    return (log_q.exp() * (log_weight - log_q)).sum()


def flat_gradient(loss, module):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(module.parameters()))])


class TestPartitionDensities:
    @pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 3), (3, 13), (4, 75), (5, 541)])
    def test_all_partitions_are_counted(self, size, number):
        assert len(all_partitions(size)) == number

    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_probabilities_sum_to_one_and_are_the_frequencies(self, size):
        policy = rough_guide(tables_of(bge(size)), scale=0.5).policy
        every = all_partitions(size)
        probability = Partitions(policy).log_prob(every).exp().detach()
        assert probability.sum().item() == pytest.approx(1.0, abs=1e-5)
        drawn = Partitions(policy, torch.Size((20_000,))).sample()
        frequency = (drawn[:, None] == every).all(-1).double().mean(0)
        assert frequency.sum() == 1.0
        # five standard errors of a frequency near one half
        assert (frequency - probability).abs().max() < 5 * 0.5 / 20_000**0.5

    def test_dead_ends_of_a_restrictive_prior_are_left(self):
        # Whoever puts variable 0 alone into the first layer leaves variable 1 without a parent there.
        tables = tables_of(bge(3), GraphPrior(forbidden=((0, 1), (0, 2), (1, 2), (2, 1)), max_parents=1))
        policy = rough_guide(tables).policy
        every = all_partitions(3)
        assert Partitions(policy).log_prob(every).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        assert Partitions(policy, torch.Size((50,))).sample().min() == 0


class TestGradients:
    @pytest.mark.parametrize("size", [3, 4])
    def test_table_gradient_is_exact(self, size):
        tables = tables_of(bge(size))
        guide = TableGuide(tables)
        with torch.no_grad():
            guide.logits_unconstrained.normal_()
        with pyro.get_param_store().scope():
            loss = TraceEnum_ELBO(max_plate_nesting=0).differentiable_loss(GraphModel(tables), guide)
        expected = -exact_elbo(tables, guide.layers, guide.logits.log_softmax(-1))
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(flat_gradient(loss, guide), flat_gradient(expected, guide))

    @pytest.mark.parametrize("size", [3, 4])
    def test_leave_one_out_is_unbiased_and_less_noisy(self, size):
        tables = tables_of(bge(size))
        guide, model = rough_guide(tables), GraphModel(tables)
        every = all_partitions(size)
        log_q = Partitions(guide.policy).log_prob(every).double()
        loss = -exact_elbo(tables, every, log_q)
        expected = flat_gradient(loss, guide)
        elbo = LeaveOneOutELBO(64)
        losses, gradients = [], []
        for _ in range(150):
            estimate = elbo.differentiable_loss(model, guide)
            losses.append(estimate.detach())
            gradients.append(flat_gradient(estimate, guide))
        gradients = torch.stack(gradients)
        error = gradients.mean(0) - expected
        noise = gradients.std(0)
        # The squared error of the mean of 150 is their total variance / 150; thrice that is far in the tail.
        assert error.square().sum() < 3 * noise.square().sum() / 150
        spread = torch.stack(losses).std()
        assert (torch.stack(losses).mean() - loss).abs() < 4 * spread / 150**0.5
        # Without a baseline, each particle is weighed by log p - log q itself, hundreds of nats here.
        layers = Partitions(guide.policy, torch.Size((64,))).sample()
        plain = []
        for layers in Partitions(guide.policy, torch.Size((50, 64))).sample():
            log_q = Partitions(guide.policy).log_prob(layers)
            gain = partitions.log_weights(tables, layers).sum(-1) - log_q.detach()
            plain.append(flat_gradient(-(gain * log_q).mean(), guide))
        assert noise.square().sum() < 0.05 * torch.stack(plain).std(0).square().sum()

    def test_gradient_has_no_noise_at_the_optimum(self):
        tables = tables_of(bge(3))
        guide = AutoregressiveGuide(tables, hidden=32)
        model = GraphModel(tables)
        fit_guide(model, guide, LeaveOneOutELBO(64), steps=300, learning_rate=1e-2)
        gradient = flat_gradient(LeaveOneOutELBO(64).differentiable_loss(model, guide), guide)
        rough = rough_guide(tables)
        assert (
            gradient.norm() < 0.1 * flat_gradient(LeaveOneOutELBO(64).differentiable_loss(model, rough), rough).norm()
        )

    def test_fewer_than_two_particles_are_refused(self):
        with pytest.raises(ValueError, match="num_particles"):
            LeaveOneOutELBO(1)


class TestFits:
    @pytest.mark.parametrize("size", [3, 4, 5])
    def test_edges_agree_with_enumeration(self, size):
        for seed in range(3 if size < 5 else 1):
            score = bge(size, seed)
            found = variational_posterior(score, draws=1000, chains=1, seed=seed)
            exact = exact_posterior(score)
            assert np.abs(found.edge_probability - exact.edge_probability).max() < 0.01
            # 1,000 independent draws: 0.08 is five standard errors
            assert np.abs(found.adjacency.mean((0, 1)) - exact.edge_probability).max() < 0.08
            bound = exact.log_evidence + exact.log_prior_normalizer
            assert found.attrs["elbo"] == pytest.approx(bound, abs=0.05)
            assert found.attrs["efficiency"] > 0.95

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(6))
    def test_five_variables_on_more_problems(self, seed):
        score = bge(5, 4 + seed)
        found = variational_posterior(score, draws=500, chains=1)
        assert np.abs(found.edge_probability - exact_posterior(score).edge_probability).max() < 0.03

    def test_autoregressive_guide_agrees_with_enumeration(self):
        score = bge(4, 1)
        tables = tables_of(score)
        guide, model = AutoregressiveGuide(tables, hidden=64), GraphModel(tables)
        fit_guide(model, guide, LeaveOneOutELBO(128), steps=250, learning_rate=1e-2)
        error = guide.edge_probabilities().numpy() - exact_posterior(score).edge_probability
        assert np.abs(error).max() < 0.03

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [6, 8])
    def test_autoregressive_guide_agrees_with_the_sum_over_layers(self, size):
        score = bge(size, 0)
        found = variational_posterior(score, draws=500, chains=1)
        assert np.abs(found.edge_probability - exact_posterior(score).edge_probability).max() < 0.05

    def test_more_variables_than_candidates(self):
        score = bge(14, 0)
        found = variational_posterior(score, draws=20, chains=1, steps=3, particles=8, hidden=16, max_candidates=3)
        assert np.isfinite(GraphPrior().log_prob(found.adjacency)).all()

    def test_knowledge_holds_in_every_draw(self):
        prior = GraphPrior(required=((5, 0),), forbidden=((1, 2),), tiers=((3, 5), (4,)), max_parents=2)
        found = variational_posterior(bge(6), prior, draws=50, chains=1, steps=60, particles=32, hidden=16)
        assert found.adjacency[..., 5, 0].all()
        assert np.isfinite(prior.log_prob(found.adjacency)).all()
        assert np.isfinite(found.stats["log_weight"]).all()


class TestEngine:
    def test_seed_decides_and_the_random_state_is_kept(self):
        score, options = bge(3), {"draws": 20, "chains": 2, "steps": 5}
        before = torch.get_rng_state()
        first, again, other = (variational_posterior(score, seed=seed, **options) for seed in (1, 1, 2))
        assert torch.equal(before, torch.get_rng_state())
        assert np.array_equal(first.adjacency, again.adjacency)
        assert not np.array_equal(first.adjacency, other.adjacency)
        assert not np.array_equal(first.adjacency[0], first.adjacency[1])

    def test_users_parameter_store_is_left_alone(self):
        store = pyro.get_param_store()
        with store.scope():
            pyro.param("logits", torch.zeros(2))
            variational_posterior(bge(3), draws=5, chains=1, steps=2)
            assert list(store.keys()) == ["logits"]

    def test_log_weight_is_joint_over_guide(self):
        score = bge(3)
        tables = tables_of(score)
        guide = TableGuide(tables)
        graphs, log_weight = draw_from_guide(GraphModel(tables), guide, 30)
        layers = partitions.layers_of(torch.from_numpy(graphs))
        number = (layers[:, None] == guide.layers).all(-1).int().argmax(-1)
        inside = partitions.log_weights(tables, layers).sum(-1)
        expected = inside - guide.logits.detach().log_softmax(-1)[number]
        np.testing.assert_allclose(log_weight, expected.numpy())

    def test_progress_counts_every_step(self):
        seen = []
        variational_posterior(
            bge(3), draws=2, chains=2, steps=3, progress=lambda done, total: seen.append((done, total))
        )
        assert seen == [(i + 1, 6) for i in range(6)]

    def test_plugs_into_graph_posterior(self):
        data = GraphData(np.random.default_rng(0).normal(size=(40, 3)))
        container = graph_posterior(data, method="vi", draws=10, chains=2, steps=5)
        assert container["posterior"]["adjacency"].shape == (2, 10, 3, 3)
        assert "log_weight" in container["sample_stats"]

    def test_what_it_cannot_do_is_said_in_one_line(self):
        with pytest.raises(ValueError, match="method: vi with 26 variables, expected at most 25; use mcmc"):
            variational_posterior(bge(26))
        with pytest.raises(ValueError, match="order_modular"):
            variational_posterior(bge(3), GraphPrior(order_modular=True))
        with pytest.raises(ValueError, match="at most 5"):
            TableGuide(tables_of(bge(6)))

    @each_row("option", [{"draws": 0}, {"chains": 0}, {"steps": 0}, {"learning_rate": 0.0}])
    def test_options_out_of_range_are_refused(self, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            variational_posterior(bge(3), **option)

    def test_the_model_cannot_be_drawn_from(self):
        with pytest.raises(NotImplementedError, match="guide"):
            GraphModel(tables_of(bge(3)))()
