"""iCITRIS: its ELBO is a sum over graphs, of mechanisms written out; targets cut variables off."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from safetensors.torch import load, save
from scipy.stats import multivariate_normal
from torch import nn
from torch.distributions import Normal

from pyro_lcm.causal.graph_sites import FixedOrder, PermutationLogits, PermutationPrior, TableLogits, TablePrior
from pyro_lcm.causal.simultaneous import SimultaneousTransitions
from pyro_lcm.guides.icitris import ICITRISGuide
from pyro_lcm.models.icitris import ICITRIS
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.nn.exact import ExactDecoder, ExactEncoder
from pyro_lcm.training import Phase, fit
from pyro_lcm.training.objective import PairObjective

K, ROWS = 3, 4


def _programs(exact=True, dim_x=K, hidden=(4,), prior=TablePrior, posterior=TableLogits, layers=2):
    torch.manual_seed(0)
    if exact:
        encoder = ExactEncoder(Flow(K, layers=layers, hidden=4))
        decoder = ExactDecoder(encoder)
    else:
        encoder = VectorEncoder(dim_x, K, (4,), flow=Flow(K, layers=layers, hidden=4), initial_sd=0.4)
        decoder = VectorDecoder(K, dim_x, (4,), flow=Flow(K, layers=layers, hidden=4), initial_sd=0.5)
    model = ICITRIS(K, decoder, prior(K), SimultaneousTransitions(K, hidden))
    guide = ICITRISGuide(K, encoder, posterior(K))
    parameters = {id(p): p for p in (*model.parameters(), *guide.parameters())}
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double(), guide.double()


def _batch(dim_x=K):
    torch.manual_seed(1)
    x, x_after = torch.randn(2, ROWS, dim_x, dtype=torch.float64)
    return {"x": x, "x_after": x_after, "targets": torch.randint(0, 2, (ROWS, K))}


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _elbo(model, guide, batch, size=ROWS, **settings):
    pyro.set_rng_seed(5)
    loss, _ = PairObjective(model, guide)(batch, size=size, index=torch.arange(ROWS), **settings)
    return -loss * size


def _density(model, before, after, targets, graph):
    """log p(z' | z, I, G), a variable after the other, each given its parents alone."""
    transitions, total = model.transitions, 0.0
    for i in range(K):
        seen = after * graph[:, i]
        inputs = torch.cat([before, seen, graph[:, i].expand(len(before), K)], 1)
        runs = transitions.networks.all(inputs.expand(K, -1, -1))[i]
        set_to = transitions.set_to[i].expand(len(before), 2)
        location, log_scale = torch.where(targets[:, [i]] > 0, set_to, runs).T
        total = total + Normal(location, log_scale.exp() + transitions.min_scale).log_prob(after[:, i])
    return total


@pytest.mark.parametrize("size", [ROWS, 7 * ROWS])
@pytest.mark.parametrize("exact", [True, False])
def test_elbo_is_the_sum_over_graphs(exact, size):
    dim_x = K if exact else K + 1
    (model, guide), batch = _programs(exact, dim_x), _batch(dim_x)
    found = _elbo(model, guide, batch, size)
    pyro.set_rng_seed(5)
    with pyro.get_param_store().scope(), poutine.enum(first_available_dim=-2):
        q = poutine.trace(guide).get_trace(**batch, size=size, index=torch.arange(ROWS)).nodes
    before, after = (q[f"{side}/causal"]["value"] for side in ("before", "after"))
    if exact:
        seen = guide.encoder.flow(batch["x_after"])[1]
    else:
        seen = Normal(*model.decoder(after)).log_prob(batch["x_after"]).sum(-1)
        seen = seen - Normal(*guide.encoder(batch["x_after"])).log_prob(after).sum(-1)
    log_q = guide.graphs.logits.log_softmax(0)
    expected = size / ROWS * seen.sum()
    for number, graph in enumerate(guide.graphs.table):
        density = size / ROWS * _density(model, before, after, batch["targets"], graph).sum()
        expected = expected + log_q[number].exp() * (density - np.log(len(log_q)) - log_q[number])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    parameters = list({id(p): p for p in (*model.parameters(), *guide.parameters())}.values())
    ours = torch.autograd.grad(found, parameters, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_several_draws_have_the_mean_of_the_sum_over_orders():
    def posterior(dim):
        return PermutationLogits(dim, draws=400)

    model, guide = _programs(prior=PermutationPrior, posterior=posterior)
    with torch.no_grad():
        guide.graphs.edge.fill_(30.0)  # all edges that an order allows
        batch = _batch()
        before, after = guide.encoder(batch["x"])[0], guide.encoder(batch["x_after"])[0]
        seen = guide.encoder.flow(batch["x_after"])[1].sum()
        values, chances = [], []
        for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
            rank = torch.argsort(torch.tensor(order))
            graph = (rank.unsqueeze(1) < rank).double()
            values.append(_density(model, before, after, batch["targets"], graph).sum())
            score = guide.graphs.score[order]
            chances.append(sum(float(score[k] - score[k:].logsumexp(0)) for k in range(K)))
        chances = torch.tensor(chances)
        expected = (chances.exp() * (torch.stack(values) - chances - np.log(6))).sum() + seen - K**2 * np.log(2)
        several = torch.stack([_elbo(model, guide, batch) for _ in range(1)])
    assert float(several.mean()) == pytest.approx(float(expected), abs=0.1)


def test_with_an_affine_flow_it_is_the_likelihood_of_a_linear_gaussian_system():
    encoder = ExactEncoder(Flow(K, layers=0))
    model = ICITRIS(K, ExactDecoder(encoder), FixedOrder(K), SimultaneousTransitions(K, ()))
    guide = ICITRISGuide(K, encoder, FixedOrder(K))
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        model.transitions.networks.affine[:, :, 1] = 0  # scales depend on nothing
    model, guide, batch = model.double(), guide.double(), _batch()
    mixing = np.linalg.inv(encoder.flow.weight.detach().numpy())
    shift = encoder.flow.bias.detach().numpy()
    weights, bias = (p.detach().numpy() for p in (model.transitions.networks.affine, model.transitions.networks.bias))
    set_to = model.transitions.set_to.detach().numpy()
    graph = model.graphs.adjacency.numpy()
    expected = 0.0
    for row in range(ROWS):
        hit = batch["targets"][row].numpy() > 0
        before = encoder(batch["x"][[row]])[0][0].detach().numpy()
        effects = np.where(hit, 0.0, weights[:, K : 2 * K, 0].T * graph)  # [parent, child]
        runs = [before @ weights[i, :K, 0] + graph[:, i] @ weights[i, 2 * K :, 0] + bias[i, 0, 0] for i in range(K)]
        location = np.where(hit, set_to[:, 0], runs)
        sd = np.exp(np.where(hit, set_to[:, 1], bias[:, 0, 1])) + model.transitions.min_scale
        solved = np.linalg.inv(np.eye(K) - effects)  # z' = (location + sd e) @ solved
        spread = solved @ mixing
        x = batch["x_after"][row].numpy()
        mean = (location @ solved - shift) @ mixing
        expected += multivariate_normal(mean, spread.T @ np.diag(sd**2) @ spread).logpdf(x)
    with torch.no_grad():
        assert float(_elbo(model, guide, batch)) == pytest.approx(expected, rel=1e-9)


def test_the_program_of_the_graph_found_is_the_one_of_that_graph():
    model, guide = _programs(prior=FixedOrder, posterior=FixedOrder)
    model.adjacency.copy_(model.graphs.adjacency)
    with torch.no_grad():
        assert _elbo(model, guide, _batch(), program="given_graph") == _elbo(model, guide, _batch())


def test_draws_follow_the_density():
    model, _ = _programs(hidden=())
    with torch.no_grad():
        model.transitions.networks.affine.mul_(5)
        before, targets = torch.randn(1, K), torch.tensor([[0, 1, 0]])
        graph = torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 0, 0]])
        step = model.transitions(before.expand(20_000, K), targets.expand(20_000, K), graph)
        drawn = step.sample()
        location, scale = model.transitions.coefficients(step.before, drawn, step.targets, graph)
    noise = (drawn - location) / scale
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(K), atol=0.03)
    torch.testing.assert_close(step.given_noise(noise), drawn)


