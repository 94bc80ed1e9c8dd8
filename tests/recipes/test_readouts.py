"""The hook that finds readouts, and solution functions fitted to them: a linear mixing of nonlinear mechanisms."""

import numpy as np
import pytest
import torch
from torch import nn

from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import VectorDecoder
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.recipes.structure import FindReadouts
from pyro_lcm.training.sources import TensorSource

DIM = 3


class _Truth(nn.Module):
    """The encoder of z1 = e1, z2 = e2 + 1.5 sin(2 z1), z3 = e3 + 1.5 sin(2 z2), x = z A; the code is x."""

    def __init__(self, mixing):
        super().__init__()
        self.register_buffer("unmixing", torch.linalg.inv(mixing))

    def code(self, x):
        return x

    def forward(self, x):
        z = x @ self.unmixing
        shift = torch.cat([torch.zeros_like(z[:, :1]), 1.5 * torch.sin(2 * z[:, :-1])], 1)
        return z - shift, torch.full_like(z, 0.01)


@pytest.fixture
def system():
    generator = torch.Generator().manual_seed(0)
    rows = 6000
    noise = torch.randn(rows, DIM, generator=generator)
    target = torch.randint(-1, DIM, (rows,), generator=generator)
    value = torch.randn(rows, generator=generator)

    def world(cut):
        z = torch.zeros_like(noise)
        for i in range(DIM):
            z[:, i] = noise[:, i] + (1.5 * torch.sin(2 * z[:, i - 1]) if i else 0.0)
            if cut:
                z[:, i] = torch.where(target == i, value, z[:, i])
        return z

    before, after = world(False), world(True)
    mixing = torch.linalg.inv(torch.linalg.cholesky(torch.cov(before.T))).T @ torch.linalg.qr(torch.randn(DIM, DIM))[0]
    solution = SolutionFunctions(DIM, (64, 64))
    objective = RecipeObjective(ILCM(DIM, VectorDecoder(DIM, DIM, ()), solution), ILCMGuide(DIM, _Truth(mixing)))
    source = TensorSource({"x": before @ mixing, "x_after": after @ mixing})
    with torch.no_grad():
        batch = source.tensors
        move = objective.guide.encoder(batch["x_after"])[0] - objective.guide.encoder(batch["x"])[0]
        objective.guide.target_encoder.fit(move)
    return objective, source, before, target


def test_readouts_are_the_causal_variables_with_the_sign_of_their_noise(system):
    objective, source, before, _ = system
    with torch.no_grad():
        assert FindReadouts()(objective, source, 0) == {"readouts": 3.0}
    read = source.tensors["x"] @ objective.readout_weight + objective.readout_bias
    correlation = np.corrcoef(read.T.numpy(), before.T.numpy())[:DIM, DIM:]
    assert correlation.diagonal().min() > 0.997  # coefficients of 1,500 rows: 3 sd of .03
    assert (read.std(0) > 0).all()


def test_solution_functions_are_fitted_to_readouts_only_once_these_are_set(system):
    objective, source, before, _ = system
    batch = {key: value[:1000] for key, value in source.tensors.items()}
    how = {"size": 1000, "index": torch.arange(1000), "hypotheses": 2}
    assert set(objective(batch, **how)[1]) == {"elbo"}
    with torch.no_grad():
        FindReadouts()(objective, source, 0)
    optimizer = torch.optim.Adam(objective.model.solution.parameters(), 1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        objective(batch, **how)[0].backward()
        optimizer.step()
    assert objective(batch, **how)[1]["readout_error"] < 0.1
    with torch.no_grad():
        causal = objective.model.solution(objective.guide.encoder(source.tensors["x"])[0])
    correlation = np.corrcoef(causal.T.numpy(), before.T.numpy())[:DIM, DIM:]
    assert np.abs(correlation.diagonal()).min() > 0.95  # a sine of a sine, by 1,000 rows


def test_targets_that_are_hardly_ever_hit_have_no_readouts(system):
    objective, source, _, target = system
    rows = (target != 2) | (torch.arange(len(target)) < 60)
    few = TensorSource({key: value[rows] for key, value in source.tensors.items()})
    with torch.no_grad():
        assert FindReadouts()(objective, few, 0) == {"readouts": 0.0}
    assert not objective.has_readouts


def test_readouts_stay_out_of_saved_models(system):
    objective, *_ = system
    assert not any("readout" in name for name in objective.state_dict())
