"""How many variables by default: sensors' own noise is left out, everything else counts, and doubts are said."""

import logging

import numpy as np
import pytest

from pyro_lcm import LatentCausalModel
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.fitting.design import choose_design, fit_standardizer
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import spec_of

BENT = {"mixing": "leaky_relu", "mechanisms": "nonlinear"}


def dim_of(pairs, model="ilcm"):
    spec = spec_of(model)
    return choose_design(spec, pairs, fit_standardizer(pairs, units=spec.units)).architecture.dim_z


def sample(dim, width, noise, *, n=5000, seed=0, **how):
    return ScalingSystem(dim, seed=seed, dim_x=width, observation_noise=noise, **how).sample(n)


@pytest.fixture
def said(caplog):
    """Gives the doubts that were logged so far."""
    caplog.set_level(logging.WARNING, "pyro_lcm")
    return lambda: caplog.messages


@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_directions_of_sensor_noise_are_no_variables(said, noise, seed):
    assert dim_of(sample(3, 6, noise, seed=seed)) == 3
    assert not said()


def test_linear_mixing_of_nonlinear_mechanisms_counts_too():
    assert dim_of(sample(3, 6, 0.02, mechanisms="nonlinear")) == 3


@pytest.mark.parametrize("how", [{}, BENT])
@pytest.mark.parametrize(("dim", "noise"), [(2, 0.0), (3, 0.0), (3, 0.05), (5, 0.0)])
def test_as_many_sensors_as_variables_stay_as_many(said, dim, noise, how):
    assert dim_of(sample(dim, dim, noise, **how)) == dim
    assert not said()


def test_without_noise_every_direction_counts_and_dependent_features_do_not():
    assert dim_of(sample(3, 6, 0.0)) == 3
    assert dim_of(sample(3, 6, 0.0, **BENT)) == 6


@pytest.mark.parametrize("seed", [0, 1])
def test_many_variables_without_noise_are_no_doubt(said, seed):
    assert dim_of(sample(16, 16, 0.0, seed=seed, n=10_000)) == 16
    assert not said()


def test_a_function_of_a_variable_is_not_taken_for_noise(said):
    pairs = sample(2, 2, 0.0)
    wider = pairs.with_observations(*(np.c_[side, np.sin(40 * side[:, 0])] for side in (pairs.x, pairs.x_after)))
    assert dim_of(wider) == 3


def test_a_bent_sheet_is_a_doubt_that_names_candidates(said):
    assert dim_of(sample(3, 6, 0.0, **BENT)) == 6
    assert len(said()) == 1
    assert "--dim-z auto --candidates 2 3 4 5 6" in said()[0]
    assert "choose_dim_z(pairs, [2, 3, 4, 5, 6])" in said()[0]


def test_few_pairs_of_many_sensors_are_a_doubt(said):
    assert dim_of(sample(3, 6, 0.02, n=400)) == 3
    assert "in doubt" in said()[0]


def test_a_known_target_is_a_variable():
    pairs = sample(3, 6, 0.02)
    targets = pairs.targets.copy()
    targets[targets == 3] = 4
    wider = type(pairs)(pairs.x, pairs.x_after, targets=targets).with_known_targets()
    assert dim_of(wider) == 4


def test_models_of_as_many_variables_as_features_keep_them():
    assert dim_of(sample(3, 6, 0.02), "soft_ilcm") == 6


def test_a_number_that_is_given_is_taken(said):
    pairs = sample(3, 6, 0.02, n=600)
    spec = spec_of("ilcm")
    design = choose_design(spec, pairs, fit_standardizer(pairs, units="whiten"), dim_z=5)
    assert design.architecture.dim_z == 5
    assert not said()


def test_the_default_fit_of_noisy_sensors_finds_the_variables():
    system = ScalingSystem(3, seed=0, dim_x=6, observation_noise=0.02)
    model = LatentCausalModel().fit(system.sample(5000), budget=Budget(refine=100), progress=False)
    scores = model.evaluate(system.sample(1000, seed=1), dci_rows=500)
    assert model.dim_z == 3
    assert scores["mcc"] > 0.98
    assert scores["shd"] == 0