def test_a_variable_that_is_set_moves_itself_and_its_effects_alone():
    model, _ = _programs()
    graph = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]])
    before, noise = torch.randn(6, K), torch.randn(6, K)
    with torch.no_grad():
        model.transitions.networks.affine.add_(torch.randn_like(model.transitions.networks.affine))
        moved = [
            (
                model.transitions(before, torch.eye(K).long()[[i]].expand(6, K), graph).given_noise(noise)
                != model.transitions(before, torch.zeros(6, K), graph).given_noise(noise)
            ).all(0)
            for i in range(K)
        ]
    assert [each.tolist() for each in moved] == [[True, False, False], [False, True, True], [False, False, True]]


def test_what_cannot_be_drawn_is_refused():
    model, _ = _programs()
    step = model.transitions(torch.zeros(2, K), torch.zeros(2, K), torch.zeros(5, 1, K, K))
    with pytest.raises(ValueError, match="expected one draw, of one graph"):
        step.sample()
    with pytest.raises(ValueError, match="batch_shape"):
        step.expand((7, 2))


def test_sequences_are_generated():
    model, _ = _programs(exact=False)
    with torch.no_grad(), pyro.get_param_store().scope():
        x, x_after = model(size=6)
        given, after = model(x, targets=torch.ones(6, K, dtype=torch.long), size=6)
    assert x.shape == x_after.shape == after.shape == (6, K)
    assert given is x


