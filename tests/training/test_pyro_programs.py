"""A Pyro program and its guide as an objective: trained, interrupted, resumed, with an empty param store."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO
from pyro.nn import PyroModule, PyroParam
from torch import nn

from pyro_lcm.training import Phase, fit


class Program(PyroModule):
    """x | z ~ N(z, 1) with z ~ N(0, scale): the best scale is the root of mean(x^2) - 1."""

    def __init__(self):
        super().__init__()
        self.scale = PyroParam(torch.tensor(0.5), constraint=constraints.positive)

    def forward(self, x, size):
        with pyro.plate("items", size, len(x)):
            z = pyro.sample("z", dist.Normal(0.0, self.scale))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)


class Guide(PyroModule):
    def __init__(self):
        super().__init__()
        self.encoder = PyroModule[nn.Linear](1, 1)
        self.sd = PyroParam(torch.tensor(0.5), constraint=constraints.positive)

    def forward(self, x, size):
        with pyro.plate("items", size, len(x)):
            pyro.sample("z", dist.Normal(self.encoder(x[:, None]).squeeze(-1), self.sd))


class NegativeElbo(nn.Module):
    def __init__(self, interrupt_at=None):
        super().__init__()
        self.model, self.guide = Program(), Guide()
        self.interrupt_at = interrupt_at

    def forward(self, tensors, *, size, index):
        if self.interrupt_at is not None:
            self.interrupt_at -= 1
            if self.interrupt_at < 0:
                raise KeyboardInterrupt
        with pyro.get_param_store().scope():
            return Trace_ELBO().differentiable_loss(self.model, self.guide, tensors["x"], size) / size


@pytest.fixture
def local_parameters():
    with pyro.settings.context(module_local_params=True):
        yield


@pytest.mark.usefixtures("local_parameters")
def test_trained_to_the_closed_form_and_resumed_exactly(tmp_path):
    x = 2.0 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    phases = [Phase("a", 150, 0.06, batch_size=200), Phase("b", 150, 0.006, batch_size=200)]

    def run(folder, interrupt_at=None, resume=False):
        torch.manual_seed(0)
        objective = NegativeElbo(interrupt_at)
        options = {"seed": 1, "device": "cpu", "progress": False, "checkpoint_every": 50}
        fit(objective, {"x": x}, phases, out=tmp_path / folder, resume=resume, **options)
        return objective

    alone = run("alone")
    assert alone.model.scale.item() == pytest.approx((x.square().mean() - 1).sqrt().item(), rel=0.05)
    with pytest.raises(KeyboardInterrupt):
        run("interrupted", interrupt_at=215)
    resumed = run("interrupted", resume=True)
    names = [name for name, _ in alone.named_parameters()]
    assert "model.scale_unconstrained" in names
    assert all(torch.equal(alone.get_parameter(name), resumed.get_parameter(name)) for name in names)
    assert not list(pyro.get_param_store().keys())
