"""The explicit latent causal model: ELBO summed over graphs and targets, acyclic draws, interventions on nodes."""

import itertools

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Categorical

from pyro_lcm.causal.dag import is_dag
from pyro_lcm.causal.graph_sites import (
    EdgeOrderLogits,
    FixedOrder,
    PermutationLogits,
    PermutationPrior,
    TableLogits,
    TablePrior,
    compatible,
)
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.permutations import PlackettLuce, StraightThroughBernoulli
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import brute_force_elbo
from pyro_lcm.training.objective import PairObjective

ROWS, DIM_X = 4, 3
WAYS = {
    "fixed order": (FixedOrder, FixedOrder),
    "all DAGs": (TablePrior, TableLogits),
    "edges and orders": (TablePrior, EdgeOrderLogits),
    "permutations": (PermutationPrior, PermutationLogits),
}


def _programs(way, dim, shaken):
    prior, posterior = WAYS[way]
    options = {} if way == "fixed order" else {"penalty": 0.7}
    model = ELCM(dim, VectorDecoder(dim, DIM_X, ()), prior(dim, **options), Mechanisms(dim, (3,)))
    encoder = VectorEncoder(DIM_X, dim, (), hidden_sd=(3,))
    guide = ELCMGuide(dim, encoder, posterior(dim), redrawn_dist=model.redrawn_dist)
    return shaken(model), shaken(guide)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "permutations"])
@pytest.mark.parametrize(("dim", "size"), [(2, ROWS), (3, ROWS), (2, 40)])
def test_elbo_is_the_sum_over_graphs_and_targets(way, dim, size, shaken, float64, elbo_and_gradients, assert_same):
    model, guide = _programs(way, dim, shaken)
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    found = elbo_and_gradients(model, guide, **batch, size=size, index=torch.arange(ROWS))
    assert_same(found, brute_force_elbo(model, guide, batch, size=size, seed=1), model, guide)


@pytest.mark.parametrize("hypotheses", [None, 1])
def test_several_draws_of_a_graph_have_the_exact_gradient_on_average(hypotheses, shaken, float64, monkeypatch):
    """All pairs of draws out of three DAGs, each weighted by its probability, against all DAGs enumerated."""
    model, guide = _programs("all DAGs", 2, shaken)
    objective = PairObjective(model, guide)
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    parameters = dict(objective.named_parameters())

    def gradients(objective):
        torch.manual_seed(1)
        loss, _ = objective(batch, size=40, index=torch.arange(ROWS), hypotheses=hypotheses)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        return [loss.detach(), *(torch.zeros(()) if gradient is None else gradient for gradient in found)]

    expected = gradients(objective)
    guide.graphs.draws = 2
    objective = PairObjective(model, guide)
    gradients(objective)  # it looks at the programs' sites once
    q = guide.graphs.graph_logits().softmax(-1).detach()
    total = [torch.zeros_like(value) for value in expected]
    for draws in itertools.product(range(3), repeat=2):
        monkeypatch.setattr(Categorical, "sample", lambda self, shape, draws=draws: torch.tensor(draws))
        for value, part in zip(total, gradients(objective), strict=True):
            value += q[list(draws)].prod() * part
    for found, value in zip(total, expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-8, atol=1e-8)


def test_several_permutations_give_the_mean_of_their_elbos(shaken, float64, monkeypatch):
    model, guide = _programs("permutations", 3, shaken)
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    arguments = {"size": ROWS, "index": torch.arange(ROWS)}
    objective = PairObjective(model, guide)
    torch.manual_seed(1)
    loss, _ = objective(batch, **arguments)
    torch.manual_seed(1)
    with poutine.enum(first_available_dim=-2):
        drawn = poutine.trace(guide.graphs).get_trace().nodes
    state, losses = torch.get_rng_state(), []
    for order, edges in zip(*(drawn[name]["value"].detach() for name in ("order", "edges")), strict=True):
        monkeypatch.setattr(PlackettLuce, "sample", lambda self, shape, order=order: order.expand(2, 3, 3))
        monkeypatch.setattr(StraightThroughBernoulli, "rsample", lambda self, shape=(), edges=edges: edges)
        guide.graphs.draws = 2
        torch.set_rng_state(state)
        losses.append(objective(batch, **arguments)[0].detach())
    assert len({float(value) for value in losses}) > 1
    torch.testing.assert_close(loss.detach(), torch.stack(losses).mean(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_the_graph_has_a_gradient(way, shaken, float64, elbo_and_gradients):
    model, guide = _programs(way, 3, shaken)
    batch = {"x": torch.randn(ROWS, DIM_X), "x_after": torch.randn(ROWS, DIM_X)}
    _, gradients = elbo_and_gradients(model, guide, **batch, size=ROWS, index=torch.arange(ROWS))
    for name, _ in guide.graphs.named_parameters():
        gradient = gradients[f"1.graphs.{name}"]
        assert torch.isfinite(gradient).all()
        assert gradient.any(), name


@pytest.mark.parametrize("way", WAYS)
def test_every_draw_is_acyclic(way):
    """Prior and posterior, with logits far from zero too."""
    for module in (part(4) for part in WAYS[way]):
        for scale in (0.0, 3.0):
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter, std=scale)
            for _ in range(50):
                adjacency = module().detach()
                assert adjacency.shape == (4, 4)
                assert is_dag(adjacency.numpy())
        if hasattr(module, "mode"):
            assert is_dag(module.mode().detach().numpy())


def test_edge_order_logits_are_enco_conditioned_on_having_no_cycle():
    graphs = EdgeOrderLogits(3)
    for parameter in graphs.parameters():
        torch.nn.init.normal_(parameter)
    p = (graphs.edge.sigmoid() * (graphs.turn - graphs.turn.T).sigmoid()).detach()
    off = ~torch.eye(3, dtype=torch.bool)
    weights = torch.stack([Bernoulli(p[off]).log_prob(graph[off]).sum() for graph in graphs.table]).exp()
    torch.testing.assert_close(graphs.graph_logits().softmax(0), weights / weights.sum())


def test_order_probabilities_sum_to_one_and_draws_follow_them():
    """3,000 draws against 6 probabilities by chi-square; fails once in 10^4 runs."""
    scores = torch.tensor([0.5, -0.3, 0.1])
    orders = [torch.eye(3)[list(order)] for order in itertools.permutations(range(3))]
    distribution = PlackettLuce(scores)
    probabilities = torch.stack([distribution.log_prob(order) for order in orders]).exp()
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0))
    draws = distribution.sample((3000,))
    counts = torch.stack([(draws == order).all(-1).all(-1).sum() for order in orders])
    assert counts.sum() == 3000
    chi_square = ((counts - 3000 * probabilities).square() / (3000 * probabilities)).sum()
    assert chi_square < 25.7