@pytest.mark.parametrize("exact", [True, False])
def test_every_parameter_has_a_finite_gradient(exact):
    model, guide = _programs(exact)
    objective = PairObjective(model, guide)
    loss, _ = objective(_batch(), size=ROWS, index=torch.arange(ROWS))
    loss.backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_saved_parameters_are_all_there_is():
    model, guide = _programs(exact=False)
    stored = {k: v.contiguous().clone() for k, v in nn.ModuleList([model, guide]).state_dict().items()}
    with torch.no_grad():
        expected = _elbo(model, guide, _batch())
        again = nn.ModuleList(_programs(exact=False))
        for parameter in again.parameters():
            parameter.zero_()
        again.load_state_dict(load(save(stored)))
        assert _elbo(again[0], again[1], _batch()) == expected


@pytest.mark.parametrize("exact", [True, False])
def test_the_driver_trains_it(exact):
    torch.set_default_dtype(torch.float32)
    model, guide = (part.float() for part in _programs(exact, prior=PermutationPrior, posterior=PermutationLogits))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = {k: v.float() if v.is_floating_point() else v for k, v in _batch().items()}
    result = fit(
        PairObjective(model, guide), batch, [Phase("few", 3, batch_size=4)], seed=0, device="cpu", progress=False
    )
    assert result.steps == 3
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("exact", [True, False])
def test_no_device_is_named(exact):
    model, guide = (part.to("meta") for part in _programs(exact))
    index = torch.empty(ROWS, dtype=torch.long, device="meta")
    batch = {k: v.to("meta") for k, v in _batch().items()} | {"size": 8, "index": index}
    with pyro.validation_enabled(False), pyro.get_param_store().scope(), poutine.enum(first_available_dim=-2):
        q = poutine.trace(guide).get_trace(**batch)
        p = poutine.trace(poutine.replay(model, q)).get_trace(**batch)
        p.compute_log_prob()
    assert p.nodes["after/causal"]["log_prob"].device.type == "meta"
