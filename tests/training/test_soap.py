"""SOAP: what it equals where its basis does not matter, and that it goes on from a saved state."""

import copy

import pytest
import torch
from torch import nn

from pyro_lcm.training import Phase, fit
from pyro_lcm.training.soap import SOAP
from tables import each_row


def _rosenbrock_like(parameter, target):
    return (parameter - target).square().sum()


def test_vectors_take_steps_of_adam():
    start, target = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    ends = []
    for make in (SOAP, torch.optim.Adam):
        parameter = nn.Parameter(start.clone())
        optimizer = make([parameter], lr=0.1, betas=(0.95, 0.95))
        for _ in range(20):
            optimizer.zero_grad()
            _rosenbrock_like(parameter, target).backward()
            optimizer.step()
        ends.append(parameter.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


def test_a_rotated_problem_takes_rotated_steps():
    """Once bases have settled, steps follow the problem's own axes, whichever way these point."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0] for _ in range(2))
    rows, columns = torch.logspace(0, 2, 4, dtype=torch.float64), torch.logspace(0, 1, 4, dtype=torch.float64)
    goal = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    losses = {}
    for name, make in (("soap", SOAP), ("adam", torch.optim.Adam)):
        parameter = nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))
        optimizer = make([parameter], lr=0.05, betas=(0.95, 0.95))
        for step in range(300):
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
            optimizer.zero_grad()
            error = rows.sqrt().unsqueeze(1) * (left.T @ parameter @ right - goal) * columns.sqrt()
            loss = error.square().sum()
            loss.backward()
            optimizer.step()
        losses[name] = float(loss.detach())
    assert losses["soap"] < 0.5 * losses["adam"]


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3)), torch.randn(20, 3)

    def steps(network, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()

    optimizer = SOAP(network.parameters(), lr=0.01, weight_decay=0.1)
    steps(network, optimizer, 7)
    other = copy.deepcopy(network)
    resumed = SOAP(other.parameters(), lr=0.01, weight_decay=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(network, optimizer, 25)
    steps(other, resumed, 25)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_parameters_without_a_gradient_stay():
    moving, still = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = SOAP([moving, still], lr=0.1)
    moving.square().sum().backward()
    optimizer.step()
    assert torch.equal(still, torch.ones(2, 2))
    assert not torch.equal(moving, torch.ones(2, 2))


@each_row("given", [{"betas": (1.0, 0.9)}, {"every": 0}])
def test_numbers_out_of_range_are_named(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        SOAP([nn.Parameter(torch.zeros(1))], **given)


def test_a_run_that_was_cut_off_ends_where_it_would_have(tmp_path):
    class Objective(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

        def forward(self, tensors, *, size, index):
            return (self.network(tensors["x"]) - tensors["x"].sum(1, keepdim=True)).square().mean()

    class Cut(Objective):
        def forward(self, tensors, **settings):
            self.count = getattr(self, "count", 0) + 1
            if self.count > 13:
                raise KeyboardInterrupt
            return super().forward(tensors, **settings)

    data = {"x": torch.randn(64, 3, generator=torch.Generator().manual_seed(0))}
    phases = [
        Phase("a", 12, 0.01, 16, optimizer="soap"),
        Phase("b", 12, 0.01, 16, reset_optimizer=False, optimizer="soap"),
    ]
    how = {"seed": 0, "progress": False, "device": "cpu", "checkpoint_every": 5}
    whole, cut, resumed = Objective(), Cut(), Objective()
    fit(whole, data, phases, **how)
    with pytest.raises(KeyboardInterrupt):
        fit(cut, data, phases, out=tmp_path, **how)
    fit(resumed, data, phases, out=tmp_path, resume=True, **how)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)