def test_compatible_edges_follow_the_order():
    order = torch.eye(3)[[2, 0, 1]]
    assert compatible(order).tolist() == [[0, 1, 0], [0, 0, 0], [1, 1, 0]]


def test_mechanisms_are_inverted_and_see_parents_only(shaken):
    mechanisms = shaken(Mechanisms(3, (4,)))
    adjacency = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]])
    noise = torch.randn(5, 3, requires_grad=True)
    causal = mechanisms(noise, adjacency)
    torch.testing.assert_close(mechanisms.inverse(causal, adjacency), noise, rtol=1e-4, atol=1e-4)
    parts = [torch.autograd.grad(causal[:, i].sum(), noise, retain_graph=True)[0] for i in range(3)]
    depends = torch.stack([part.abs().sum(0) > 0 for part in parts])
    assert depends.tolist() == [[True, False, False], [True, True, False], [True, True, True]]


def test_an_intervention_on_a_node_changes_it_and_its_descendants(shaken):
    model, _ = _programs("fixed order", 3, shaken)
    model.adjacency.copy_(torch.tensor([[0, 1, 1], [0, 0, 0], [0, 0, 0]]))
    noise = torch.randn(6, 3)
    nodes = poutine.trace(model.program).get_trace(noise).nodes
    torch.testing.assert_close(torch.stack([nodes[f"z{i}"]["value"] for i in (1, 2, 3)], -1), model.causal(noise))
    intervened = poutine.trace(pyro.do(model.program, {"z1": torch.full((6,), 2.0)})).get_trace(noise).nodes
    by_hand = model.mechanisms.coefficients(torch.full((6, 3), 2.0), model.adjacency)
    for i in (2, 3):
        expected = by_hand[0][:, i - 1] + by_hand[1][:, i - 1] * noise[:, i - 1]
        torch.testing.assert_close(intervened[f"z{i}"]["value"], expected)
    leaf = poutine.trace(pyro.do(model.program, {"z2": torch.zeros(6)})).get_trace(noise).nodes
    for name in ("z1", "z3"):
        torch.testing.assert_close(leaf[name]["value"], nodes[name]["value"])


def test_an_intervention_on_the_target_keeps_the_mechanisms_of_the_others(shaken):
    model, _ = _programs("all DAGs", 3, shaken)
    nodes = poutine.trace(pyro.do(model, {"target": torch.full((8,), 1)})).get_trace(size=8).nodes
    adjacency = model.graphs.table[nodes["graph"]["value"]]
    before, after = nodes["before/causal"]["value"], nodes["after/causal"]["value"]
    assert (before[:, 0] != after[:, 0]).all()
    recovered = model.mechanisms.inverse(after, adjacency)
    torch.testing.assert_close(recovered[:, 1:], nodes["noise"]["value"][:, 1:], rtol=1e-4, atol=1e-4)


def test_redrawn_density_is_that_of_a_standard_normal_causal_variable(shaken, float64):
    """p(e~_i) = N(z~_i) dz~_i / de~_i, by automatic differentiation of the mechanisms."""
    model, _ = _programs("fixed order", 3, shaken)
    adjacency = model.graphs()
    noise = torch.randn(5, 3)
    for i in range(3):
        value = torch.randn(5, requires_grad=True)
        z = model.causal(torch.where(torch.arange(3) == i, value.unsqueeze(1), noise), adjacency)[:, i]
        (slope,) = torch.autograd.grad(z.sum(), value)
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(z) + slope.abs().log()
        found = model.redrawn_dist(noise, adjacency=adjacency).log_prob(value.unsqueeze(1))[:, i]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("way", WAYS)
def test_every_tensor_is_made_where_the_parameters_are(way, shaken, on_meta):
    on_meta(*_programs(way, 3, shaken), DIM_X)


def test_all_dags_are_enumerated():
    assert np.array_equal(TablePrior(3).table.sum((1, 2)).unique(), [0, 1, 2, 3])
    assert len(TableLogits(4).logits) == 543
