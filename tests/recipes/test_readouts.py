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
from pyro_lcm.recipes.readouts import FindFeatureReadouts, Readouts
from pyro_lcm.recipes.structure import FindOrder, FindReadouts
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
    read = source.tensors["x"] @ objective.readouts.weight + objective.readouts.bias
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
    for _ in range(300):
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
    assert not objective.readouts.believed.any()


def _of_features(objective, source, features):
    """The objective and the pairs, with features (N, k) of what the pairs show."""
    made = RecipeObjective(objective.model, objective.guide, features(source.tensors["x"]).shape[1])
    sides = {"features": features(source.tensors["x"]), "features_after": features(source.tensors["x_after"])}
    return made, TensorSource(source.tensors | sides)


def test_readouts_of_features_are_the_causal_variables_on_the_scale_of_what_was_drawn(system):
    objective, source, before, _ = system
    unmixing = objective.guide.encoder.unmixing
    spaces = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(3)))[0].view(DIM, 8, 24)

    def features(x):  # bumps along each variable
        curves = torch.exp(-((x @ unmixing).unsqueeze(-1) - torch.linspace(-3, 3, 8)).square())
        return torch.einsum("njp,jpk->nk", curves, spaces)

    made, pairs = _of_features(objective, source, features)
    with torch.no_grad():
        FindOrder()(made, pairs, 0)
        assert FindFeatureReadouts()(made, pairs, 0)["readouts"] == 3.0
        read, counts = made.readouts(pairs.tensors["features"])
        for j in range(DIM):
            inside = counts[:, j] > 0
            assert inside.float().mean() > 0.8
            assert np.corrcoef(read[inside, j], before[inside, j])[0, 1] > 0.96  # bumps are not linear
        batch = {key: value[:500] for key, value in pairs.tensors.items()}
        how = {"size": 500, "index": torch.arange(500), "hypotheses": 2}
        expected = [
            (made.model.solution(made.guide.encoder(batch[x])[0]) - made.readouts(batch[f])[0]).square()
            for x, f in (("x", "features"), ("x_after", "features_after"))
        ]
        counted = [made.readouts(batch[f])[1] for f in ("features", "features_after")]
        mean = sum((a * b).sum() for a, b in zip(expected, counted, strict=True)) / 1000
        torch.testing.assert_close(made(batch, **how)[1]["readout_error"], mean)
        alone = {name: batch[name] for name in ("x", "x_after")}
        assert set(made(alone, **how)[1]) == {"elbo"}  # pairs that are scored later come without features


def test_readouts_that_other_noise_explains_are_not_believed(system):
    objective, source, *_ = system
    unmixing = objective.guide.encoder.unmixing

    def features(x):  # nothing is seen of z2 but its product with the noise of its cause
        z = x @ unmixing
        return torch.stack([z[:, 0], z[:, 0] + 0.3 * z[:, 0] * z[:, 1], z[:, 2]], 1)

    made, pairs = _of_features(objective, source, features)
    with torch.no_grad():
        FindOrder()(made, pairs, 0)
        found = FindFeatureReadouts()(made, pairs, 0)
    assert found["readouts"] < 3.0
    assert made.readouts.believed[0]
    assert not made.readouts.believed[1]


def test_pairs_without_features_have_no_readouts(system):
    objective, source, *_ = system
    assert FindFeatureReadouts()(objective, source, 0) == {"readouts": 0.0}


def test_scores_are_piecewise_linear_and_say_nothing_of_what_was_not_drawn():
    readouts = Readouts(2, 1)
    quantiles = torch.linspace(0, 4, readouts.quantiles.shape[1]).unsqueeze(0)
    readouts.set_scored(torch.tensor([[1.0], [1.0]]), quantiles, quantiles[0].square(), torch.ones(1))
    read, counts = readouts(torch.tensor([[1.0, 0.5], [1.0, 2.02], [-1.0, 0.5], [3.0, 1.5]]))
    torch.testing.assert_close(read[:2, 0], torch.tensor([1.5, 3.02]).square(), atol=1e-3, rtol=0)
    assert counts[:, 0].tolist() == [1, 1, 0, 0]


def test_readouts_stay_out_of_saved_models(system):
    objective, *_ = system
    assert not any("readout" in name for name in objective.state_dict())
