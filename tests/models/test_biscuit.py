"""BISCUIT: its ELBO is the likelihood of a mixture of two mechanisms, weighed by what actions say."""

import pyro
import pytest
import torch
from pyro import poutine
from safetensors.torch import load, save
from torch import nn
from torch.distributions import Normal

from pyro_lcm.causal.transitions import Transitions
from pyro_lcm.guides.biscuit import BISCUITGuide
from pyro_lcm.models.biscuit import BISCUIT, STATES
from pyro_lcm.nn import Flow, VectorDecoder, VectorEncoder
from pyro_lcm.nn.exact import ExactDecoder, ExactEncoder
from pyro_lcm.recipes.temporal import SequenceObjective
from pyro_lcm.training import Phase, fit
from pyro_lcm.training.sequence_elbo import SequenceELBO

M, A, ROWS = 3, 2, 4


def _programs(exact=True, dim_x=M):
    torch.manual_seed(0)
    if exact:
        encoder = ExactEncoder(Flow(M, layers=2, hidden=4))
        decoder = ExactDecoder(encoder)
    else:
        encoder = VectorEncoder(dim_x, M, (4,), flow=Flow(M, layers=2, hidden=4), initial_sd=0.4)
        decoder = VectorDecoder(M, dim_x, (4,), flow=Flow(M, layers=2, hidden=4), initial_sd=0.5)
    model = BISCUIT(M, A, decoder, Transitions(M, (4,), states=STATES))
    guide = BISCUITGuide(M, encoder, model.interaction_dist)
    parameters = {id(p): p for p in (*model.parameters(), *guide.parameters())}
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double(), guide.double()


def _batch(dim_x=M):
    torch.manual_seed(1)
    x, x_after = torch.randn(2, ROWS, dim_x, dtype=torch.float64)
    return {"x": x, "x_after": x_after, "targets": torch.randint(0, 2, (ROWS, A))}


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _elbo(model, guide, batch, size=ROWS):
    pyro.set_rng_seed(5)
    loss, _ = SequenceObjective(model, guide)(batch, size=size, index=torch.arange(ROWS))
    return -loss * size


@pytest.mark.parametrize("size", [ROWS, 7 * ROWS])
@pytest.mark.parametrize("exact", [True, False])
def test_elbo_is_the_likelihood_of_a_mixture(exact, size):
    dim_x = M if exact else M + 1
    (model, guide), batch = _programs(exact, dim_x), _batch(dim_x)
    found = _elbo(model, guide, batch, size)
    pyro.set_rng_seed(5)
    with pyro.get_param_store().scope(), poutine.enum(first_available_dim=-3):
        q = poutine.trace(guide).get_trace(**batch, size=size, index=torch.arange(ROWS)).nodes
    before, after = (q[f"{side}/causal"]["value"] for side in ("before", "after"))
    if exact:
        expected = guide.encoder.flow(batch["x_after"])[1].sum()
    else:
        expected = Normal(*model.decoder(after.T)).log_prob(batch["x_after"]).sum()
        expected = expected - Normal(*(part.T for part in guide.encoder(batch["x_after"]))).log_prob(after).sum()
    location, scale = model.transitions.coefficients(before)
    for m in range(M):
        for row in range(ROWS):
            odds = 5 * (model.log_odds[:-1, m] @ batch["targets"][row].double() + model.log_odds[-1, m])
            acted = torch.sigmoid(odds)
            densities = [Normal(location[s, m, row], scale[s, m, row]).log_prob(after[m, row]).exp() for s in (0, 1)]
            expected = expected + ((1 - acted) * densities[0] + acted * densities[1]).log()
    torch.testing.assert_close(found, size / ROWS * expected, rtol=1e-10, atol=1e-10)
    parameters = list({id(p): p for p in (*model.parameters(), *guide.parameters())}.values())
    ours = torch.autograd.grad(found, parameters, allow_unused=True)
    theirs = torch.autograd.grad(size / ROWS * expected, parameters, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


# Frames depend on interactions through latents alone, which are given: Pyro cannot know, and warns.
@pytest.mark.filterwarnings("ignore:at model site:RuntimeWarning")
def test_one_sum_is_what_pyro_finds_by_enumeration():
    model, guide = _programs(exact=False)
    batch = _batch() | {"size": 9, "index": torch.arange(ROWS)}
    values = []
    for elbo in (pyro.infer.TraceEnum_ELBO(max_plate_nesting=2), SequenceELBO()):
        pyro.set_rng_seed(0)
        with pyro.get_param_store().scope():
            values.append(float(elbo.differentiable_loss(model, guide, **batch).detach()))
    assert values[1] == pytest.approx(values[0], rel=1e-9)


def test_sequences_are_generated_and_actions_act_where_they_are_said_to():
    model, _ = _programs(exact=False)
    with torch.no_grad(), pyro.get_param_store().scope():
        model.log_odds.copy_(torch.tensor([[9.0, -9.0, -9.0], [-9.0, 9.0, 0.0], [-4.0, -4.0, -4.0]]))
        nodes = poutine.trace(model).get_trace(targets=torch.tensor([[1, 0]] * 6), size=6).nodes
    assert nodes["after/x"]["value"].shape == (6, M)
    assert nodes["after/interaction"]["value"].tolist() == [[1.0] * 6, [0.0] * 6, [0.0] * 6]


@pytest.mark.parametrize("exact", [True, False])
def test_every_parameter_has_a_finite_gradient(exact):
    model, guide = _programs(exact)
    objective = SequenceObjective(model, guide)
    objective(_batch(), size=ROWS, index=torch.arange(ROWS))[0].backward()
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


def test_the_driver_trains_it():
    torch.set_default_dtype(torch.float32)
    model, guide = (part.float() for part in _programs())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = {k: v.float() if v.is_floating_point() else v for k, v in _batch().items()}
    phases = [Phase("few", 3, batch_size=4)]
    assert fit(SequenceObjective(model, guide), batch, phases, seed=0, device="cpu", progress=False).steps == 3
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_no_device_is_named():
    model, guide = _programs()
    model, guide = model.to("meta"), guide.to("meta")
    index = torch.empty(ROWS, dtype=torch.long, device="meta")
    batch = {k: v.to("meta") for k, v in _batch().items()} | {"size": 8, "index": index}
    with pyro.validation_enabled(False), pyro.get_param_store().scope(), poutine.enum(first_available_dim=-3):
        q = poutine.trace(guide).get_trace(**batch)
        p = poutine.trace(poutine.replay(model, q)).get_trace(**batch)
        p.compute_log_prob()
    assert p.nodes["after/causal"]["log_prob"].device.type == "meta"
