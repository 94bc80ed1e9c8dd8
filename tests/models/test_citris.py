"""CITRIS: its ELBO is a sum over assignments, with a flow the likelihood, and episodes are made of transitions."""

import itertools

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from safetensors.torch import load, save
from scipy.stats import multivariate_normal
from torch import nn
from torch.distributions import Normal

from pyro_lcm.causal.transitions import Transitions, states
from pyro_lcm.guides.citris import CITRISGuide
from pyro_lcm.models.citris import CITRIS
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.nn.exact import ExactDecoder, ExactEncoder
from pyro_lcm.recipes.temporal import ClassifiedSequences, SequenceObjective
from pyro_lcm.training import Phase, fit
from pyro_lcm.training.sequence_elbo import SequenceELBO

M, K, ROWS = 3, 2, 4


def _programs(exact, dim_x=M, hidden=(4,)):
    torch.manual_seed(0)
    if exact:
        encoder = ExactEncoder(Flow(M, layers=2, hidden=4))
        decoder = ExactDecoder(encoder)
    else:
        encoder = VectorEncoder(dim_x, M, (4,), flow=Flow(M, layers=2, hidden=4), initial_sd=0.4)
        decoder = VectorDecoder(M, dim_x, (4,), flow=Flow(M, layers=2, hidden=4), initial_sd=0.5)
    model, guide = CITRIS(M, K, decoder, Transitions(M, hidden)), CITRISGuide(M, K, encoder)
    parameters = {id(p): p for p in (*model.parameters(), *guide.parameters())}
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double(), guide.double()


def _batch(dim_x=M):
    torch.manual_seed(1)
    x, x_after = torch.randn(2, ROWS, dim_x, dtype=torch.float64)
    return {"x": x, "x_after": x_after, "targets": torch.randint(0, 2, (ROWS, K))}


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _elbo(model, guide, batch, size=ROWS):
    pyro.set_rng_seed(5)
    loss, _ = SequenceObjective(model, guide)(batch, size=size, index=torch.arange(ROWS))
    return -loss * size


def _log_q_and_terms(model, guide, before, after, targets):
    """log q - log p of every assignment, and the log density of the latents after given it."""
    location, scale = model.transitions.coefficients(before)
    for chosen in itertools.product(range(K + 1), repeat=M):
        state = states(torch.tensor(chosen).view(M, 1), targets)
        picked = [part.gather(0, state.unsqueeze(0)).squeeze(0) for part in (location, scale)]
        log_q = guide.assignment_logits.log_softmax(-1)[torch.arange(M), torch.tensor(chosen)].sum()
        yield log_q, M * np.log(K + 1) + log_q, Normal(*picked).log_prob(after).sum()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("size", [ROWS, 7 * ROWS])
def test_elbo_is_the_sum_over_assignments(exact, size):
    dim_x = M if exact else M + 1
    (model, guide), batch = _programs(exact, dim_x), _batch(dim_x)
    found = _elbo(model, guide, batch, size)
    pyro.set_rng_seed(5)
    with pyro.get_param_store().scope():
        q = poutine.trace(guide).get_trace(**batch, size=size, index=torch.arange(ROWS)).nodes
    # The draws of latents are the same: that of an assignment comes before them in one of the two runs alone.
    if exact:
        before, after = (q[f"{side}/causal"]["value"] for side in ("before", "after"))
        seen = guide.encoder.flow(batch["x_after"])[1].sum()
    else:
        pyro.set_rng_seed(5)
        with pyro.get_param_store().scope(), poutine.enum(first_available_dim=-3):
            q = poutine.trace(guide).get_trace(**batch, size=size, index=torch.arange(ROWS)).nodes
        before, after = (q[f"{side}/causal"]["value"] for side in ("before", "after"))
        mean, sd = model.decoder(after.T)
        seen = Normal(mean, sd).log_prob(batch["x_after"]).sum()
        seen = seen - Normal(*(part.T for part in guide.encoder(batch["x_after"]))).log_prob(after).sum()
    scale = size / ROWS
    expected = scale * seen
    for log_q, divergence, density in _log_q_and_terms(model, guide, before, after, batch["targets"]):
        expected = expected + log_q.exp() * (scale * density - divergence)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    parameters = list({id(p): p for p in (*model.parameters(), *guide.parameters())}.values())
    ours = torch.autograd.grad(found, parameters, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_with_an_affine_flow_it_is_the_likelihood_of_a_linear_gaussian_system():
    encoder = ExactEncoder(Flow(M, layers=0))
    model = CITRIS(M, K, ExactDecoder(encoder), Transitions(M, ()))
    guide = CITRISGuide(M, K, encoder)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        guide.assignment_logits.copy_(torch.eye(K + 1)[[0, 1, 2]] * 1e3)
        model.transitions.networks.affine[:, :, 3:] = 0  # scales do not depend on the frame before
    model, guide, batch = model.double(), guide.double(), _batch()
    unmixing, shift = encoder.flow.weight.detach().numpy(), encoder.flow.bias.detach().numpy()
    mixing = np.linalg.inv(unmixing)
    expected = -M * np.log(K + 1)
    with torch.no_grad():
        before = encoder(batch["x"])[0].T
        location, scale = (part.numpy() for part in model.transitions.coefficients(before))
    for row in range(ROWS):
        state = [0, *(batch["targets"][row].numpy() + 1)]
        mean, sd = (part[state, range(M), row] for part in (location, scale))
        covariance = mixing.T @ np.diag(sd**2) @ mixing
        x = batch["x_after"][row].numpy()
        expected += multivariate_normal((mean - shift) @ mixing, covariance).logpdf(x)
    with torch.no_grad():
        assert float(_elbo(model, guide, batch)) == pytest.approx(expected, rel=1e-9)


def test_an_episode_is_its_first_frame_and_its_transitions():
    model, guide = _programs(exact=True)
    torch.manual_seed(3)
    x, targets = torch.randn(2, 4, M), torch.randint(0, 2, (2, 3, K))
    elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=2)
    with pyro.get_param_store().scope(), torch.no_grad():
        whole = -elbo.loss(model.episodes, guide.episodes, x, targets=targets, size=2)
        pairs = {"x": x[:, :-1].flatten(0, 1), "x_after": x[:, 1:].flatten(0, 1), "targets": targets.flatten(0, 1)}
        steps = -SequenceObjective(model, guide)(pairs, size=6, index=torch.arange(6))[0] * 6
        first, log_det = guide.encoder.flow(x[:, 0])
    start = Normal(0.0, 1.0).log_prob(first).sum() + log_det.sum()
    assert whole == pytest.approx(float(steps + start), rel=1e-10)


