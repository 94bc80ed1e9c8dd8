"""Mechanisms over time: a latent sees the target of its own variable and no other."""

import torch

from pyro_lcm.causal.transitions import NONE, RUNS, SET, Transitions, states

M, ROWS = 3, 5


def _module():
    torch.manual_seed(0)
    module = Transitions(M, (4,)).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def test_states_by_hand():
    targets = torch.tensor([[0, 1], [1, 1]])
    found = states(torch.tensor([[0], [1], [2]]), targets)
    assert found.tolist() == [[NONE, NONE], [RUNS, SET], [SET, SET]]


def test_enumerated_assignments_are_those_one_by_one():
    module, latents = _module(), torch.randn(M, ROWS, dtype=torch.float64)
    targets = torch.randint(0, 2, (ROWS, 2))
    every = module(latents, torch.arange(3).view(3, 1, 1), targets)
    for k in range(3):
        one = module(latents, torch.full((M, 1), k), targets)
        torch.testing.assert_close(every.loc[k], one.loc)
        torch.testing.assert_close(every.scale[k], one.scale)


def test_only_the_target_of_its_own_variable_matters():
    module, latents = _module(), torch.randn(M, ROWS, dtype=torch.float64)
    assignment = torch.tensor([[0], [1], [2]])
    neither = module(latents, assignment, torch.zeros(ROWS, 2, dtype=torch.long)).loc
    first = module(latents, assignment, torch.tensor([[1, 0]] * ROWS)).loc
    changed = (neither != first).all(1).tolist()
    assert changed == [False, True, False]
    assert torch.equal(neither[[0, 2]], first[[0, 2]])


def test_scales_have_a_lower_bound():
    module = Transitions(2, (), min_scale=0.2)
    with torch.no_grad():
        module.networks.bias.fill_(-50.0)
    assert torch.allclose(module.coefficients(torch.zeros(2, 1))[1], torch.tensor(0.2))
