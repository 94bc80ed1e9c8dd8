"""The dVAE: the ELBO summed over targets by hand, and solution functions without context."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal

from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.dvae import DVAE

DIM, DIM_X, ROWS = 2, 3, 5


@pytest.fixture
def programs(networks, shaken, float64):
    encoder, decoder = networks(DIM_X, DIM)
    model = DVAE(DIM, decoder)
    guide = ILCMGuide(DIM, encoder, averaging="random", redrawn_dist=model.redrawn_dist)
    shaken(model.solution)
    shaken(guide.target_encoder)
    return model, guide


def _by_hand(model, guide, trace, x, x_after, known):
    """Sum over targets of q(I) (log p - log q) at the trace's samples, in torch alone."""
    mean, sd = guide.encoder(x)
    mean_after, sd_after = guide.encoder(x_after)
    weight = trace.nodes["averaging"]["value"].unsqueeze(-1)
    shift = model.solution.networks.bias[:, 0, 0]
    scale = model.solution.networks.bias[:, 0, 1].exp() * 0.95 + 0.05
    noise, redrawn = trace.nodes["noise"]["value"], trace.nodes["redrawn"]["value"]
    q = guide.targets(x, x_after)
    if known is not None:
        point = torch.nn.functional.one_hot(known.clamp(min=0), DIM + 1).to(q)
        q = torch.where((known == -1).unsqueeze(-1), q, point)
    log_q, total = q.clamp(min=torch.finfo(q.dtype).tiny).log(), torch.zeros(())
    for target in range(DIM + 1):
        hit = torch.tensor([target == 1, target == 2])
        e = noise[target] if noise.dim() == 3 else noise
        e_target = redrawn[target] if redrawn.dim() == 3 else redrawn
        lam = torch.where(hit, 0.0, weight)
        posterior = Normal(mean + lam * (mean_after - mean), sd + lam * (sd_after - sd))
        value = model.x_dist(e).log_prob(x) + model.x_dist(torch.where(hit, e_target, e)).log_prob(x_after)
        value = value + (Normal(0.0, 1.0).log_prob(e) - posterior.log_prob(e)).sum(-1)
        change = Normal(shift, scale).log_prob(e_target) - Normal(mean_after, sd_after).log_prob(e_target)
        value = value + torch.where(hit, change, 0.0).sum(-1)
        log_prior = torch.full((ROWS,), -torch.tensor(DIM + 1.0).log())
        if known is not None:
            log_prior = torch.where(known == -1, log_prior, 0.0)
        total = total + (q[:, target] * (value + log_prior - log_q[:, target])).sum()
    return total


@pytest.mark.parametrize("known", [None, torch.tensor([0, 1, 2, -1, 1])], ids=["unknown", "known"])
@pytest.mark.parametrize("size", [ROWS, 50])
def test_elbo_and_gradients_are_the_sum_over_targets(
    programs, guide_trace, elbo_and_gradients, assert_same, known, size
):
    model, guide = programs
    x, x_after = torch.randn(ROWS, DIM_X), torch.randn(ROWS, DIM_X)
    arguments = {"size": size, "index": torch.arange(ROWS), "targets": known}
    found = elbo_and_gradients(model, guide, x, x_after, **arguments)
    trace = guide_trace(guide, x, x_after, **arguments)
    assert_same(found, size / ROWS * _by_hand(model, guide, trace, x, x_after, known), model, guide)


def test_causal_variables_are_functions_of_their_own_noise(programs):
    model, _ = programs
    noise = torch.randn(4, DIM, requires_grad=True)
    (grad,) = torch.autograd.grad(model.causal(noise)[:, 0].sum(), noise)
    assert (grad[:, 1] == 0).all()
    assert (grad[:, 0] > 0).all()


def test_an_intervention_redraws_its_target_alone(programs):
    model, _ = programs
    trace = poutine.trace(pyro.do(model, {"target": torch.full((6,), 2)})).get_trace(size=6)
    before, after = (trace.nodes[f"{side}/causal"]["value"] for side in ("before", "after"))
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert (after[:, 1] != before[:, 1]).all()


def test_every_tensor_is_made_where_the_parameters_are(programs, on_meta):
    on_meta(*programs, DIM_X)