@pytest.mark.parametrize("exact", [True, False])
def test_one_sum_is_what_pyro_finds_by_enumeration(exact):
    model, guide = _programs(exact)
    batch = _batch() | {"size": 9, "index": torch.arange(ROWS)}
    parameters = list({id(p): p for p in (*model.parameters(), *guide.parameters())}.values())
    values = []
    for elbo in (pyro.infer.TraceEnum_ELBO(max_plate_nesting=2), SequenceELBO()):
        pyro.set_rng_seed(0)
        with pyro.get_param_store().scope():
            loss = elbo.differentiable_loss(model, guide, **batch)
        values.append([loss.detach(), *torch.autograd.grad(loss, parameters)])
    torch.testing.assert_close(values[1], values[0], rtol=1e-9, atol=1e-9)


def test_a_guide_that_enumerates_nothing_is_refused():
    model, guide = _programs(exact=True)
    with pyro.get_param_store().scope(), pytest.raises(ValueError, match="got 0 enumerated sites"):
        SequenceELBO().loss(model, poutine.block(guide, hide=["assignment"]), **_batch(), size=ROWS)


def test_sequences_are_generated():
    model, _ = _programs(exact=False)
    with torch.no_grad(), pyro.get_param_store().scope():
        x, x_after = model(size=6)
        given, after = model(x, targets=torch.ones(6, K, dtype=torch.long), size=6)
    assert x.shape == x_after.shape == after.shape == (6, M)
    assert given is x


def test_known_targets_reach_their_own_latents_alone():
    model, _ = _programs(exact=False)
    runs = []
    for hit in (0, 1):
        pyro.set_rng_seed(0)
        targets = torch.tensor([[hit, 0]] * 6)
        with torch.no_grad(), pyro.get_param_store().scope():
            program = poutine.condition(model, {"assignment": torch.tensor([[0], [1], [2]])})
            nodes = poutine.trace(program).get_trace(targets=targets, size=6).nodes
        runs.append(nodes["after/causal"]["value"])
    assert (runs[0] != runs[1]).all(1).tolist() == [False, True, False]


@pytest.mark.parametrize("exact", [True, False])
def test_every_parameter_has_a_finite_gradient(exact):
    model, guide = _programs(exact)
    objective = ClassifiedSequences(model, guide).double()
    with torch.no_grad():  # whose last layer starts at zero
        for parameter in objective.classifier.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    loss, metrics = objective(_batch(), size=ROWS, index=torch.arange(ROWS), classifier=1.0)
    loss.backward()
    assert set(metrics) == {"elbo", "classifier"}
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_the_classifier_is_a_term_beside_the_elbo():
    model, guide = _programs(exact=True)
    objective, batch = ClassifiedSequences(model, guide).double(), _batch()
    plain, _ = objective(batch, size=ROWS, index=torch.arange(ROWS))
    loss, metrics = objective(batch, size=ROWS, index=torch.arange(ROWS), classifier=2.0)
    assert metrics["elbo"] == -plain
    torch.testing.assert_close(loss, plain + 2.0 * metrics["classifier"])
    # A classifier that has learned nothing loses log 2 for each variable.
    assert float(metrics["classifier"]) == pytest.approx(K * np.log(2))


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
    model, guide = (part.float() for part in _programs(exact))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = {k: v.float() if v.is_floating_point() else v for k, v in _batch().items()}
    result = fit(
        SequenceObjective(model, guide), batch, [Phase("few", 3, batch_size=4)], seed=0, device="cpu", progress=False
    )
    assert result.steps == 3
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("exact", [True, False])
def test_no_device_is_named(exact):
    model, guide = (part.to("meta") for part in _programs(exact))
    index = torch.empty(ROWS, dtype=torch.long, device="meta")
    batch = {k: v.to("meta") for k, v in _batch().items()} | {"size": 8, "index": index}
    with pyro.validation_enabled(False), pyro.get_param_store().scope(), poutine.enum(first_available_dim=-3):
        q = poutine.trace(guide).get_trace(**batch)
        p = poutine.trace(poutine.replay(model, q)).get_trace(**batch)
        p.compute_log_prob()
    assert p.nodes["after/causal"]["log_prob"].device.type == "meta"
