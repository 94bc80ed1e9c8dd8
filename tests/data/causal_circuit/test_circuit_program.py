"""The causal model of CausalCircuit: conditionals as its equations say, interventions local in noise encodings."""

import numpy as np
import pyro
import pytest
import torch
from scipy import stats

from pyro_lcm.data.causal_circuit import program
from pyro_lcm.process import random_state


@pytest.fixture(scope="module")
def drawn():
    with random_state.isolated(3, torch.device("cpu")):
        return program.pairs(20_000)


def test_noise_encodings_invert_the_model(drawn):
    torch.testing.assert_close(program.noise_encoding(drawn.causal), drawn.noise, rtol=0, atol=1e-9)


def test_an_intervention_changes_the_targets_noise_encoding_only(drawn):
    again = program.noise_encoding(drawn.causal_after)
    torch.testing.assert_close(again, drawn.noise_after, rtol=0, atol=1e-6)
    moved = drawn.noise_after != drawn.noise
    assert (moved.sum(1) == (drawn.target > 0)).all()


def test_lamps_follow_their_beta_distributions(drawn):
    red, green, blue, arm = drawn.causal.T.numpy()
    press = program.pressed(drawn.causal[:, 3]).numpy()
    signals = {"red": np.minimum(1, green + blue + press[:, 0]), "green": press[:, 1], "blue": press[:, 2]}
    for name, value in (("red", red), ("green", green), ("blue", blue)):
        mean = 0.2 + 0.6 * signals[name]
        uniform = stats.beta.cdf(value, 5 * mean, 5 * (1 - mean))
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3, name
    assert stats.kstest(arm, "uniform").pvalue > 1e-3


def test_interventions_are_uniform_and_targets_even(drawn):
    for variable in range(4):
        values = drawn.causal_after[drawn.target == variable + 1, variable]
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert stats.chisquare(torch.bincount(drawn.target, minlength=5)).pvalue > 1e-3


@pytest.mark.parametrize("parent", range(4))
def test_only_children_answer_to_an_intervention(parent):
    noise = torch.tensor([0.0, -1.0, -1.0, -3.0]).double().expand(2, 4)
    low = pyro.do(program.world, {program.NAMES[parent]: torch.tensor([0.30, 0.80]).double()})(noise)
    changed = (low[0] - low[1]).abs() > 1e-6
    expected = program.ADJACENCY[parent].astype(bool)
    changed[parent] = False
    assert changed[~torch.from_numpy(expected)].sum() == 0
    assert changed.any() == expected.any()
