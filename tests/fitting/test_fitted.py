"""A fitted model as a function of arrays, against formulas for a model that is known."""

import math

import numpy as np
import pytest
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.registry import build

ROTATION = np.array([[0.6, 0.8], [-0.8, 0.6]])
OFFSET, SCALE = np.array([100.0, -3.0]), np.array([2.0, 0.5])


@pytest.fixture
def known():
    """x = 100.. + 2.. (e R), z_1 = e_1, z_2 = (e_2 - 0.7 e_1 - 0.2) / 0.5, encoder sd 0.1 and 0.2."""
    objective = RecipeObjective(
        *build(Architecture("ilcm", dim_x=2, dim_z=2, flow_layers=0, solution_hidden=(), min_scale=0.05, min_sd=0.01))
    )
    model, guide = objective.model, objective.guide
    with torch.no_grad():
        for flow in (guide.encoder.flow, model.decoder.flow):
            flow.weight.copy_(torch.as_tensor(ROTATION.T))
        guide.encoder.log_sd.copy_((torch.tensor([0.1, 0.2]) - guide.encoder.min_sd).log())
        networks = model.solution.networks
        networks.affine[1, 0, 0] = 0.7
        networks.bias[1, 0] = torch.tensor([0.2, math.log((0.5 - 0.05) / 0.95)])
        model.solution.context.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    standardizer = Standardizer((2,), "standardize")
    standardizer.load_state_dict(
        standardizer.state_dict() | {"offset": torch.as_tensor(OFFSET).float(), "scale": torch.as_tensor(SCALE).float()}
    )
    return FittedModel(objective, standardizer, ("a", "b"))


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(50, 2))


def _observed(noise):
    return noise @ ROTATION * SCALE + OFFSET


def _causal(noise):
    return np.column_stack([noise[:, 0], (noise[:, 1] - 0.7 * noise[:, 0] - 0.2) / 0.5])


def test_encoding_inverts_the_known_mixing(known, noise):
    found = known.encode(_observed(noise))
    np.testing.assert_allclose(found.noise, noise, atol=1e-4)
    np.testing.assert_allclose(found.causal, _causal(noise), atol=1e-3)
    np.testing.assert_allclose(found.noise_sd, [[0.1, 0.2]] * 50, rtol=1e-5)


def test_the_sd_of_causal_variables_is_propagated(known, noise):
    expected = [0.1, math.hypot(0.2, 0.7 * 0.1) / 0.5]
    np.testing.assert_allclose(known.encode(_observed(noise)).causal_sd, [expected] * 50, rtol=1e-4)


def test_decoding_is_in_the_units_of_the_data(known, noise):
    np.testing.assert_allclose(known.decode(noise), _observed(noise), rtol=1e-5)


def test_targets_are_those_of_the_target_encoder(known, noise):
    after = noise.copy()
    after[0::3, 0] += 1.5
    after[1::3, 1] -= 1.5
    found = known.infer_targets(_observed(noise), _observed(after))
    assert found.argmax(1).tolist() == [(1, 2, 0)[row % 3] for row in range(50)]
    move = torch.as_tensor(after - noise).float()
    expected = known.guide.target_encoder(move).softmax(-1).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_explained_variance_is_a_mean_over_features(known, noise):
    x = _observed(noise)
    assert known.explained(x, noise.astype(np.float32)) == pytest.approx(1.0, abs=1e-6)
    code = (noise * [0.5, 0.9]).astype(np.float32)
    share = 1 - np.square(x - _observed(code)).sum(0) / np.square(x - x.mean(0)).sum(0)
    assert known.explained(x, code) == pytest.approx(share.mean(), abs=1e-5)


def test_the_elbo_is_a_mean_over_rows(known, noise, monkeypatch):
    with torch.no_grad():
        known.guide.encoder.log_sd.fill_(-1e3)  # hardly any noise in the guide, so draws do not matter
    pairs = InterventionPairs(_observed(noise), _observed(noise + np.array([0.0, 1.0])))
    whole = known.elbo(pairs, hypotheses=1, seed=1)
    first, rest = (known.elbo(part, hypotheses=1, seed=2) for part in (pairs[:20], pairs[20:]))
    assert whole == pytest.approx((20 * first + 30 * rest) / 50, rel=0.02)
    monkeypatch.setattr("pyro_lcm.fitting.fitted._ROWS", 20)
    assert known.elbo(pairs, hypotheses=1, seed=3) == pytest.approx(whole, rel=0.02)


def test_samples_follow_the_known_solution_functions(known):
    pairs = known.sample(20_000, seed=1, targets=np.full(20_000, 2))
    np.testing.assert_allclose(pairs.z, _causal(pairs.noise), atol=1e-4)
    np.testing.assert_allclose(pairs.z_after, _causal(pairs.noise_after), atol=1e-4)
    # e~_2 ~ N(0.7 e_1 + 0.2, 0.5): five standard errors.
    rest = pairs.noise_after[:, 1] - 0.7 * pairs.noise[:, 0] - 0.2
    assert abs(rest.mean()) < 5 * 0.5 / np.sqrt(20_000)
    assert rest.std() == pytest.approx(0.5, rel=5 / np.sqrt(40_000))
    assert np.array_equal(pairs.noise_after[:, 0], pairs.noise[:, 0])


def test_names_count_the_variables(known):
    assert known.dim_z == 2
    assert known.device == torch.device("cpu")
